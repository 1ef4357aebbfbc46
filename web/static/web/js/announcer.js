// Polite announcements for screen readers: the newest sentence only, at most one each few seconds.

const EVERY_MS = 5000;

export class Announcer {
  constructor(element) {
    this.element = element;
    this.spokenAt = 0;
  }

  // At once: for what the person just did.
  say(text) {
    clearTimeout(this.timer);
    this.waiting = false;
    this.element.textContent = text;
    this.spokenAt = Date.now();
  }

  // Throttled: for what keeps moving. `compose` is called when it is time to speak.
  later(compose) {
    this.compose = compose;
    if (this.waiting) return;
    this.waiting = true;
    const wait = Math.max(0, this.spokenAt + EVERY_MS - Date.now());
    this.timer = setTimeout(() => {
      this.say(this.compose());
    }, wait);
  }
}
