// A tally as bars. Each bar slides by transform alone, so ten frames a second cost no layout;
// the same numbers stand beside it as text, and in a table.

import { calm, h, setText, show } from "./dom.js";
import { gettext, number } from "./i18n.js";

const HUES = 8;
const SORT_MS = 450;

// The colour of an option, by its place among the eight of the palette.
export const hueOf = (option) => String((option.id - 1) % HUES);

const sizeOf = (count) => (count > 24 ? "crowd" : count > 10 ? "many" : count > 5 ? "some" : "few");

export class Bars {
  // `kind`: what the bars show, see kinds/choices.js.
  constructor(root, kind) {
    this.kind = kind;
    this.rows = new Map();
    this.sorted = false;
    this.wanted = null;
    this.root = root;
    this.list = h("ol", { class: "bars", "aria-label": gettext("Results") });
  }

  // Keeps only the newest tally until the next frame of the screen.
  update(poll, results) {
    const first = !this.wanted;
    this.wanted = { poll, results };
    if (first) {
      requestAnimationFrame(() => {
        const newest = this.wanted;
        this.wanted = null;
        this.draw(newest.poll, newest.results);
      });
    }
  }

  setSorted(sorted) {
    this.sorted = sorted;
    if (this.drawn) this.update(this.drawn.poll, this.drawn.results);
  }

  // The page may have put empty bars there, which keep the place.
  draw(poll, results) {
    if (!this.drawn) this.root.replaceChildren(this.list);
    this.drawn = { poll, results };
    this.makeRows(poll);
    const { kind } = this;
    const front = kind.leaders(poll, results);
    for (const option of poll.options) {
      const row = this.rows.get(option.id);
      const { share, main, side } = kind.figure(poll, results, option.id);
      setText(row.label, option.text);
      setText(row.main, main);
      setText(row.side, side);
      row.fill.style.setProperty("--share", Math.min(1, share).toFixed(4));
      row.item.classList.toggle("is-front", front.includes(option.id));
      row.item.classList.toggle("is-out", !(option.id in results.counts));
      setText(row.won, kind.wonText(front.length));
      show(row.won, Boolean(results.final) && front.includes(option.id));
      if (row.extra) kind.extra.draw(row.extra, results, option.id);
    }
    this.order(poll, results);
  }

  makeRows(poll) {
    const shape = poll.options.map((option) => option.id).join();
    if (shape === this.shape) return;
    this.shape = shape;
    this.rows.clear();
    this.list.style.setProperty("--options", poll.options.length);
    this.list.dataset.size = sizeOf(poll.options.length);
    this.list.replaceChildren(...poll.options.map((option) => {
      const row = {
        label: h("span", { class: "bar-label", dir: "auto" }),
        won: h("span", { class: "bar-won", hidden: true }),
        main: h("span", { class: "bar-main" }),
        side: h("span", { class: "bar-side" }),
        fill: h("div", { class: "bar-fill" }),
        extra: this.kind.extra?.make(),
      };
      row.item = h("li", { class: "bar", "data-hue": hueOf(option) },
        h("div", { class: "bar-name" }, row.label, " ", row.won),
        h("div", { class: "bar-figures" }, row.main, " ", row.side),
        h("div", { class: "bar-track", "aria-hidden": "true" }, row.fill),
        row.extra);
      this.rows.set(option.id, row);
      return row.item;
    }));
  }

  order(poll, results) {
    const ids = poll.options.map((option) => option.id);
    if (this.sorted) {
      const rank = new Map(ids.map((id) => [id, this.kind.figure(poll, results, id).rank]));
      ids.sort((a, b) => rank.get(b) - rank.get(a));
    }
    const items = ids.map((id) => this.rows.get(id).item);
    if (items.every((item, n) => this.list.children[n] === item)) return;
    const before = new Map(items.map((item) => [item, item.getBoundingClientRect()]));
    this.list.append(...items);
    if (calm()) return;
    for (const item of items) {
      const was = before.get(item);
      const is = item.getBoundingClientRect();
      const by = `translate(${was.left - is.left}px, ${was.top - is.top}px)`;
      item.animate([{ transform: by }, { transform: "none" }], { duration: SORT_MS, easing: "ease-out" });
    }
  }
}

// The same tally as a table, for screen readers and for exact numbers.
export function resultsTable(kind, poll, results) {
  const head = [gettext("Option"), ...kind.tableHead()];
  return h("table", { class: "table" },
    h("caption", {}, gettext("Results as a table")),
    h("thead", {}, h("tr", {}, ...head.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, ...poll.options.map((option) => h("tr", {},
      h("th", { scope: "row", dir: "auto" }, option.text),
      ...kind.tableCells(poll, results, option.id).map((text) => h("td", {}, text))))),
    h("tfoot", {}, h("tr", {},
      h("th", { scope: "row" }, gettext("Voters")),
      h("td", { colspan: "2" }, number(results.voters)))));
}
