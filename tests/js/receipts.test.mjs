// Receipts are seen by who voted, and by the next person at the same browser only as the same one.

import { clearStorage } from "./page.mjs";
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";

const js = "../../web/static/web/js";
const { Receipts, recall, remember } = await import(`${js}/memory.js`);

const receipt = { vote: { seq: 1, choices: [2] }, epoch: 1 };
const of = (voter) => new Receipts("p", () => voter);

beforeEach(clearStorage);

describe("a receipt", () => {
  it("is seen by the same code however it is typed, and by no other", () => {
    of("AB2C-D3EF").keep(receipt);
    assert.deepEqual(of("ab2c d3ef").recall(), receipt);
    assert.equal(of("AB2C-D3EG").recall(), null);
    assert.equal(of(null).recall(), null);
    assert.equal(of("").recall(), null);
  });

  it("is seen by the same account, and by nobody who is not signed in", () => {
    of("ada").keep(receipt);
    assert.equal(of("bob").recall(), null);
    assert.equal(of(null).recall(), null);
    of(null).keep(receipt);
    assert.equal(recall("vote.p"), null);
  });

  it("of a vote that was sent for another voter is kept for that one", () => {
    of("CODE-TWO").keep(receipt, "CODE-ONE");
    assert.equal(of("CODE-TWO").recall(), null);
    assert.deepEqual(of("CODE-ONE").recall(), receipt);
  });

  it("of a page from before becomes that of the code or account it remembered", () => {
    remember("vote.p", receipt);
    of("").adopt();
    assert.deepEqual(of("").recall(), receipt);
    of("ada").adopt();
    assert.deepEqual([of("ada").recall(), of("bob").recall(), of("").recall()], [receipt, null, null]);
  });

  it("of a page from before that remembers nobody is dropped", () => {
    remember("vote.p", receipt);
    of(null).adopt();
    assert.equal(recall("vote.p"), null);
  });
});
