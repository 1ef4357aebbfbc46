// What the bars, the table and the sentence for screen readers say of a tally.

import { drawFrame, element } from "./page.mjs";
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { nobody, poll, samples, tally } from "./polls.mjs";

const { loadKind } = await import("../../web/static/web/js/kinds/registry.js");
const [single, multiple, ranked, rating] = await Promise.all(["single", "multiple", "ranked", "rating"].map(loadKind));

const cells = (table, selector) => table.querySelectorAll(selector).map((cell) => cell.textContent);

function draw(kind, results, { sorted = false } = {}) {
  const drawing = element();
  const drawn = kind.results({ drawing, steps: element() }, () => {});
  drawn.sort(sorted);
  drawn.update(poll, results);
  drawFrame();
  return drawing.querySelectorAll(".bar").map((bar) => ({
    label: bar.querySelector(".bar-label").textContent,
    main: bar.querySelector(".bar-main").textContent,
    side: bar.querySelector(".bar-side").textContent,
    share: bar.querySelector(".bar-fill").style.values["--share"],
    front: bar.classList.contains("is-front"),
    out: bar.classList.contains("is-out"),
    won: bar.querySelector(".bar-won").hidden ? null : bar.querySelector(".bar-won").textContent,
    bar,
  }));
}

describe("shares", () => {
  it("are of the voters, whole percents in words and exact in the bar", () => {
    const results = tally({ 1: 1, 2: 2, 3: 0 });
    assert.deepEqual(single.figure(poll, results, 2), { share: 2 / 3, main: "67%", side: "2 votes", rank: 2 });
    assert.deepEqual(single.figure(poll, results, 1).side, "1 vote");
    assert.equal(draw(single, results)[1].share, "0.6667");
  });

  it("are nothing while nobody has voted, not a division by nothing", () => {
    assert.deepEqual(single.figure(poll, nobody, 1), { share: 0, main: "0%", side: "0 votes", rank: 0 });
  });

  it("may come to more than a whole where each voter chooses several", () => {
    const { results } = samples.multiple;
    assert.equal(multiple.figure(poll, results, 2).main, "100%");
    assert.equal(multiple.figure(poll, results, 1).main, "50%");
  });

  it("count an option that the tally does not name as zero, and dim it", () => {
    const bars = draw(single, tally({ 1: 1, 2: 2 }));
    assert.equal(bars[2].side, "0 votes");
    assert.deepEqual(bars.map((bar) => bar.out), [false, false, true]);
  });
});

describe("ratings", () => {
  const { results, empty } = samples.rating;

  it("show the mean on a scale of five and how many gave stars", () => {
    assert.deepEqual(rating.figure(poll, results, 1), { share: 0.5, main: "2.5", side: "2 ratings", rank: 2.5 });
    assert.equal(rating.figure(poll, results, 2).side, "1 rating");
  });

  it("show a dash where there is no mean", () => {
    assert.deepEqual(rating.figure(poll, empty, 1), { share: 0, main: "–", side: "0 ratings", rank: 0 });
  });

  it("draw how the stars are spread, highest full, and nothing for an option without stars", () => {
    const marks = draw(rating, { ...results, distribution: { 1: [0, 1, 2, 0, 0] } })
      .map(({ bar }) => bar.querySelector(".marks"));
    assert.deepEqual(marks[0].querySelectorAll(".mark-fill").map((mark) => mark.style.values["--share"]),
      ["0.000", "0.500", "1.000", "0.000", "0.000"]);
    assert.deepEqual(marks.map((one) => one.hidden), [false, true, true]);
  });

  it("are not drawn beside the bars of other kinds", () => {
    assert.equal(draw(single, nobody)[0].bar.querySelector(".marks"), null);
  });
});

describe("leaders", () => {
  it("are none while nobody has voted", () => {
    for (const [kind, { empty }] of [[single, samples.single], [ranked, samples.ranked], [rating, samples.rating]]) {
      assert.deepEqual(kind.leaders(poll, empty), []);
      assert.ok(draw(kind, { ...empty, final: true }).every(({ front, won }) => !front && won === null));
    }
  });

  it("are all that are level", () => {
    const results = tally({ 1: 2, 2: 1, 3: 2 }, { final: true });
    assert.deepEqual(single.leaders(poll, results), [1, 3]);
    assert.deepEqual(draw(single, results).map(({ won }) => won), ["Tied first", null, "Tied first"]);
    assert.equal(single.summary(poll, results), "Final result: Apple, Plum, 40%. 5 voters.");
  });

  it("are said to be first only when the result is final", () => {
    const results = tally({ 1: 2, 2: 1, 3: 0 });
    assert.deepEqual(draw(single, results).map(({ front, won }) => [front, won]), [[true, null], [false, null], [false, null]]);
    assert.equal(draw(single, { ...results, final: true })[0].won, "First");
  });

  it("follow the mean of a rating, not how many rated", () => {
    assert.deepEqual(rating.leaders(poll, samples.rating.results), [2]);
  });

  it("of a ranking are the winner of the count, even where another has as many", () => {
    const { results } = samples.ranked;
    assert.deepEqual(ranked.leaders(poll, results), [2]);
    assert.equal(ranked.wonText(1), "Winner");
    assert.deepEqual(ranked.leaders(poll, { ...results, winner: null }), [1, 2]);
    assert.equal(ranked.wonText(2), "Tied first");
    assert.equal(draw(ranked, { ...results, final: true })[1].won, "Winner");
  });
});

describe("the order", () => {
  const results = tally({ 1: 1, 2: 3, 3: 1 });
  const labels = (bars) => bars.map(({ label }) => label);

  it("is the poll's own until the largest are asked for; those level keep it", () => {
    assert.deepEqual(labels(draw(single, results)), ["Apple", "Pear", "Plum"]);
    assert.deepEqual(labels(draw(single, results, { sorted: true })), ["Pear", "Apple", "Plum"]);
  });

  it("of a small picture is best first, with the colours of the poll", () => {
    assert.deepEqual(single.leading(poll, results, 2).map(({ text, hue, main }) => [text, hue, main]),
      [["Pear", "1", "60%"], ["Apple", "0", "20%"]]);
  });
});

describe("the table", () => {
  const tableOf = (kind, results) => {
    const drawn = kind.results({ drawing: element(), steps: element() }, () => {});
    drawn.update(poll, results);
    drawFrame();
    return drawn.table();
  };

  it("has votes and shares, the voters below", () => {
    const table = tableOf(single, tally({ 1: 1, 2: 3, 3: 0 }));
    assert.deepEqual(cells(table.querySelector("thead"), "th"), ["Option", "Votes", "Share"]);
    assert.deepEqual(cells(table.querySelector("tbody"), "th"), ["Apple", "Pear", "Plum"]);
    assert.deepEqual(cells(table.querySelector("tbody"), "td"), ["1", "25%", "3", "75%", "0", "0%"]);
    assert.deepEqual(cells(table.querySelector("tfoot"), "td"), ["4"]);
  });

  it("has means before counts for ratings", () => {
    const table = tableOf(rating, samples.rating.results);
    assert.deepEqual(cells(table.querySelector("thead"), "th"), ["Option", "Mean", "Ratings"]);
    assert.deepEqual(cells(table.querySelector("tbody"), "td"), ["2.5", "2", "5.0", "1", "–", "0"]);
  });
});
