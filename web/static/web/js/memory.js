// What this browser remembers; its voter token is in a cookie that no script reads.
// Storage may be full or forbidden; then the page works and simply forgets.

import { mintVoter } from "./api.js";

const PREFIX = "livepoll.";

export function recall(name) {
  try { return JSON.parse(localStorage.getItem(PREFIX + name)); } catch { return null; }
}

export function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
    return true;
  } catch { return false; }
}

export function namesUnder(start) {
  try {
    return Object.keys(localStorage)
      .filter((name) => name.startsWith(PREFIX + start))
      .map((name) => name.slice(PREFIX.length));
  } catch { return []; }
}

export const ownerKey = (pollId) => recall(`owner.${pollId}`)?.key ?? null;

// A random name for one try that may be repeated. Works without a secure context, where
// crypto.randomUUID does not exist (http:// on a hall's own network).
export const randomKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");

let asking = null;
// A vote page comes with the cookie (livepoll/hot_responses.py), until the server drops it.
let isVoterHere = document.documentElement.dataset?.ballot !== undefined;

export const mayBeVoter = () => Boolean(recall("is_voter") || recall("voter"));

// Done when the browser has its cookie.
export async function becomeVoter() {
  if (isVoterHere && !recall("voter")) remember("is_voter", true);
  if ((isVoterHere || recall("is_voter")) && !recall("voter")) return;
  asking ??= ask().finally(() => { asking = null; });
  await asking;
}

// A token that pages from before kept becomes the cookie.
export const handOverToken = async () => {
  if (recall("voter")) await becomeVoter().catch(() => {});
};

export function forgetVoter() {
  remember("voter", null);
  remember("is_voter", null);
  isVoterHere = false;
}

async function ask() {
  const { status } = await mintVoter(recall("voter")).catch((failure) => {
    if (failure.code !== "invalid_token") throw failure;
    forgetVoter();
    return mintVoter();
  });
  if (status !== 204) return; // a server from before, which makes no cookie of it
  remember("voter", null);
  remember("is_voter", true);
}

// Receipts of one poll, by who voted: the next person here does not see the last one's.
export class Receipts {
  // `voter` gives an account's name or a voter code, "" for the browser, null for none yet.
  constructor(pollId, voter) {
    this.pollId = pollId;
    this.voter = voter;
  }

  nameOf(voter) {
    if (voter === null) return null;
    const name = voter.toUpperCase().replace(/[\s-]/g, "");
    return name ? `vote.${this.pollId}.${name}` : `vote.${this.pollId}`;
  }

  recall() {
    const name = this.nameOf(this.voter());
    return name && recall(name);
  }

  keep(receipt, voter = this.voter()) {
    const name = this.nameOf(voter);
    if (name) remember(name, receipt);
  }

  // Pages from before kept one a poll: of the account or code that they remembered.
  adopt() {
    const kept = recall(`vote.${this.pollId}`);
    if (!kept || this.voter() === "") return;
    this.keep(kept);
    remember(`vote.${this.pollId}`, null);
  }
}
