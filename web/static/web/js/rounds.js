// The rounds of an instant run-off as a flow one can step through: who stands, who leaves,
// and what is exhausted.

import { h, icon, setText, show } from "./dom.js";
import { fill, gettext, number, percent } from "./i18n.js";

export class Rounds {
  constructor(root, onstep = () => {}) {
    this.root = root;
    this.onstep = onstep;
    this.at = null; // null follows the last round
    this.title = h("h2", { class: "rounds-title" });
    this.note = h("p", { class: "rounds-note" });
    this.back = h("button", { class: "button button-quiet", type: "button", onclick: () => this.step(-1) },
      icon("back"), h("span", {}, gettext("Previous round")));
    this.next = h("button", { class: "button button-quiet", type: "button", onclick: () => this.step(1) },
      h("span", {}, gettext("Next round")), icon("forward"));
    this.dots = h("ol", { class: "rounds-dots", "aria-hidden": "true" });
    this.box = h("div", { class: "rounds" },
      this.back, h("div", { class: "rounds-text" }, this.title, this.note, this.dots), this.next);
  }

  step(by) {
    if (!this.results?.rounds?.length) return;
    const last = this.results.rounds.length - 1;
    const at = Math.min(last, Math.max(0, (this.at ?? last) + by));
    this.at = at === last ? null : at;
    this.onstep();
  }

  // → results as this round saw them, for the bars.
  view(poll, results) {
    if (!this.results) this.root.replaceChildren(this.box); // the page may have kept its place
    this.results = results;
    const rounds = results.rounds ?? [];
    show(this.root, rounds.length > 0);
    if (!rounds.length) return results;
    const last = rounds.length - 1;
    const at = Math.min(this.at ?? last, last);
    const round = rounds[at];
    this.describe(poll, results, round, at, last);
    const standing = Object.values(round.counts).reduce((sum, count) => sum + count, 0);
    return { ...results, counts: round.counts, voters: standing, winner: at === last ? results.winner : null };
  }

  describe(poll, results, round, at, last) {
    const name = (id) => poll.options.find((option) => option.id === Number(id))?.text ?? "";
    setText(this.title, fill(gettext("Round %(n)s of %(all)s"), { n: number(at + 1), all: number(last + 1) }));
    const gone = [round.eliminated ?? []].flat();
    const notes = [];
    if (at === last && results.winner) {
      const standing = Object.values(round.counts).reduce((sum, count) => sum + count, 0);
      const share = standing ? percent((round.counts[results.winner] ?? 0) / standing) : "";
      notes.push(fill(gettext("%(option)s wins with %(share)s of the ballots that still count."),
        { option: name(results.winner), share }));
    } else if (gone.length) {
      notes.push(fill(gettext("%(option)s has the fewest and leaves; those ballots move to their next choice."),
        { option: gone.map(name).join(", ") }));
    }
    if (round.exhausted) {
      notes.push(fill(gettext("Ballots with no choice left: %(n)s."), { n: number(round.exhausted) }));
    }
    setText(this.note, notes.join(" "));
    this.back.disabled = at === 0;
    this.next.disabled = at === last;
    if (this.dots.children.length !== last + 1) {
      this.dots.replaceChildren(...Array.from({ length: last + 1 }, () => h("li", {})));
    }
    [...this.dots.children].forEach((dot, n) => dot.classList.toggle("is-here", n === at));
  }
}
