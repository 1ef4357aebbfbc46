// Stars for each option: the highest mean leads, and each bar shows how the stars are spread.

import { h, icon, show } from "../dom.js";
import { fill, gettext, mean, ngettext, number } from "../i18n.js";
import { choiceKind, namesOf } from "./choices.js";

const STARS = [1, 2, 3, 4, 5];

const kind = choiceKind({
  name: "rating",
  ballot,
  voteLines: (poll, vote) => Object.entries(vote.ratings ?? {}).map(([id, stars]) =>
    fill(gettext("%(option)s: %(stars)s of 5"), { option: namesOf(poll, [id])[0], stars: number(stars) })),
  figure(poll, results, id) {
    const count = results.counts?.[id] ?? 0;
    const average = results.means?.[id] ?? null;
    return {
      share: average === null ? 0 : average / STARS.length,
      main: average === null ? "–" : mean(average),
      side: fill(ngettext("%(n)s rating", "%(n)s ratings", count), { n: number(count) }),
      rank: average ?? 0,
    };
  },
  tableHead: () => [gettext("Mean"), gettext("Ratings")],
  tableCells: (poll, results, id) =>
    [kind.figure(poll, results, id).main, number(results.counts?.[id] ?? 0)],
  extra: { make: makeDistribution, draw: drawDistribution },
});

export default kind;

function ballot(poll, changed) {
  const hint = gettext("Give one to five stars. You may leave some out.");
  const row = (option) => {
    const field = h("fieldset", { class: "stars", "data-id": String(option.id), "data-stars": "0" },
      h("legend", { class: "choice-text", dir: "auto" }, option.text));
    const pick = (event) => {
      field.dataset.stars = event.target.value;
      changed();
    };
    field.append(h("div", { class: "stars-row" }, ...STARS.map((stars) =>
      h("label", { class: "star" },
        h("input", { type: "radio", name: `rating-${option.id}`, value: String(stars), onchange: pick }),
        icon("star"),
        h("span", { class: "sr-only" }, fill(ngettext("%(n)s star", "%(n)s stars", stars), { n: number(stars) }))))));
    return field;
  };
  const fields = poll.options.map(row);
  const element = h("div", { class: "choices", role: "group", "aria-label": hint },
    h("p", { class: "hint" }, hint), ...fields);
  return {
    element,
    hint,
    value() {
      const given = fields.filter((field) => field.dataset.stars !== "0");
      return given.length
        ? { ratings: Object.fromEntries(given.map((field) => [field.dataset.id, Number(field.dataset.stars)])) }
        : null;
    },
    set(vote) {
      for (const field of fields) {
        const stars = vote.ratings?.[field.dataset.id] ?? 0;
        field.dataset.stars = String(stars);
        field.querySelectorAll("input").forEach((input) => { input.checked = Number(input.value) === stars; });
      }
    },
  };
}

function makeDistribution() {
  return h("div", { class: "marks", "aria-hidden": "true" },
    ...STARS.map((stars) =>
      h("span", { class: "mark" }, h("i", { class: "mark-fill" }), h("b", {}, String(stars)))));
}

function drawDistribution(marks, results, id) {
  const counts = results.distribution?.[id];
  show(marks, Boolean(counts));
  if (!counts) return;
  const list = STARS.map((stars) => (Array.isArray(counts) ? counts[stars - 1] : counts[stars]) ?? 0);
  const top = Math.max(1, ...list);
  list.forEach((count, n) =>
    marks.children[n].firstChild.style.setProperty("--share", (count / top).toFixed(3)));
}
