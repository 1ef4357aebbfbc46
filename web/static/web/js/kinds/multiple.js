// Several choices, between a least and a most.

import { h } from "../dom.js";
import { fill, gettext, ngettext, number } from "../i18n.js";
import { choiceCards, choiceKind } from "./choices.js";

export default choiceKind({
  name: "multiple",
  ballot,
  fields: ["options", "choices"],
  settings: (form) => ({
    options: form.options(),
    min_choices: Number(form.value("min_choices")) || 1,
    max_choices: Number(form.value("max_choices")) || 1,
  }),
});

function ballot(poll, changed) {
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
