// The public API, called the way any client would. Failures are Problem (the server said no)
// or Unreachable (no response came).

import { gettext } from "./i18n.js";
import { problemMessage } from "./problem_messages.js";

const BASE = "/api/v1/";

export class Unreachable extends Error {}

export class Problem extends Error {
  constructor(status, body, retryAfterSeconds) {
    super(problemMessage(body));
    this.status = status;
    this.code = body.code || "unknown";
    this.errors = body.errors || [];
    this.body = body;
    this.retryAfterSeconds = retryAfterSeconds;
  }

  // Worth the same request again later.
  get temporary() {
    return [408, 425, 429].includes(this.status) || this.status >= 500;
  }
}

// → {status, body, etag, text, blob}; body is null for 204, 304 and for what is not JSON.
export async function request(method, path, { body, headers = {}, timeoutMs = 10000 } = {}) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), timeoutMs);
  let response;
  let text = "";
  let blob;
  try {
    response = await fetch(BASE + path, {
      method,
      headers: {
        Accept: "application/json",
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "same-origin",
      signal: stop.signal,
    });
    blob = await response.blob();
    if (!/^application\/pdf/.test(blob.type)) text = await blob.text();
  } catch (cause) {
    throw new Unreachable(gettext("The server cannot be reached."), { cause });
  } finally {
    clearTimeout(timer);
  }
  let json = null;
  try { json = text ? JSON.parse(text) : null; } catch { /* a proxy's own error page */ }
  if (response.ok || response.status === 304) {
    return { status: response.status, body: json, text, blob, etag: response.headers.get("ETag") };
  }
  throw new Problem(response.status, json || {}, Number(response.headers.get("Retry-After")) || 0);
}

export const bearer = (key) => (key ? { Authorization: `Bearer ${key}` } : {});
const voter = (token) => (token ? { Authorization: `Voter ${token}` } : {});
// Who votes: an account where there is one, else this browser, by its cookie or a token that was
// just answered; with a code where polls want one.
const credentials = ({ token, access, code }) => ({
  ...(access ? bearer(access) : voter(token)),
  ...(code ? { "Voter-Code": code } : {}),
});

export const getPoll = async (id, key) =>
  (await request("GET", `polls/${encodeURIComponent(id)}/`, { headers: bearer(key) })).body;

// → {body, etag}; body is null when nothing changed since `etag`.
export const getResults = (id, { etag, key, ...who } = {}) =>
  request("GET", `polls/${id}/results/`, {
    headers: { ...credentials(who), ...bearer(key), ...(etag ? { "If-None-Match": etag } : {}) },
  });
export const getTimeline = async (id, { key, ...who }) =>
  (await request("GET", `polls/${id}/timeline/`, { headers: { ...credentials(who), ...bearer(key) } })).body;

// The token that is given, else the one in the cookie, else a new one: as the browser's cookie.
export const mintVoter = (token) =>
  request("POST", "voters/", { body: { cookie: true }, headers: voter(token) });
export const castVote = (id, ballot, { idempotencyKey, ...who }) =>
  request("POST", `polls/${id}/votes/`, {
    body: ballot,
    headers: { ...credentials(who), "Idempotency-Key": idempotencyKey },
  });
export const myVote = async (id, who) =>
  (await request("GET", `polls/${id}/votes/me/`, { headers: credentials(who) })).body;
export const retractVote = (id, who) =>
  request("DELETE", `polls/${id}/votes/me/`, { headers: credentials(who) });
