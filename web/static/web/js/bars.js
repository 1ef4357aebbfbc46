// A tally as bars. Each bar slides by transform alone, so ten frames a second cost no layout;
// the same numbers stand beside it in words, and in a table.

import { calm, h, setText, show } from "./dom.js";
import { fill, gettext, mean, ngettext, number, percent, votersText } from "./i18n.js";

const HUES = 8;
const RATING_TOP = 5;
const SORT_MS = 450;

// What one option's bar shows: its share of the whole width, a large and a small figure.
export function figure(poll, results, id) {
  const count = results.counts?.[id] ?? 0;
  if (poll.kind === "rating") {
    const average = results.means?.[id] ?? null;
    return {
      share: average === null ? 0 : average / RATING_TOP,
      main: average === null ? "–" : mean(average),
      side: fill(ngettext("%(n)s rating", "%(n)s ratings", count), { n: number(count) }),
      rank: average ?? 0,
    };
  }
  const share = results.voters ? count / results.voters : 0;
  return {
    share,
    main: percent(share),
    side: fill(ngettext("%(n)s vote", "%(n)s votes", count), { n: number(count) }),
    rank: count,
  };
}

// Option ids that lead, none while nobody has voted. For ranked polls the winner of the count.
export function leaders(poll, results) {
  if (poll.kind === "ranked" && results.winner) return [results.winner];
  const ranks = poll.options.map((option) => figure(poll, results, option.id).rank);
  const best = Math.max(...ranks);
  return best > 0 ? poll.options.filter((_, n) => ranks[n] === best).map((option) => option.id) : [];
}

const sizeOf = (count) => (count > 24 ? "crowd" : count > 10 ? "many" : count > 5 ? "some" : "few");

function wonText(poll, front) {
  if (front.length > 1) return gettext("Tied first");
  return poll.kind === "ranked" ? gettext("Winner") : gettext("First");
}

export function leaderText(poll, results) {
  const ids = leaders(poll, results);
  const names = poll.options.filter((option) => ids.includes(option.id)).map((option) => option.text);
  if (!names.length) return votersText(results.voters);
  const values = { option: names.join(", "), figure: figure(poll, results, ids[0]).main };
  const words = results.final
    ? gettext("Final result: %(option)s, %(figure)s.")
    : gettext("In front: %(option)s, %(figure)s.");
  return `${fill(words, values)} ${votersText(results.voters)}.`;
}

export class Bars {
  constructor(root) {
    this.root = root;
    this.rows = new Map();
    this.sorted = false;
    this.wanted = null;
    this.list = h("ol", { class: "bars", "aria-label": gettext("Results") });
    root.replaceChildren(this.list);
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

  draw(poll, results) {
    this.drawn = { poll, results };
    this.makeRows(poll);
    const front = leaders(poll, results);
    for (const option of poll.options) {
      const row = this.rows.get(option.id);
      const { share, main, side } = figure(poll, results, option.id);
      setText(row.label, option.text);
      setText(row.main, main);
      setText(row.side, side);
      row.fill.style.setProperty("--share", Math.min(1, share).toFixed(4));
      row.item.classList.toggle("is-front", front.includes(option.id));
      row.item.classList.toggle("is-out", !(option.id in results.counts));
      setText(row.won, wonText(poll, front));
      show(row.won, Boolean(results.final) && front.includes(option.id));
      if (row.marks) drawDistribution(row.marks, results.distribution?.[option.id]);
    }
    this.order(poll, results);
  }

  makeRows(poll) {
    const shape = `${poll.kind}:${poll.options.map((option) => option.id).join()}`;
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
        marks: poll.kind === "rating" ? makeDistribution() : null,
      };
      row.item = h("li", { class: "bar", "data-hue": String((option.id - 1) % HUES) },
        h("div", { class: "bar-name" }, row.label, " ", row.won),
        h("div", { class: "bar-figures" }, row.main, " ", row.side),
        h("div", { class: "bar-track", "aria-hidden": "true" }, row.fill),
        row.marks);
      this.rows.set(option.id, row);
      return row.item;
    }));
  }

  order(poll, results) {
    const ids = poll.options.map((option) => option.id);
    if (this.sorted) {
      const rank = new Map(ids.map((id) => [id, figure(poll, results, id).rank]));
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

function makeDistribution() {
  return h("div", { class: "marks", "aria-hidden": "true" },
    ...[1, 2, 3, 4, 5].map((stars) =>
      h("span", { class: "mark" }, h("i", { class: "mark-fill" }), h("b", {}, String(stars)))));
}

function drawDistribution(marks, counts) {
  show(marks, Boolean(counts));
  if (!counts) return;
  const list = [1, 2, 3, 4, 5].map((stars) => (Array.isArray(counts) ? counts[stars - 1] : counts[stars]) ?? 0);
  const top = Math.max(1, ...list);
  list.forEach((count, n) =>
    marks.children[n].firstChild.style.setProperty("--share", (count / top).toFixed(3)));
}

// The same tally as a table, for whoever reads better than they see.
export function resultsTable(poll, results) {
  const rating = poll.kind === "rating";
  const head = rating
    ? [gettext("Option"), gettext("Mean"), gettext("Ratings")]
    : [gettext("Option"), gettext("Votes"), gettext("Share")];
  return h("table", { class: "table" },
    h("caption", {}, gettext("Results as a table")),
    h("thead", {}, h("tr", {}, ...head.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, ...poll.options.map((option) => {
      const { main } = figure(poll, results, option.id);
      const count = number(results.counts?.[option.id] ?? 0);
      return h("tr", {},
        h("th", { scope: "row", dir: "auto" }, option.text),
        ...(rating ? [main, count] : [count, main]).map((text) => h("td", {}, text)));
    })),
    h("tfoot", {}, h("tr", {},
      h("th", { scope: "row" }, gettext("Voters")),
      h("td", { colspan: "2" }, number(results.voters)))));
}
