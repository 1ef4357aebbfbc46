// The live feed of one poll: a socket that comes back by itself; where sockets are blocked, reads.
// Results never go back within an epoch. Events: "poll", "results" (null: hidden), "watching", and
// "state" ({state, since}): connecting | live | polling | reconnecting | offline | gone.

import { Unreachable, getPoll, getResults } from "./api.js";
import { setServerTime } from "./clock.js";

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 5000; // so that after a restart all are back within ten seconds
const OPEN_TIMEOUT_MS = 5000;
const QUIET_MS = 15000; // then ask whether the line is alive
const COUNT_MS = 5000; // how often a page that shows it asks how many watch
const PONG_MS = 2500;
const WAKE_PONG_MS = 900;
const POLLING_MS = 2500;
const TRIES_BEFORE_POLLING = 2;
const GONE = 4404;
const TOO_SLOW = 4408;
const DO_NOT_RETRY = [4400, 4403, 4429]; // the socket is refused; results may still be read

export class LiveFeed extends EventTarget {
  // `access` gives the account's token, or null; `code` the voter code, or null; `counting` asks
  // how many watch.
  constructor(pollId, { token = null, key = null, access = async () => null, code = () => null, counting = false } = {}) {
    super();
    this.pollId = pollId;
    this.token = token;
    this.key = key;
    this.access = access;
    this.code = code;
    this.counting = counting;
    this.state = "connecting";
    this.heardAt = 0;
    this.tries = 0;
    this.newest = null;
    this.etag = null;
    this.stopped = false;
  }

  start() {
    this.listeners = new AbortController();
    const { signal } = this.listeners;
    addEventListener("online", () => this.wake(), { signal });
    addEventListener("offline", () => this.setState("offline"), { signal });
    addEventListener("pageshow", (event) => event.persisted && this.wake(), { signal });
    document.addEventListener("visibilitychange", () => !document.hidden && this.wake(), { signal });
    if (this.counting) {
      const timer = setInterval(() => !document.hidden && this.send({ type: "ping" }), COUNT_MS);
      signal.addEventListener("abort", () => clearInterval(timer));
    }
    this.connect();
    return this;
  }

  stop() {
    this.stopped = true;
    this.listeners?.abort();
    this.drop();
    clearTimeout(this.pollingTimer);
  }

  // For results that show after voting: says who we are, now and after each reconnect.
  identify(token) {
    this.token = token;
    this.etag = null;
    if (this.socket?.readyState === WebSocket.OPEN) this.introduce();
    else if (this.state === "polling") this.readOnce();
  }

  async introduce() {
    const access = await this.access().catch(() => null);
    const names = {
      ...(this.token ? { voter_token: this.token } : {}),
      ...(access ? { access_token: access } : {}),
      ...(this.code() ? { voter_code: this.code() } : {}),
      ...(this.key ? { owner_key: this.key } : {}),
    };
    if (Object.keys(names).length) this.send({ type: "identify", ...names });
  }

  // Asks the API for the poll at once: for the first paint, or when a clock has run out here
  // and no frame has said so.
  async refresh() {
    const heard = this.heardAt;
    try {
      const poll = await getPoll(this.pollId, this.key);
      if (this.heardAt === heard) this.givePoll(poll);
    } catch (failure) {
      if (failure.status === 404) this.end();
    }
  }

  end() {
    this.stop();
    this.setState("gone");
  }

  // ---- the socket ----

  connect() {
    if (this.stopped) return;
    this.drop();
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    let socket;
    try {
      socket = new WebSocket(`${scheme}//${location.host}/ws/polls/${this.pollId}/`);
    } catch {
      this.retry();
      return;
    }
    this.socket = socket;
    socket.onmessage = (event) => socket === this.socket && this.hear(event.data);
    socket.onclose = (event) => socket === this.socket && this.lost(event.code);
    this.openTimer = setTimeout(() => this.lost(0), OPEN_TIMEOUT_MS);
  }

  // Lets the socket go without waiting for a farewell that a dead line never sends.
  drop() {
    clearTimeout(this.openTimer);
    clearTimeout(this.quietTimer);
    clearTimeout(this.pongTimer);
    clearTimeout(this.retryTimer);
    const socket = this.socket;
    this.socket = null;
    if (socket) {
      socket.onmessage = null;
      socket.onclose = null;
      socket.close();
    }
  }

  send(frame) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(frame));
  }

  hear(text) {
    clearTimeout(this.openTimer);
    clearTimeout(this.pongTimer);
    this.heardAt = Date.now();
    this.watchQuiet();
    const frame = JSON.parse(text);
    if (frame.server_time) setServerTime(frame.server_time);
    if (frame.watching !== undefined) {
      this.dispatchEvent(new CustomEvent("watching", { detail: frame.watching }));
    }
    if (frame.type === "snapshot") {
      this.tries = 0;
      clearTimeout(this.pollingTimer);
      this.pollingTimer = null;
      this.setState("live");
      this.givePoll(frame.poll);
      this.giveResults(frame.results);
      if (!frame.results && !this.introduced) {
        this.introduced = true; // once a connection, or two hidden snapshots would chase each other
        this.introduce();
      }
    } else if (frame.type === "results") this.giveResults(frame);
    else if (frame.type === "poll") this.givePoll(frame.poll);
  }

  watchQuiet() {
    clearTimeout(this.quietTimer);
    this.quietTimer = setTimeout(() => this.ask(PONG_MS), QUIET_MS);
  }

  ask(patienceMs) {
    this.send({ type: "ping" });
    clearTimeout(this.pongTimer);
    this.pongTimer = setTimeout(() => {
      this.setState("reconnecting");
      this.connect();
    }, patienceMs);
  }

  // After sleep, a network change or a hidden tab: be right again at once.
  wake() {
    if (this.stopped) return;
    this.tries = 0;
    if (this.socket?.readyState === WebSocket.OPEN && this.heardAt) this.ask(WAKE_PONG_MS);
    else {
      clearTimeout(this.retryTimer);
      this.retryTimer = setTimeout(() => this.connect(), Math.random() * 300);
    }
  }

  lost(code) {
    this.drop();
    this.introduced = false;
    if (this.stopped) return;
    if (code === GONE) this.end();
    else if (DO_NOT_RETRY.includes(code)) this.startPolling();
    else this.retry(code === TOO_SLOW ? 5000 : 0);
  }

  retry(atLeastMs = 0) {
    this.tries += 1;
    const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.tries);
    this.retryTimer = setTimeout(() => this.connect(), atLeastMs + Math.random() * ceiling);
    if (this.state !== "polling") this.setState(navigator.onLine ? "reconnecting" : "offline");
    if (this.tries >= TRIES_BEFORE_POLLING) this.startPolling();
  }

  // ---- reading instead, while there is no socket ----

  startPolling() {
    if (!this.pollingTimer && !this.stopped) this.readOnce();
  }

  async readOnce() {
    clearTimeout(this.pollingTimer);
    this.pollingTimer = setTimeout(() => this.readOnce(), POLLING_MS * (0.75 + Math.random() / 2));
    try {
      this.givePoll(await getPoll(this.pollId, this.key));
      const access = this.key ? null : await this.access();
      const { etag: known, token, key } = this;
      const { body, etag } = await getResults(this.pollId, { etag: known, token, key, access, code: this.code() }).catch((problem) => {
        if (problem.code === "results_hidden") return { body: undefined, etag: null };
        throw problem;
      });
      if (!this.pollingTimer || this.stopped) return; // the socket came back meanwhile
      this.etag = etag || this.etag;
      this.heardAt = Date.now();
      this.setState("polling");
      if (body !== null) this.giveResults(body ?? null);
    } catch (failure) {
      if (failure.status === 404) this.end();
      else if (failure instanceof Unreachable && this.pollingTimer) {
        this.setState(navigator.onLine ? "reconnecting" : "offline");
      }
    }
  }

  // ---- handing on ----

  givePoll(poll) {
    this.dispatchEvent(new CustomEvent("poll", { detail: poll }));
  }

  giveResults(results) {
    const last = this.newest;
    const older = results && last
      && (results.epoch ?? 0) <= (last.epoch ?? 0)
      && ((results.epoch ?? 0) < (last.epoch ?? 0) || results.version < last.version);
    if (older) return;
    if (results) this.newest = results;
    this.dispatchEvent(new CustomEvent("results", { detail: results }));
  }

  setState(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, since: this.heardAt } }));
  }
}
