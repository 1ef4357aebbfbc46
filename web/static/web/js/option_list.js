// The options while a poll is written: one text field each, moved by handle, removed by a
// button, and many at once by pasting lines.

import { $$, h, icon } from "./dom.js";
import { fill, gettext, number } from "./i18n.js";
import { makeSortable } from "./sortable.js";

export class OptionList {
  constructor(list, { changed, limits }) {
    this.list = list;
    this.changed = changed;
    this.limits = limits;
    makeSortable(list, { changed: () => this.renumber() });
    list.addEventListener("input", () => this.changed());
    list.addEventListener("keydown", (event) => this.press(event));
    list.addEventListener("paste", (event) => this.paste(event));
  }

  inputs() { return $$("input", this.list); }

  texts() { return this.inputs().map((input) => input.value.trim()).filter(Boolean); }

  add(text = "", after = null) {
    if (this.list.children.length >= this.limits.max_options) return null;
    const input = h("input", { type: "text", maxlength: String(this.limits.option_text), dir: "auto", value: text, autocomplete: "off" });
    const item = h("li", { class: "option-item" },
      h("button", { type: "button", class: "handle" }, icon("grip")),
      input,
      h("button", { type: "button", class: "icon-button remove", onclick: () => this.remove(item) }, icon("close")));
    if (after) after.after(item);
    else this.list.append(item);
    this.renumber();
    return input;
  }

  remove(item) {
    const next = item.nextElementSibling ?? item.previousElementSibling;
    item.remove();
    while (this.list.children.length < 2) this.add();
    this.renumber();
    next?.querySelector("input")?.focus();
  }

  renumber() {
    this.inputs().forEach((input, n) => {
      const values = { n: number(n + 1) };
      input.setAttribute("aria-label", fill(gettext("Option %(n)s"), values));
      input.placeholder = fill(gettext("Option %(n)s"), values);
      const [handle, remove] = $$("button", input.parentElement);
      handle.setAttribute("aria-label", fill(gettext("Move option %(n)s with the up and down arrow keys"), values));
      remove.setAttribute("aria-label", fill(gettext("Remove option %(n)s"), values));
    });
    this.changed();
  }

  press(event) {
    if (event.target.tagName !== "INPUT") return;
    const inputs = this.inputs();
    const at = inputs.indexOf(event.target);
    if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      (inputs[at + 1] ?? this.add("", event.target.parentElement))?.focus();
    } else if (event.key === "Backspace" && !event.target.value && inputs.length > 2) {
      event.preventDefault();
      event.target.parentElement.remove();
      this.renumber();
      inputs[Math.max(0, at - 1)].focus();
    }
  }

  paste(event) {
    const lines = event.clipboardData.getData("text").split(/\r?\n/)
      .map((line) => line.replace(/^\s*(?:[-*•]|\d+[.)])\s+/, "").trim()).filter(Boolean);
    if (lines.length < 2 || event.target.tagName !== "INPUT") return;
    event.preventDefault();
    let item = event.target.parentElement;
    event.target.value ||= lines.shift();
    for (const line of lines) {
      const empty = item.nextElementSibling?.querySelector("input");
      const input = empty && !empty.value ? empty : this.add("", item);
      if (!input) break;
      input.value = line;
      item = input.parentElement;
    }
    this.renumber();
    item.querySelector("input").focus();
  }
}
