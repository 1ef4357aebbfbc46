// A page in an outage: it asks now and then, each at a moment of its own, and comes back once.

import { closePage } from "./page.mjs";
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";

const { comeBack } = await import("../../web/static/web/js/outage.js");

let answers;
let asked;
let back;
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function pass(ms) {
  mock.timers.tick(ms);
  for (let turns = 0; turns < 5; turns += 1) await turn();
}

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  asked = 0;
  back = 0;
  mock.method(globalThis, "fetch", async (address) => {
    assert.equal(address, "/readyz");
    asked += 1;
    const answer = answers.shift();
    if (answer === undefined) throw new TypeError("no network");
    return { ok: answer };
  });
});

afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
  closePage();
});

describe("an outage", () => {
  it("ends when the server is ready, and the page comes back once", async () => {
    answers = [false, undefined, true, true];
    comeBack(() => { back += 1; });
    assert.equal(asked, 0);
    for (let seconds = 0; seconds < 60; seconds += 1) await pass(1000);
    assert.deepEqual([asked, back], [3, 1]);
  });

  it("asks less and less often, at most every 15 seconds", async () => {
    answers = [];
    comeBack(() => { back += 1; });
    for (let seconds = 0; seconds < 60; seconds += 1) await pass(1000);
    const first = asked;
    for (let seconds = 0; seconds < 300; seconds += 1) await pass(1000);
    assert.ok(first >= 3 && first <= 20, `${first} in the first minute`);
    assert.ok(asked - first <= 21, `${asked - first} in five minutes`);
    assert.equal(back, 0);
  });

  it("asks at a moment of its own", async () => {
    answers = [];
    for (const chance of [0, 0.999]) {
      mock.method(Math, "random", () => chance);
      comeBack(() => {});
    }
    await pass(1001);
    assert.equal(asked, 1);
    await pass(2000);
    assert.ok(asked >= 2);
  });
});
