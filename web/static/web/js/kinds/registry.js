// The module of every kind of poll, by the name that the API gives the kind. protocol.js says
// what a module must export.
//
// To add a kind: write its module here and its part in templates/web/kinds/, and name it below.

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

// The kind of the poll that this page is of; its module is preloaded, see web/modules.py.
export const kindOfPage = () => loadKind(document.body.dataset.kind);

// A page of one poll is made for one kind. Its owner may choose another until the first vote;
// then the page starts again.
export function stayWithKind(kind, poll) {
  if (poll.kind !== kind.name) location.reload();
}
