// A ranking, counted by instant run-off: options are tapped into an order, moved by buttons or
// dragged; the count is shown round by round, and its winner stands first, even if another
// option has more first choices.

import { hueOf } from "../bars.js";
import { h, icon, show } from "../dom.js";
import { fill, gettext, number } from "../i18n.js";
import { Rounds } from "../rounds.js";
import { makeSortable, moveBy } from "../sortable.js";
import { ChoiceResults, choiceKind, namesOf } from "./choices.js";

const others = choiceKind({});

const kind = choiceKind({
  name: "ranked",
  ballot,
  voteLines: (poll, vote) =>
    namesOf(poll, vote.choices ?? []).map((text, n) => `${number(n + 1)}. ${text}`),
  leaders: (poll, results) => (results.winner ? [results.winner] : others.leaders(poll, results)),
  wonText: (leading) => (leading > 1 ? others.wonText(leading) : gettext("Winner")),
  results: ({ drawing, steps }, changed) => new RoundedResults(drawing, new Rounds(steps, changed)),
});

export default kind;

class RoundedResults extends ChoiceResults {
  constructor(drawing, rounds) {
    super(drawing, kind, (poll, results) => rounds.view(poll, results));
    this.rounds = rounds;
  }

  step(by) { this.rounds.step(by); }
}

function ballot(poll, changed) {
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
    const item = h("li", { class: "rank", "data-id": String(option.id), "data-text": text, "data-hue": hueOf(option) });
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
