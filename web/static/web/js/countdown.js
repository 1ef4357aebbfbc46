// Counts down to a moment on the server's clock, in an element, once a second.

import { now } from "./clock.js";
import { setText } from "./dom.js";
import { duration } from "./i18n.js";

export class Countdown {
  constructor(element, onend = () => {}) {
    this.element = element;
    this.onend = onend;
    this.until = null;
  }

  // ISO time, or null for none.
  set(iso) {
    const until = iso ? Date.parse(iso) : null;
    if (until === this.until) return;
    this.until = until;
    clearTimeout(this.timer);
    this.element.hidden = until === null;
    if (until !== null) this.tick();
  }

  tick() {
    const left = (this.until - now()) / 1000;
    setText(this.element, duration(left));
    this.element.classList.toggle("is-last", left <= 10);
    if (left <= 0) {
      this.onend();
      return;
    }
    this.timer = setTimeout(() => this.tick(), Math.max(50, (left % 1) * 1000 + 20));
  }
}
