// Votes over time, as one line from the first vote on: sampled by the server for what was
// before, then as the feed shows them.

import { now } from "./clock.js";
import { h, setText, show, svg } from "./dom.js";
import { dateTime, fill, ngettext, number, timeOfDay } from "./i18n.js";

const WIDTH = 600;
const HEIGHT = 60;
const MOST_POINTS = 240;
const DRAW_EVERY_MS = 500;
const DAY_MS = 86400000;

export class Timeline {
  // `read` → a promise of {epoch, points: [{at, version}]}
  constructor(root, read) {
    this.read = read;
    this.points = []; // [milliseconds, version]
    this.line = svg("path", { class: "timeline-line" });
    this.area = svg("path", { class: "timeline-area" });
    this.text = h("p", { class: "timeline-text" });
    this.chart = svg("svg", { class: "timeline", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      this.area, this.line);
    this.root = h("div", { hidden: true }, this.chart, this.text);
    root.replaceChildren(this.root);
  }

  add({ epoch, version, final }) {
    this.final = final;
    if (this.epoch !== epoch) {
      this.epoch = epoch;
      this.points = [];
      if (version) this.begin();
    }
    if (version && this.points.at(-1)?.[1] !== version) this.points.push([now(), version]);
    if (this.points.length > MOST_POINTS) this.points = this.points.filter((_, n) => n % 2 === 0 || n > MOST_POINTS - 20);
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.draw();
    }, DRAW_EVERY_MS);
  }

  // What was before this page was opened.
  async begin() {
    let earlier;
    try {
      earlier = await this.read();
    } catch { return; } // the line then begins here
    if (earlier.epoch !== this.epoch) return;
    const before = earlier.points.map(({ at, version }) => [Date.parse(at), version]);
    const last = before.at(-1)?.[1] ?? 0;
    this.points = [...before, ...this.points.filter(([, version]) => version > last)];
    this.draw();
  }

  draw() {
    show(this.root, this.points.length > 1);
    if (this.points.length < 2) return;
    const [last, votes] = this.points.at(-1);
    const points = this.final ? this.points : [...this.points, [Math.max(last, now()), votes]];
    const [from] = points[0];
    const span = Math.max(1, points.at(-1)[0] - from);
    const x = (time) => (((time - from) / span) * WIDTH).toFixed(1);
    const y = (version) => (HEIGHT - 3 - (version / votes) * (HEIGHT - 6)).toFixed(1);
    const path = points.map(([time, version], n) => `${n ? "L" : "M"}${x(time)} ${y(version)}`).join("");
    this.line.setAttribute("d", path);
    this.area.setAttribute("d", `${path}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`);
    const since = now() - from > DAY_MS ? dateTime(new Date(from).toISOString()) : timeOfDay(from);
    setText(this.text, fill(ngettext("%(n)s vote since %(time)s", "%(n)s votes since %(time)s", votes),
      { n: number(votes), time: since }));
  }
}
