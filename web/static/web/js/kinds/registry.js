// The module of every kind of poll, by the API's name of it; protocol.js says what it exports.

const modules = {
  single: () => import("./single.js"),
  multiple: () => import("./multiple.js"),
  ranked: () => import("./ranked.js"),
  rating: () => import("./rating.js"),
};

export const kindNames = Object.keys(modules);

// Whether the pages can show a poll: a kind may live over REST and sockets alone.
export const hasPages = (poll) => kindNames.includes(poll.kind);

// → a promise of a kind.
export const loadKind = async (name) => (await modules[name]()).default;

// The kind of the poll that this page is of.
export const kindOfPage = () => loadKind(document.body.dataset.kind);

// The owner may choose another kind until the first vote; then the page starts again.
export function stayWithKind(kind, poll) {
  if (poll.kind !== kind.name) location.reload();
}
