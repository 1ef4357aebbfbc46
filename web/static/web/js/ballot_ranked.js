// The ballot of a ranked poll: options are tapped into an order, moved by buttons or dragged.
// Loaded where polls are ranked; teaches `makeBallot` the kind.

import { addKind } from "./ballot.js";
import { h, icon, show } from "./dom.js";
import { fill, gettext, number } from "./i18n.js";
import { makeSortable, moveBy } from "./sortable.js";

addKind("ranked", ranked);

function ranked(poll, changed) {
  const hint = gettext("Tap in the order you like them, best first. You may leave some out.");
  const order = h("ol", { class: "ranking", "aria-label": gettext("Your ranking") });
  const rest = h("ul", { class: "ranking-rest", "aria-label": gettext("Not ranked") });
  const empty = h("p", { class: "ranking-empty" }, gettext("Nothing ranked yet."));
  const spoken = h("p", { class: "sr-only", "aria-live": "polite" });
  const element = h("div", { class: "choices", role: "group", "aria-label": hint },
    h("p", { class: "hint" }, hint), empty, order, rest, spoken);

  const refresh = () => {
    show(empty, order.children.length === 0);
    for (const item of items) {
      item.firstChild.setAttribute("aria-pressed", String(item.parentElement === order));
    }
    [...order.children].forEach((item, n) => {
      item.querySelector(".rank-number").textContent = number(n + 1);
      item.querySelector("[data-by='-1']").disabled = n === 0;
      item.querySelector("[data-by='1']").disabled = n === order.children.length - 1;
    });
    changed();
  };
  const say = (item) => {
    const place = [...order.children].indexOf(item) + 1;
    spoken.textContent = place
      ? fill(gettext("%(option)s is number %(n)s of %(all)s."),
        { option: item.dataset.text, n: number(place), all: number(order.children.length) })
      : fill(gettext("%(option)s is not ranked."), { option: item.dataset.text });
  };
  const place = (item, into) => {
    into.append(item);
    refresh();
    say(item);
    item.querySelector(".rank-toggle").focus({ preventScroll: true });
  };
  const mover = (item, by, name, label) => h("button", {
    type: "button", class: "rank-move", "data-by": String(by), "aria-label": label,
    onclick: (event) => {
      if (moveBy(item, by)) {
        refresh();
        say(item);
        const button = event.currentTarget;
        (button.disabled ? item.querySelector(`[data-by='${-by}']`) : button).focus();
      }
    },
  }, icon(name));
  const items = poll.options.map((option) => {
    const text = option.text;
    const item = h("li", { class: "rank", "data-id": String(option.id), "data-text": text, "data-hue": String((option.id - 1) % 8) });
    item.append(
      h("button", {
        type: "button", class: "rank-toggle", "aria-pressed": "false",
        onclick: () => place(item, item.parentElement === order ? rest : order),
      }, h("span", { class: "rank-number", "aria-hidden": "true" }), h("span", { class: "choice-text", dir: "auto" }, text)),
      mover(item, -1, "up", fill(gettext("Move %(option)s up"), { option: text })),
      mover(item, 1, "down", fill(gettext("Move %(option)s down"), { option: text })),
      h("span", { class: "handle", "aria-hidden": "true" }, icon("grip")));
    return item;
  });
  const reset = (ids) => {
    const byId = new Map(items.map((item) => [Number(item.dataset.id), item]));
    order.replaceChildren(...ids.map((id) => byId.get(id)).filter(Boolean));
    rest.replaceChildren(...items.filter((item) => !ids.includes(Number(item.dataset.id))));
    refresh();
  };
  makeSortable(order, { changed: refresh });
  const silent = changed;
  changed = () => {};
  reset([]);
  changed = silent;
  return {
    element,
    hint,
    value() {
      const choices = [...order.children].map((item) => Number(item.dataset.id));
      return choices.length ? { choices } : null;
    },
    set: (vote) => reset(vote.choices ?? []),
  };
}
