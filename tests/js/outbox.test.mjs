// Votes on their way: kept until the server has answered for good, and sent under one key.

import { clearStorage, closePage, fireOnDocument, fireOnWindow } from "./page.mjs";
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";

import { Server, chance, json, pass, settle } from "./server.mjs";

const js = "../../web/static/web/js";
const { Outbox } = await import(`${js}/outbox.js`);
const { recall, remember } = await import(`${js}/memory.js`);

const ballot = { choices: [1] };
const recorded = () => json(201, { vote: { seq: 1 }, voter_token: "token" });
let server;
let outbox;
let events;

function close() {
  clearTimeout(outbox.timer);
  closePage();
}

function open(access = async () => null) {
  outbox = new Outbox(access);
  events = [];
  for (const name of ["waiting", "recorded", "refused"]) {
    outbox.addEventListener(name, ({ detail }) => events.push([name, detail.poll, detail.problem?.code ?? detail.repeated]));
  }
}

const keys = () => server.requests.map(({ headers }) => headers["Idempotency-Key"]);
const names = () => events.map(([name]) => name);

beforeEach(() => {
  server = new Server();
  remember("is_voter", true); // but see "a first vote"
  open();
});

afterEach(() => {
  close();
  clearStorage();
  mock.timers.reset();
  mock.restoreAll();
});

describe("a vote", () => {
  it("leaves when it is recorded, and the voter's token is not kept", async () => {
    server.answer = recorded;
    await outbox.put("p", ballot);
    assert.deepEqual(events, [["recorded", "p", false]]);
    assert.equal(outbox.waiting("p"), null);
    assert.equal(recall("voter"), null);
    assert.deepEqual(server.requests.map(({ method, address, body }) => [method, address, body]),
      [["POST", "/api/v1/polls/p/votes/", ballot]]);
  });

  it("is written down before it is sent", async () => {
    let kept;
    server.answer = () => {
      kept = recall("outbox.p");
      return recorded();
    };
    await outbox.put("p", ballot);
    assert.deepEqual(kept.ballot, ballot);
    assert.equal(kept.key, keys()[0]);
  });

  it("is kept while nobody answers, and tried again under the same key", async () => {
    chance(0.5);
    await outbox.put("p", ballot);
    assert.deepEqual(names(), ["waiting"]);
    assert.deepEqual(outbox.waiting("p").ballot, ballot);
    server.answer = () => json(200, { vote: { seq: 1 } });
    await pass(800);
    assert.deepEqual(events.at(-1), ["recorded", "p", true]);
    assert.equal(new Set(keys()).size, 1);
    assert.equal(outbox.waiting("p"), null);
  });

  it("survives that the page is closed", async () => {
    await outbox.put("p", ballot);
    const [key] = keys();
    close();
    open();
    server.answer = recorded;
    outbox.flush();
    await settle();
    assert.deepEqual(events, [["recorded", "p", false]]);
    assert.equal(keys().at(-1), key);
  });

  it("is held by the page alone where storage is forbidden", async () => {
    const forbidden = Object.getOwnPropertyDescriptor(globalThis, "localStorage");
    Object.defineProperty(globalThis, "localStorage", { get() { throw new Error("forbidden"); }, configurable: true });
    try {
      await outbox.put("p", ballot);
      assert.deepEqual(outbox.waiting("p").ballot, ballot);
      server.answer = recorded;
      outbox.flushNow();
      await settle();
      assert.deepEqual(names(), ["waiting", "recorded"]);
    } finally {
      Object.defineProperty(globalThis, "localStorage", forbidden);
    }
  });

  it("that a second press casts takes the place of one that still waits", async () => {
    await outbox.put("p", { choices: [1] });
    await outbox.put("p", { choices: [2] });
    assert.deepEqual(outbox.waiting("p").ballot, { choices: [2] });
    assert.equal(new Set(keys()).size, 2);
  });

  it("is sent once, however often the page asks while it is under way", async () => {
    let answer;
    server.answer = () => new Promise((resolve) => { answer = resolve; });
    outbox.put("p", ballot);
    await settle();
    outbox.flushNow();
    outbox.flushNow();
    await settle();
    answer(recorded());
    await settle();
    assert.equal(server.requests.length, 1);
    assert.deepEqual(names(), ["recorded"]);
  });
});

describe("trying again", () => {
  it("waits longer each time, up to twenty seconds", async () => {
    chance(0.9999);
    await outbox.put("p", ballot);
    const waits = [];
    for (let tries = 1; tries <= 6; tries += 1) {
      const from = Date.now();
      while (server.requests.length === tries) await pass(10);
      waits.push(Date.now() - from);
    }
    assert.deepEqual(waits, [1600, 3200, 6400, 12_800, 20_000, 20_000]);
  });

  it("spreads tries over that time", async () => {
    chance(0.25);
    await outbox.put("p", ballot);
    await pass(399);
    assert.equal(server.requests.length, 1);
    await pass(1);
    assert.equal(server.requests.length, 2);
  });

  it("comes no sooner than the server asks for", async () => {
    chance(0);
    server.answer = () => json(503, { code: "overloaded" }, { "Retry-After": "7" });
    await outbox.put("p", ballot);
    await pass(6999);
    assert.equal(server.requests.length, 1);
    await pass(1);
    assert.equal(server.requests.length, 2);
  });

  it("comes at once with the network, and when the page is seen again", async () => {
    chance(0.9999);
    await outbox.put("p", ballot);
    fireOnWindow("online");
    await settle();
    assert.equal(server.requests.length, 2);
    fireOnDocument("visibilitychange");
    await settle();
    assert.equal(server.requests.length, 3);
  });

  for (const status of [408, 425, 429, 500, 502, 503]) {
    it(`follows a ${status}`, async () => {
      server.answer = () => json(status, {});
      await outbox.put("p", ballot);
      assert.deepEqual(names(), ["waiting"]);
      assert.notEqual(outbox.waiting("p"), null);
    });
  }
});

describe("a refusal for good", () => {
  for (const [status, code] of [[409, "already_voted"], [409, "poll_closed"], [404, "poll_not_found"], [401, "invalid_token"]]) {
    it(`lets the vote go: ${code}`, async () => {
      server.answer = () => json(status, { code });
      await outbox.put("p", ballot);
      assert.deepEqual(events, [["refused", "p", code]]);
      assert.equal(outbox.waiting("p"), null);
      await pass(60_000);
      assert.equal(server.requests.length, 1);
    });
  }

  it("comes to a vote that was kept until its poll had closed", async () => {
    await outbox.put("p", ballot);
    server.answer = () => json(409, { code: "poll_closed" });
    await pass(86_400_000);
    assert.deepEqual(events.at(-1), ["refused", "p", "poll_closed"]);
    assert.equal(outbox.waiting("p"), null);
  });
});

describe("votes in several polls", () => {
  it("are kept apart, each with a key of its own", async () => {
    await outbox.put("one", { choices: [1] });
    await outbox.put("two", { choices: [2] });
    assert.equal(new Set(keys()).size, 2);
    outbox.forget("one");
    assert.equal(outbox.waiting("one"), null);
    assert.deepEqual(outbox.waiting("two").ballot, { choices: [2] });
  });

  it("are all sent by the page of any of them, and one's refusal leaves the other", async () => {
    await outbox.put("one", ballot);
    close();
    open();
    await outbox.put("two", ballot);
    server.answer = ({ address }) => (address.includes("/one/") ? json(409, { code: "poll_closed" }) : recorded());
    outbox.flushNow();
    await settle();
    assert.deepEqual(events.slice(1).sort(), [["recorded", "two", false], ["refused", "one", "poll_closed"]]);
  });
});

describe("an account's vote", () => {
  it("is sent in its name, in nobody else's, and without one by who has signed out", async () => {
    open(async (name) => (name === "ada" ? "token of ada" : null));
    server.answer = () => json(201, { vote: { seq: 1 } });
    await outbox.put("p", ballot, "ada");
    await outbox.put("p", ballot, "bob");
    await outbox.put("p", ballot);
    assert.deepEqual(server.requests.map(({ headers }) => headers.Authorization),
      ["Bearer token of ada", undefined, undefined]);
  });
});

describe("a first vote", () => {
  const asked = () => server.requests.map(({ address, headers, body }) =>
    [address, headers.Authorization, body]);
  const minting = (answer) => ({ address }) => (address.endsWith("/voters/") ? answer() : recorded());
  const cookie = () => new Response(null, { status: 204 });
  const votes = ["/api/v1/polls/p/votes/", undefined, ballot];

  beforeEach(clearStorage);

  it("asks for the cookie before, once", async () => {
    server.answer = minting(cookie);
    await outbox.put("p", ballot);
    await outbox.put("p", ballot);
    assert.deepEqual(asked(), [["/api/v1/voters/", undefined, { cookie: true }], votes, votes]);
  });

  it("asks once for votes in several polls that leave together", async () => {
    server.answer = minting(cookie);
    await Promise.all([outbox.put("p", ballot), outbox.put("q", ballot)]);
    assert.equal(asked().filter(([address]) => address.endsWith("/voters/")).length, 1);
  });

  it("waits while the cookie cannot be had", async () => {
    server.answer = minting(() => json(503, { code: "overloaded" }));
    await outbox.put("p", ballot);
    assert.deepEqual(names(), ["waiting"]);
    server.answer = minting(cookie);
    await pass(60_000);
    assert.deepEqual(names(), ["waiting", "recorded"]);
  });

  it("hands over the token that pages from before kept, once", async () => {
    remember("voter", "kept");
    server.answer = minting(cookie);
    await outbox.put("p", ballot);
    await outbox.put("p", ballot);
    assert.deepEqual(asked(), [["/api/v1/voters/", "Voter kept", { cookie: true }], votes, votes]);
    assert.equal(recall("voter"), null);
  });

  it("keeps that token for a server from before, which makes no cookie of it", async () => {
    remember("voter", "kept");
    server.answer = minting(() => json(201, { voter_token: "other" }));
    await outbox.put("p", ballot);
    assert.equal(recall("voter"), "kept");
  });

  it("drops a token that is valid no more", async () => {
    remember("voter", "kept");
    server.answer = ({ address, headers }) => {
      if (headers.Authorization) return json(401, { code: "invalid_token" });
      return address.endsWith("/voters/") ? cookie() : recorded();
    };
    await outbox.put("p", ballot);
    assert.deepEqual(asked().map(([, authorization]) => authorization), ["Voter kept", undefined, undefined]);
    assert.deepEqual([recall("voter"), recall("is_voter")], [null, true]);
  });
});
