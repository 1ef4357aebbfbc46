// What kinds share whose voters choose among options: results as bars, one an option, and the
// sentence about the leaders. A kind overrides what differs.

import { Bars, hueOf, resultsTable } from "../bars.js";
import { h, icon } from "../dom.js";
import { fill, gettext, ngettext, number, percent, votersText } from "../i18n.js";

const LEAST_OPTIONS = 2;

// `own`: what the kind itself says, by the names of protocol.js.
export function choiceKind(own) {
  const kind = {
    voteLines: (poll, vote) => namesOf(poll, vote.choices ?? []),

    figure(poll, results, id) {
      const count = results.counts?.[id] ?? 0;
      const share = results.voters ? count / results.voters : 0;
      return {
        share,
        main: percent(share),
        side: fill(ngettext("%(n)s vote", "%(n)s votes", count), { n: number(count) }),
        rank: count,
      };
    },

    leaders(poll, results) {
      const ranks = poll.options.map((option) => kind.figure(poll, results, option.id).rank);
      const best = Math.max(...ranks);
      return best > 0 ? poll.options.filter((_, n) => ranks[n] === best).map((option) => option.id) : [];
    },

    wonText: (leading) => (leading > 1 ? gettext("Tied first") : gettext("First")),

    tableHead: () => [gettext("Votes"), gettext("Share")],
    tableCells: (poll, results, id) =>
      [number(results.counts?.[id] ?? 0), kind.figure(poll, results, id).main],

    extra: null,

    results: ({ drawing }) => new ChoiceResults(drawing, kind),

    summary(poll, results) {
      const ids = kind.leaders(poll, results);
      if (!ids.length) return votersText(results.voters);
      const values = { option: namesOf(poll, ids).join(", "), figure: kind.figure(poll, results, ids[0]).main };
      const sentence = results.final
        ? gettext("Final result: %(option)s, %(figure)s.")
        : gettext("In front: %(option)s, %(figure)s.");
      return `${fill(sentence, values)} ${votersText(results.voters)}.`;
    },

    // The poll's own order where options are level.
    leading: (poll, results, most) => poll.options
      .map((option) => ({ hue: hueOf(option), text: option.text, ...kind.figure(poll, results, option.id) }))
      .sort((one, other) => other.rank - one.rank)
      .slice(0, most),

    fields: ["options"],
    settings: (form) => ({ options: form.options() }),
    problems: ({ options }) => (options.length < LEAST_OPTIONS
      ? [{ field: "options", detail: gettext("Please give at least two options.") }] : []),
    sample(settings) {
      const texts = settings.options.length ? settings.options : [gettext("First option"), gettext("Second option")];
      return { ...settings, options: texts.map((text, n) => ({ id: n + 1, text })) };
    },

    ...own,
  };
  return kind;
}

// Results as bars; `view` gives another look at the same results, as the rounds of a count do.
export class ChoiceResults {
  constructor(drawing, kind, view = (poll, results) => results) {
    this.kind = kind;
    this.bars = new Bars(drawing, kind);
    this.view = view;
  }

  update(poll, results) {
    this.poll = poll;
    this.seen = this.view(poll, results);
    this.bars.update(poll, this.seen);
  }

  table() { return resultsTable(this.kind, this.poll, this.seen); }

  sort(on) { this.bars.setSorted(on); }

  step() {}
}

export const namesOf = (poll, ids) =>
  ids.map((id) => poll.options.find((option) => option.id === Number(id))?.text ?? `#${id}`);

export const choiceCards = (poll, type, changed) =>
  poll.options.map((option) =>
    h("label", { class: "choice", "data-hue": hueOf(option) },
      h("input", { type, name: "choice", value: String(option.id), onchange: changed }),
      h("span", { class: "choice-mark", "aria-hidden": "true" }, icon("check")),
      h("span", { class: "choice-text", dir: "auto" }, option.text)));
