// What a kind of poll provides. A kind is one module of this folder and one template part in
// templates/web/kinds/; a page asks everything about a kind of the module's default
// export, and nothing outside this folder knows a kind's name. No page loads this file: it is
// for reading, and for the tests that hold every kind to it.
//
//   name                     what the API calls the kind
//
// The ballot:
//
//   ballot(poll, changed)    → {element, hint, value(), set(vote)}: the fields of the form.
//                            `value()` is the body of the request that casts the vote, null
//                            while the ballot is incomplete; `hint` says what is missing then;
//                            `set(vote)` shows a recorded vote; `changed()` is to be called
//                            after each change by the voter
//   voteLines(poll, vote)    → a recorded vote as text, one line each
//
// The results. They are never null, hidden or withheld when a kind is given them: pages know by
// `counts`, which the API then sends for every kind, for one without options an empty one.
//
//   results(places, changed) → {update(poll, results), table(), sort(on), step(by)}: draws into
//                            the elements `places.drawing` and `places.steps`; the latter stands
//                            above the former, and is hidden unless the kind shows it. `table()`
//                            is an element with what `update` was last given, for screen
//                            readers; `sort` puts the largest first; `step` moves
//                            to an earlier or later step of the count and calls `changed()`, so
//                            that the page updates again. A kind without an order or without
//                            steps has nothing to do there
//   summary(poll, results)   → one sentence that says how it stands, for screen readers
//   leading(poll, results, most) → at most so many [{hue, text, share, main}], best first, for a
//                            small picture of the poll; empty where there is nothing to draw
//
// The create and owner pages:
//
//   fields                   names of the groups of a form (`data-fields`) that this kind shows
//   settings(form)           → what the request that creates the poll says for this kind.
//                            `form.options()` gives the texts of the options, `form.value(name)`
//                            what a field holds
//   problems(settings)       → [{field, detail}]: what can be refused without asking the server
//   sample(settings)         → what `ballot` needs of a poll, for a preview while it is written
//
// choices.js has all but the ballot for kinds whose voters choose among options. A kind without
// options says these things itself: no page asks a poll for its options to draw its results.
// Of a kind made by choices.js bars.js asks besides:
//
//   figure(poll, results, id) → {share: of the whole width, 0 to 1; main, side: a large and a
//                            small figure; rank: what bars are ordered by}
//   leaders(poll, results)   → ids of the options that lead, none before the first vote
//   wonText(number)          → what is written beside so many leaders when the result is final
//   tableHead(), tableCells(poll, results, id)
//   extra                    {make() → element, draw(element, results, id)} beside each bar

export const protocol = {
  name: "string",
  ballot: "function",
  voteLines: "function",
  results: "function",
  summary: "function",
  leading: "function",
  fields: "array",
  settings: "function",
  problems: "function",
  sample: "function",
};

export const ballotParts = { element: "object", hint: "string", value: "function", set: "function" };

export const resultsParts = { update: "function", table: "function", sort: "function", step: "function" };
