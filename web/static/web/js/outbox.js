// Votes on their way. A vote is written down here before it is sent, and leaves only when the
// server has answered for good, so a lost network, a closed tab or a restart loses nothing.
//
// Promises: each vote keeps one Idempotency-Key over all its tries, so it can never count twice;
// tries are spread out (full jitter).

import { Unreachable, castVote } from "./api.js";
import { becomeVoter, namesUnder, randomKey, recall, remember } from "./memory.js";

const FIRST_DELAY_MS = 800;
const LONGEST_DELAY_MS = 20000;

export class Outbox extends EventTarget {
  // Events: "waiting" {poll, failure}, "recorded" {poll, ballot, response, repeated},
  // "refused" {poll, problem}.
  // `access`: account name → a promise of its token, or null where it is not signed in.
  constructor(access) {
    super();
    this.access = access;
    this.tries = 0;
    this.sending = new Set();
    this.memory = new Map(); // where storage is forbidden
    addEventListener("online", () => this.flushNow());
    document.addEventListener("visibilitychange", () => !document.hidden && this.flushNow());
  }

  waiting(pollId) {
    return this.memory.get(pollId) ?? recall(`outbox.${pollId}`);
  }

  // `account`: whose vote it is where accounts vote; it is never sent in another's name.
  put(pollId, ballot, account = null) {
    const entry = { ballot, key: randomKey(), at: new Date().toISOString(), account };
    this.memory.set(pollId, entry);
    remember(`outbox.${pollId}`, entry);
    return this.send(pollId);
  }

  forget(pollId) {
    this.memory.delete(pollId);
    remember(`outbox.${pollId}`, null);
  }

  flushNow() {
    this.tries = 0;
    this.flush();
  }

  flush() {
    clearTimeout(this.timer);
    const stored = namesUnder("outbox.").map((name) => name.slice("outbox.".length));
    for (const pollId of new Set([...this.memory.keys(), ...stored])) this.send(pollId);
  }

  async send(pollId) {
    const entry = this.waiting(pollId);
    if (!entry || this.sending.has(pollId)) return;
    this.sending.add(pollId);
    try {
      if (!entry.account) await becomeVoter();
      const { status, body } = await castVote(pollId, entry.ballot, {
        access: entry.account ? await this.access(entry.account) : null,
        idempotencyKey: entry.key,
      });
      this.forget(pollId);
      this.tries = 0;
      this.emit("recorded", { poll: pollId, ballot: entry.ballot, response: body, repeated: status === 200 });
    } catch (failure) {
      if (failure instanceof Unreachable || failure.temporary) {
        this.again(failure.retryAfterSeconds ?? 0);
        this.emit("waiting", { poll: pollId, failure });
      } else {
        this.forget(pollId);
        this.emit("refused", { poll: pollId, problem: failure });
      }
    } finally {
      this.sending.delete(pollId);
    }
  }

  again(atLeastSeconds) {
    this.tries += 1;
    const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.tries);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), atLeastSeconds * 1000 + Math.random() * ceiling);
  }

  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
