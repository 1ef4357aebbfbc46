// What a form shows: the groups of fields that a kind of poll asks for, and a problem's errors,
// each beside its field; what has no field goes to the top of the form.

import { $, $$, h, show } from "./dom.js";
import { gettext } from "./i18n.js";

const fields = () => ({
  blank: gettext("Please fill this in."),
  required: gettext("Please fill this in."),
  max_length: gettext("This is too long."),
  duplicate: gettext("Two options have the same text."),
  max_value: gettext("This number is too large."),
  min_value: gettext("This number is too small."),
  unique: gettext("This name is taken."),
  password_too_short: gettext("Use at least eight characters."),
  password_too_common: gettext("Many people use this password. Please choose another."),
  password_too_similar: gettext("This is too much like the name."),
  invalid_origin: gettext("Write each like https://example.com, without a page."),
});

const fieldMessage = (error) => fields()[error.code] ?? error.detail;

export function clearErrors(form) {
  for (const text of $$(".field-error", form)) text.textContent = "";
  for (const field of $$("[aria-invalid]", form)) field.removeAttribute("aria-invalid");
}

// Of the groups that not every form needs, shows those with these names.
export function showFields(form, names) {
  for (const group of $$("[data-fields]", form)) show(group, names.includes(group.dataset.fields));
}

// `prefix` is what the form's ids begin with; returns the first field with an error, or null.
export function showErrors(form, problem, { prefix = "", top = null, options = null } = {}) {
  clearErrors(form);
  const homeless = [];
  let first = null;
  for (const error of problem.errors) {
    const [name, index] = String(error.field ?? "").split(/[.[\]]+/);
    const place = $(`#${prefix}${name}-error`, form);
    if (!name || !place) {
      homeless.push(fieldMessage(error));
      continue;
    }
    place.textContent = [place.textContent, fieldMessage(error)].filter(Boolean).join(" ");
    const field = name === "options" ? options?.inputs()[Number(index) || 0] : $(`#${prefix}${name}`, form);
    field?.setAttribute("aria-invalid", "true");
    first ??= field ?? $(`[name="${name}"]`, form);
  }
  if (!problem.errors.length) homeless.push(problem.message);
  if (top) {
    show(top, homeless.length > 0);
    top.replaceChildren(...homeless.map((text) => h("p", {}, text)));
  }
  (first ?? top)?.focus();
  return first;
}
