// The rounds of an instant run-off, stepped through.

import { drawFrame, element } from "./page.mjs";
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { poll, samples } from "./polls.mjs";

const js = "../../web/static/web/js";
const { Rounds } = await import(`${js}/rounds.js`);
const { loadKind } = await import(`${js}/kinds/registry.js`);
const { results, empty } = samples.ranked;

function shown(given = results) {
  const root = element();
  let steps = 0;
  const rounds = new Rounds(root, () => { steps += 1; });
  const look = () => rounds.view(poll, given);
  const view = look();
  return {
    root, rounds, view, look, steps: () => steps,
    title: () => rounds.title.textContent, note: () => rounds.note.textContent,
    ends: () => [rounds.back.disabled, rounds.next.disabled],
  };
}

describe("rounds", () => {
  it("begin with the last one, where the winner is", () => {
    const { view, title, note, ends, root } = shown();
    assert.equal(title(), "Round 2 of 2");
    assert.equal(note(), "Pear wins with 60% of the ballots that still count.");
    assert.deepEqual(view.counts, { 1: 2, 2: 3 });
    assert.equal(view.voters, 5);
    assert.equal(view.winner, 2);
    assert.deepEqual(ends(), [false, true]);
    assert.equal(root.hidden, false);
  });

  it("say in an earlier one who leaves, and name no winner yet", () => {
    const { rounds, look, title, note, ends, steps } = shown();
    rounds.step(-1);
    const view = look();
    assert.equal(steps(), 1);
    assert.equal(title(), "Round 1 of 2");
    assert.equal(note(), "Plum has the fewest and leaves; those ballots move to their next choice.");
    assert.equal(view.winner, null);
    assert.deepEqual(ends(), [true, false]);
  });

  it("stop at both ends", () => {
    const { rounds, look, title } = shown();
    for (const by of [-1, -1, -1]) rounds.step(by);
    look();
    assert.equal(title(), "Round 1 of 2");
    for (const by of [1, 1, 1]) rounds.step(by);
    look();
    assert.equal(title(), "Round 2 of 2");
  });

  it("say how many ballots have no choice left", () => {
    const rounds = results.rounds.map((round) => ({ ...round, exhausted: 1234 }));
    const { note } = shown({ ...results, rounds });
    assert.equal(note(), "Pear wins with 60% of the ballots that still count. Ballots with no choice left: 1,234.");
  });

  it("are one, without words, while nobody has voted", () => {
    const { title, note, ends, view } = shown(empty);
    assert.equal(title(), "Round 1 of 1");
    assert.equal(note(), "");
    assert.deepEqual(ends(), [true, true]);
    assert.equal(view.voters, 0);
  });

  it("follow the last one while votes add rounds, and stay where somebody looks back", () => {
    const { rounds, look, title } = shown();
    const longer = { ...results, rounds: [...results.rounds, { counts: { 2: 5 }, eliminated: null, exhausted: 0 }] };
    rounds.view(poll, longer);
    assert.equal(title(), "Round 3 of 3");
    rounds.step(-1);
    rounds.view(poll, longer);
    assert.equal(title(), "Round 2 of 3");
    look(); // a round fewer: the second is now the last
    assert.equal(title(), "Round 2 of 2");
  });

  it("mark where one is by a dot each", () => {
    const { rounds, look } = shown();
    const here = () => rounds.dots.children.map((dot) => dot.classList.contains("is-here"));
    assert.deepEqual(here(), [false, true]);
    rounds.step(-1);
    look();
    assert.deepEqual(here(), [true, false]);
  });

  it("are not shown where there are none, and cannot be stepped", () => {
    const none = { ...empty, rounds: [] };
    const { root, rounds, view, steps } = shown(none);
    assert.equal(root.hidden, true);
    assert.equal(view, none);
    rounds.step(-1);
    assert.equal(steps(), 0);
  });
});

describe("the results of a ranked poll", () => {
  it("show in bars and table what the round saw", async () => {
    const kind = await loadKind("ranked");
    const drawing = element();
    const steps = element();
    const drawn = kind.results({ drawing, steps }, () => drawn.update(poll, { ...results, final: true }));
    const look = () => {
      drawFrame();
      return [drawing.querySelectorAll(".bar-main"), drawn.table().querySelectorAll("td")]
        .map((cells) => cells.map((cell) => cell.textContent).join(" "));
    };
    drawn.update(poll, { ...results, final: true });
    assert.deepEqual(look(), ["40% 60% 0%", "2 40% 3 60% 0 0% 5"]);
    assert.deepEqual(drawing.querySelectorAll(".bar-won").map((won) => !won.hidden && won.textContent), [false, "Winner", false]);
    drawn.step(-1);
    assert.deepEqual(look(), ["40% 40% 20%", "2 40% 2 40% 1 20% 5"]);
    assert.equal(steps.querySelector(".rounds-title").textContent, "Round 1 of 2");
  });
});
