// A list whose items can be put in order: by dragging their handle (finger, pen or mouse) and
// by keyboard (arrow keys on the handle). The order is the order of the elements.
//
// The dragged item itself never leaves the document, its neighbours step aside; so focus and
// the captured pointer stay with it.

const middle = (item) => {
  const box = item.getBoundingClientRect();
  return box.top + box.height / 2;
};

// `changed()` is called after each move.
export function makeSortable(list, { handle = ".handle", changed = () => {} } = {}) {
  const itemOf = (element) => [...list.children].find((item) => item.contains(element));

  list.addEventListener("keydown", (event) => {
    const grip = event.target.closest(handle);
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!grip || !by) return;
    event.preventDefault();
    if (moveBy(itemOf(grip), by)) changed();
  });

  list.addEventListener("pointerdown", (event) => {
    const grip = event.target.closest(handle);
    if (!grip || event.button) return;
    const item = itemOf(grip);
    event.preventDefault();
    grip.focus({ preventScroll: true });
    grip.setPointerCapture(event.pointerId);
    item.classList.add("is-dragged");
    const move = ({ clientY }) => {
      while (item.previousElementSibling && clientY < middle(item.previousElementSibling)) moveBy(item, -1);
      while (item.nextElementSibling && clientY > middle(item.nextElementSibling)) moveBy(item, 1);
    };
    const end = new AbortController();
    const drop = () => {
      end.abort();
      item.classList.remove("is-dragged");
      changed();
    };
    grip.addEventListener("pointermove", move, { signal: end.signal });
    grip.addEventListener("pointerup", drop, { signal: end.signal });
    grip.addEventListener("pointercancel", drop, { signal: end.signal });
  });
}

// Moves one item past its neighbour; false at the ends.
export function moveBy(item, by) {
  const neighbour = by < 0 ? item.previousElementSibling : item.nextElementSibling;
  if (!neighbour) return false;
  if (by < 0) item.after(neighbour);
  else item.before(neighbour);
  return true;
}
