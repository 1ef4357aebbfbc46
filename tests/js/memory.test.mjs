// A vote page comes with the voter's cookie, so that nothing is asked for before a first vote.

import { clearStorage } from "./page.mjs";
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";

import { Server } from "./server.mjs";

document.documentElement.dataset = { ballot: "p" };
const { becomeVoter, forgetVoter, mayBeVoter, recall, remember } = await import("../../web/static/web/js/memory.js");

let server;

beforeEach(() => {
  server = new Server();
  server.answer = () => new Response(null, { status: 204 });
});

afterEach(() => {
  clearStorage();
  mock.timers.reset();
  mock.restoreAll();
});

describe("a browser on a vote page", () => {
  it("is a voter without asking, and knows it once it votes", async () => {
    assert.equal(mayBeVoter(), false);
    await becomeVoter();
    assert.equal(server.requests.length, 0);
    assert.equal(mayBeVoter(), true);
  });

  it("hands over a token that a page from before kept", async () => {
    remember("voter", "old");
    await becomeVoter();
    assert.deepEqual(server.requests.map(({ headers }) => headers.Authorization), ["Voter old"]);
    assert.equal(recall("voter"), null);
  });

  it("asks when the server has dropped its cookie", async () => {
    forgetVoter();
    await becomeVoter();
    assert.equal(server.requests.length, 1);
  });
});
