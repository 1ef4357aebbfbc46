// One choice.

import { h } from "../dom.js";
import { gettext } from "../i18n.js";
import { choiceCards, choiceKind } from "./choices.js";

export default choiceKind({ name: "single", ballot });

function ballot(poll, changed) {
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
