// The ballot of each kind of poll as a form: fieldsets, radios, checkboxes, stars; an ordered
// list once ballot_ranked.js is loaded. Knows what a complete ballot is; the server decides all
// the same.

import { h, icon } from "./dom.js";
import { fill, gettext, ngettext, number } from "./i18n.js";

const kinds = { single, multiple, rating };

// Each kind: (poll, changed) → {element, hint, value() → request body or null while incomplete,
// set(vote)}
export const makeBallot = (poll, changed) => kinds[poll.kind](poll, changed);

export const addKind = (kind, make) => { kinds[kind] = make; };

// The recorded vote in words, one line an option.
export function voteLines(poll, vote) {
  const name = (id) => poll.options.find((option) => option.id === Number(id))?.text ?? `#${id}`;
  if (vote.ratings) {
    return Object.entries(vote.ratings).map(([id, stars]) =>
      fill(gettext("%(option)s: %(stars)s of 5"), { option: name(id), stars: number(stars) }));
  }
  const names = (vote.choices ?? []).map(name);
  return poll.kind === "ranked" ? names.map((text, n) => `${number(n + 1)}. ${text}`) : names;
}

function choiceCards(poll, type, changed) {
  return poll.options.map((option) =>
    h("label", { class: "choice", "data-hue": String((option.id - 1) % 8) },
      h("input", { type, name: "choice", value: String(option.id), onchange: changed }),
      h("span", { class: "choice-mark", "aria-hidden": "true" }, icon("check")),
      h("span", { class: "choice-text", dir: "auto" }, option.text)));
}

function single(poll, changed) {
  const hint = gettext("Choose one.");
  const element = h("fieldset", { class: "choices" },
    h("legend", { class: "hint" }, hint), ...choiceCards(poll, "radio", changed));
  const inputs = () => [...element.querySelectorAll("input")];
  return {
    element,
    hint,
    value() {
      const chosen = inputs().find((input) => input.checked);
      return chosen ? { choices: [Number(chosen.value)] } : null;
    },
    set: (vote) => inputs().forEach((input) => { input.checked = vote.choices?.includes(Number(input.value)); }),
  };
}

function multiple(poll, changed) {
  const least = poll.min_choices ?? 1;
  const most = poll.max_choices ?? poll.options.length;
  const hint = least === most
    ? fill(ngettext("Choose %(n)s.", "Choose %(n)s.", most), { n: number(most) })
    : fill(gettext("Choose %(least)s to %(most)s."), { least: number(least), most: number(most) });
  const element = h("fieldset", { class: "choices" }, h("legend", { class: "hint" }, hint));
  const inputs = () => [...element.querySelectorAll("input")];
  const chosen = () => inputs().filter((input) => input.checked).map((input) => Number(input.value));
  const limit = () => {
    const full = chosen().length >= most;
    inputs().forEach((input) => { input.disabled = full && !input.checked; });
  };
  element.append(...choiceCards(poll, "checkbox", () => { limit(); changed(); }));
  return {
    element,
    hint,
    value() {
      const choices = chosen();
      return choices.length >= least && choices.length <= most ? { choices } : null;
    },
    set(vote) {
      inputs().forEach((input) => { input.checked = vote.choices?.includes(Number(input.value)); });
      limit();
    },
  };
}

function rating(poll, changed) {
  const hint = gettext("Give one to five stars. You may leave some out.");
  const row = (option) => {
    const field = h("fieldset", { class: "stars", "data-id": String(option.id), "data-stars": "0" },
      h("legend", { class: "choice-text", dir: "auto" }, option.text));
    const pick = (event) => {
      field.dataset.stars = event.target.value;
      changed();
    };
    field.append(h("div", { class: "stars-row" }, ...[1, 2, 3, 4, 5].map((stars) =>
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
