// The account that this browser is signed in to, if any: its name, a short token for requests
// and a long one that renews it.

import { request } from "./api.js";
import { now } from "./clock.js";
import { recall, remember } from "./memory.js";

const SPARE_MS = 60000;
const post = async (path, body) => (await request("POST", `accounts/${path}`, { body })).body;
let renewing = null;

export const accountName = () => recall("account")?.username ?? null;

export const signOut = () => remember("account", null);

export async function enter(username, password, { isNew = false } = {}) {
  const tokens = await post(isNew ? "" : "token/", { username, password });
  remember("account", { username, access: tokens.access, refresh: tokens.refresh });
}

// A token that is good for a while yet; null for who is not signed in, or no longer.
export async function accessToken() {
  const known = recall("account");
  if (!known) return null;
  if (endOf(known.access) > now() + SPARE_MS) return known.access;
  renewing ??= renew(known).finally(() => { renewing = null; });
  return renewing;
}

async function renew(known) {
  try {
    const tokens = await post("token/refresh/", { refresh: known.refresh });
    remember("account", { ...known, access: tokens.access, refresh: tokens.refresh });
    return tokens.access;
  } catch (failure) {
    if (failure.status !== 401) throw failure;
    signOut();
    return null;
  }
}

// When a token ends, in milliseconds; 0 for what is no token.
function endOf(token) {
  try {
    return JSON.parse(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"))).exp * 1000;
  } catch { return 0; }
}
