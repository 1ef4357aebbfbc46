// What this browser remembers: the voter token, recorded votes, owner keys, small preferences.
// Storage may be full or forbidden; then the page works and simply forgets.

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

export const voterToken = () => recall("voter");
export const keepVoterToken = (token) => token && remember("voter", token);
export const ownerKey = (pollId) => recall(`owner.${pollId}`)?.key ?? null;

// A random name for one try that may be repeated. Works without a secure context, where
// crypto.randomUUID does not exist (http:// on a hall's own network).
export const randomKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
