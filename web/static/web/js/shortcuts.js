// Single-key shortcuts of the big screen. They can be switched off (people who speak to their
// computer need that), and never fire while someone types or holds Ctrl, Alt or Meta.

import { recall, remember } from "./memory.js";

export class Shortcuts {
  constructor(actions) {
    this.actions = actions; // {key: function}
    this.on = recall("shortcuts") ?? true;
    addEventListener("keydown", (event) => this.press(event));
  }

  press(event) {
    if (!this.on || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, dialog[open]")) return;
    const action = this.actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  set(on) {
    this.on = on;
    remember("shortcuts", on);
  }
}
