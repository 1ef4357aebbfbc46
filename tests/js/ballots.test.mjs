// What a ballot's fields come to, as a voter fills them in.

import "./page.mjs";
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { poll } from "./polls.mjs";

const { loadKind } = await import("../../web/static/web/js/kinds/registry.js");

async function ballotOf(kind, more = {}) {
  let changes = 0;
  const ballot = (await loadKind(kind)).ballot({ ...poll, ...more }, () => { changes += 1; });
  const inputs = ballot.element.querySelectorAll("input");
  return { ballot, inputs, changes: () => changes, all: (selector) => ballot.element.querySelectorAll(selector) };
}

describe("one choice", () => {
  it("is the option that is chosen", async () => {
    const { ballot, inputs, changes } = await ballotOf("single");
    inputs[1].click();
    assert.deepEqual(ballot.value(), { choices: [2] });
    assert.equal(changes(), 1);
  });

  it("shows a vote again, and no other", async () => {
    const { ballot, inputs } = await ballotOf("single");
    ballot.set({ choices: [3] });
    ballot.set({ choices: [1] });
    assert.deepEqual(inputs.map((input) => Boolean(input.checked)), [true, false, false]);
  });
});

describe("several choices", () => {
  it("are complete from the least to the most, and stop there", async () => {
    const { ballot, inputs } = await ballotOf("multiple", { min_choices: 2, max_choices: 2 });
    assert.equal(ballot.hint, "Choose 2.");
    inputs[0].click();
    assert.equal(ballot.value(), null);
    inputs[2].click();
    assert.deepEqual(ballot.value(), { choices: [1, 3] });
    assert.deepEqual(inputs.map((input) => input.disabled), [false, true, false]);
    inputs[1].click();
    assert.deepEqual(ballot.value(), { choices: [1, 3] });
    inputs[0].click();
    assert.deepEqual(inputs.map((input) => input.disabled), [false, false, false]);
  });

  it("are any number of options where the poll sets no bounds", async () => {
    const { ballot, inputs } = await ballotOf("multiple", { min_choices: undefined, max_choices: undefined });
    assert.equal(ballot.hint, "Choose 1 to 3.");
    for (const input of inputs) input.click();
    assert.deepEqual(ballot.value(), { choices: [1, 2, 3] });
  });

  it("are asked for as the owner set them on the create page", async () => {
    const kind = await loadKind("multiple");
    const settings = (least, most) => kind.settings({
      options: () => ["A", "B", "C"], value: (name) => ({ min_choices: least, max_choices: most })[name],
    });
    assert.deepEqual(settings("2", "3"), { options: ["A", "B", "C"], min_choices: 2, max_choices: 3 });
    assert.deepEqual(settings("", "x"), { options: ["A", "B", "C"], min_choices: 1, max_choices: 1 });
    assert.equal(kind.ballot(kind.sample(settings("2", "3")), () => {}).hint, "Choose 2 to 3.");
  });
});

describe("a ranking", () => {
  it("is the order in which options were tapped; tapped again, they leave it", async () => {
    const { ballot, all, changes } = await ballotOf("ranked");
    const [apple, pear, plum] = all(".rank-toggle");
    for (const button of [plum, apple, pear]) button.click();
    assert.deepEqual(ballot.value(), { choices: [3, 1, 2] });
    apple.click();
    assert.deepEqual(ballot.value(), { choices: [3, 2] });
    assert.equal(changes(), 4);
    assert.deepEqual([apple, pear, plum].map((button) => button.getAttribute("aria-pressed")), ["false", "true", "true"]);
  });

  it("is moved by its buttons, which stop at the ends, and says where an option went", async () => {
    const { ballot, all } = await ballotOf("ranked");
    ballot.set({ choices: [1, 2, 3] });
    const plum = all("[data-id='3']")[0];
    const [up, down] = [-1, 1].map((by) => plum.querySelector(`[data-by='${by}']`));
    assert.equal(down.disabled, true);
    up.dispatchEvent(Object.assign(new Event("click")));
    assert.deepEqual(ballot.value(), { choices: [1, 3, 2] });
    assert.match(ballot.element.textContent, /Plum is number 2 of 3\./);
    up.dispatchEvent(new Event("click"));
    assert.deepEqual(ballot.value(), { choices: [3, 1, 2] });
    assert.equal(up.disabled, true);
  });

  it("leaves out options that are gone", async () => {
    const { ballot } = await ballotOf("ranked");
    ballot.set({ choices: [9, 2] });
    assert.deepEqual(ballot.value(), { choices: [2] });
  });
});

describe("ratings", () => {
  it("are the stars given, and leave out the rest", async () => {
    const { ballot, inputs } = await ballotOf("rating");
    inputs[3].click(); // the fourth star of the first option
    assert.deepEqual(ballot.value(), { ratings: { 1: 4 } });
    inputs[10].click(); // the first of the third
    assert.deepEqual(ballot.value(), { ratings: { 1: 4, 3: 1 } });
  });

  it("show a vote again and drop what was marked before", async () => {
    const { ballot, inputs } = await ballotOf("rating");
    ballot.set({ ratings: { 1: 5 } });
    ballot.set({ ratings: { 2: 3 } });
    assert.deepEqual(ballot.value(), { ratings: { 2: 3 } });
    assert.deepEqual(inputs.filter((input) => input.checked).map((input) => input.value), ["3"]);
  });
});

describe("a poll that is being written", () => {
  it("needs two options, and its preview shows two before there are any", async () => {
    const kind = await loadKind("single");
    const settings = (options) => kind.settings({ options: () => options, value: () => "" });
    assert.deepEqual(kind.problems(settings(["A"])), [{ field: "options", detail: "Please give at least two options." }]);
    assert.match(kind.ballot(kind.sample(settings([])), () => {}).element.textContent, /First option.*Second option/);
  });
});
