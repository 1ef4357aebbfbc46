// The live feed: comes back by itself, spread out in time, and never shows an older state.

import { closePage, fireOnDocument, fireOnWindow } from "./page.mjs";
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";

import { Server, chance, json, pass, settle } from "./server.mjs";

const { LiveFeed } = await import("../../web/static/web/js/live.js");

const poll = { id: "p", status: "open" };
const at = (version, epoch = 1) => ({ epoch, version, counts: { 1: version } });
let server;
let feed;
let events;

function start(options) {
  feed = new LiveFeed("p", options);
  events = { states: [], results: [], watching: [] };
  feed.addEventListener("state", ({ detail }) => events.states.push(detail.state));
  feed.addEventListener("results", ({ detail }) => events.results.push(detail && [detail.epoch, detail.version]));
  feed.addEventListener("watching", ({ detail }) => events.watching.push(detail));
  feed.start();
}

const snapshot = (results = at(1)) => server.socket.hears({ type: "snapshot", poll, results });
const pings = (socket = server.socket) => socket.sent.filter(({ type }) => type === "ping").length;

// How long after the socket broke the next one was opened.
async function waitForSocket(most = 60_000) {
  const before = server.sockets.length;
  const from = Date.now();
  while (server.sockets.length === before && Date.now() - from < most) mock.timers.tick(1);
  const waited = Date.now() - from;
  await settle();
  return server.sockets.length > before ? waited : null;
}

beforeEach(() => { server = new Server(); });

afterEach(() => {
  feed.stop();
  closePage();
  navigator.onLine = true;
  document.hidden = false;
  mock.timers.reset();
  mock.restoreAll();
});

describe("reconnecting", () => {
  it("waits longer after each try, up to five seconds", async () => {
    chance(0.9999);
    start();
    const waits = [];
    for (let tries = 0; tries < 6; tries += 1) {
      server.socket.breaks(1006);
      waits.push(await waitForSocket());
    }
    assert.deepEqual(waits, [1000, 2000, 4000, 5000, 5000, 5000]);
  });

  it("spreads clients over the whole of that time, down to nothing", async () => {
    for (const [value, waits] of [[0, 1], [0.25, 250], [0.5, 500]]) {
      chance(value);
      start();
      server.socket.breaks(1006);
      assert.equal(await waitForSocket(), waits);
      feed.stop();
    }
  });

  it("begins anew with short waits once a snapshot has come", async () => {
    chance(0.9999);
    start();
    for (let tries = 0; tries < 4; tries += 1) {
      server.socket.breaks(1006);
      await waitForSocket();
    }
    snapshot();
    server.socket.breaks(1006);
    assert.equal(await waitForSocket(), 1000);
  });

  it("waits at least five seconds after being too slow", async () => {
    chance(0);
    start();
    snapshot();
    server.socket.breaks(4408);
    assert.equal(await waitForSocket(), 5000);
  });

  for (const code of [4400, 4403, 4429]) {
    it(`opens no socket after ${code}, and reads instead`, async () => {
      start();
      server.answer = ({ address }) => json(200, address.endsWith("results/") ? at(7) : poll);
      server.socket.breaks(code);
      await settle();
      assert.equal(await waitForSocket(), null);
      assert.deepEqual(events.states, ["polling"]);
      assert.deepEqual(events.results[0], [1, 7]);
    });
  }

  it("ends for good when the poll is gone", async () => {
    start();
    server.socket.breaks(4404);
    assert.deepEqual(events.states, ["gone"]);
    assert.equal(await waitForSocket(), null);
    assert.equal(server.requests.length, 0);
  });

  it("opens nothing more once it is stopped", async () => {
    start();
    server.socket.breaks(1006);
    feed.stop();
    assert.equal(await waitForSocket(), null);
  });

  it("tries again where a socket cannot even be made", async () => {
    chance(0.5);
    server.refuses = true;
    start();
    server.refuses = false;
    assert.equal(await waitForSocket(), 500);
  });

  it("gives up a socket that does not open within five seconds", async () => {
    chance(0);
    start();
    const first = server.socket;
    await pass(4999);
    assert.equal(server.socket, first);
    await pass(2);
    assert.equal(first.readyState, 3);
    assert.notEqual(server.socket, first);
  });

  it("hears nothing more from a socket that it has let go", async () => {
    chance(0);
    start();
    const first = server.socket;
    await pass(5001);
    first.hears({ type: "results", ...at(9) });
    assert.deepEqual(events.results, []);
  });
});

describe("a dead line", () => {
  it("is asked after a quiet while, and left without an answer", async () => {
    chance(0);
    start();
    snapshot();
    await pass(14_999);
    assert.equal(pings(), 0);
    await pass(1);
    assert.equal(pings(), 1);
    await pass(2500);
    assert.equal(server.sockets.length, 2);
    assert.deepEqual(events.states, ["live", "reconnecting"]);
  });

  it("is kept when it answers", async () => {
    start();
    snapshot();
    await pass(15_000);
    server.socket.hears({ type: "pong" });
    await pass(2500);
    assert.equal(server.sockets.length, 1);
    assert.deepEqual(events.states, ["live"]);
  });

  it("is asked at once, with less patience, when the page is seen again", async () => {
    start();
    snapshot();
    fireOnDocument("visibilitychange");
    assert.equal(pings(), 1);
    await pass(900);
    assert.equal(server.sockets.length, 2);
  });

  it("comes back at once with the network, however long the next wait was", async () => {
    chance(0.9999);
    start();
    for (let tries = 0; tries < 4; tries += 1) {
      server.socket.breaks(1006);
      await waitForSocket();
    }
    server.socket.breaks(1006);
    navigator.onLine = false;
    fireOnWindow("offline");
    assert.equal(events.states.at(-1), "offline");
    navigator.onLine = true;
    fireOnWindow("online");
    assert.equal(await waitForSocket(), 300);
  });
});

describe("reading instead of a socket", () => {
  const answers = ({ address }) => json(200, address.endsWith("results/") ? at(3) : poll, { ETag: '"3"' });

  it("begins with the second failed try, and ends with the next snapshot", async () => {
    chance(0.5);
    server.answer = answers;
    start();
    server.socket.breaks(1006);
    await settle();
    assert.equal(server.requests.length, 0);
    await waitForSocket();
    server.socket.breaks(1006);
    await settle();
    assert.deepEqual(events.states, ["reconnecting", "polling"]);
    await waitForSocket();
    snapshot(at(4));
    const asked = server.requests.length;
    await pass(10_000);
    assert.equal(server.requests.length, asked);
    assert.deepEqual(events.states, ["reconnecting", "polling", "live"]);
  });

  it("asks with the ETag that it knows, and hands nothing on when nothing changed", async () => {
    chance(0.5);
    server.answer = answers;
    start();
    server.socket.breaks(4429);
    await settle();
    server.answer = ({ address }) => (address.endsWith("results/") ? new Response(null, { status: 304 }) : json(200, poll));
    await pass(2500);
    const asked = server.requests.filter(({ address }) => address.endsWith("results/"));
    assert.deepEqual(asked.map(({ headers }) => headers["If-None-Match"]), [undefined, '"3"']);
    assert.deepEqual(events.results, [[1, 3]]);
  });

  it("hands on that results are hidden", async () => {
    server.answer = ({ address }) => (address.endsWith("results/") ? json(403, { code: "results_hidden" }) : json(200, poll));
    start();
    server.socket.breaks(4403);
    await settle();
    assert.deepEqual(events.results, [null]);
  });

  it("says that it is reconnecting while nobody answers, and ends when the poll is gone", async () => {
    chance(0.5);
    start();
    server.socket.breaks(4403);
    await settle();
    assert.deepEqual(events.states, ["reconnecting"]);
    server.answer = () => json(404, { code: "poll_not_found" });
    await pass(2500);
    assert.deepEqual(events.states, ["reconnecting", "gone"]);
  });
});

describe("the order of states", () => {
  it("drops what is older in the same epoch, and keeps what is as new", () => {
    start();
    snapshot(at(5));
    for (const version of [4, 5, 6, 3]) server.socket.hears({ type: "results", ...at(version) });
    assert.deepEqual(events.results, [[1, 5], [1, 5], [1, 6]]);
  });

  it("takes the next epoch from zero, and nothing of the last one after it", () => {
    start();
    snapshot(at(5));
    server.socket.hears({ type: "results", ...at(0, 2) });
    server.socket.hears({ type: "results", ...at(9, 1) });
    server.socket.hears({ type: "results", ...at(1, 2) });
    assert.deepEqual(events.results, [[1, 5], [2, 0], [2, 1]]);
  });

  it("holds from one socket to the next", async () => {
    chance(0);
    start();
    snapshot(at(5));
    server.socket.breaks(1006);
    await waitForSocket();
    snapshot(at(4));
    assert.deepEqual(events.results, [[1, 5]]);
  });

  it("lets results be hidden at any moment", () => {
    start();
    snapshot(at(5));
    server.socket.hears({ type: "snapshot", poll, results: null });
    assert.deepEqual(events.results, [[1, 5], null]);
  });
});

describe("who asks", () => {
  it("is said once a connection, and only where results are hidden", async () => {
    start({ token: "t", code: () => "c", access: async () => "a" });
    snapshot();
    await settle();
    assert.deepEqual(server.socket.sent, []);
    snapshot(null);
    snapshot(null);
    await settle();
    assert.deepEqual(server.socket.sent, [{ type: "identify", voter_token: "t", access_token: "a", voter_code: "c" }]);
  });

  it("is not said by who has nothing to say", async () => {
    start();
    snapshot(null);
    await settle();
    assert.deepEqual(server.socket.sent, []);
  });

  it("is said again when it has become known", async () => {
    start();
    snapshot(null);
    await settle();
    feed.identify("new");
    await settle();
    assert.deepEqual(server.socket.sent, [{ type: "identify", voter_token: "new" }]);
  });
});

describe("how many watch", () => {
  it("is asked every five seconds by pages that show it, unless they are out of sight", async () => {
    start({ counting: true });
    snapshot();
    await pass(5000);
    assert.equal(pings(), 1);
    server.socket.hears({ type: "pong", watching: 12 });
    assert.deepEqual(events.watching, [12]);
    document.hidden = true;
    await pass(5000);
    assert.equal(pings(), 1);
  });
});
