// Waiting for a server that is away. A hall waits with us: each asks at a moment of its own, and less
// often the longer it takes.

const FIRST_MS = 2000;
const MOST_MS = 30000;
const GROWTH = 1.6;

// `onReady` is called once, when the server says that it can take votes.
export function comeBack(onReady, span = FIRST_MS) {
  setTimeout(async () => {
    if (await isReady()) onReady();
    else comeBack(onReady, Math.min(MOST_MS, span * GROWTH));
  }, span / 2 + Math.random() * span);
}

async function isReady() {
  try {
    return (await fetch("/readyz", { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}
