// The owner's exports: results and votes as CSV, a report as PDF. Fetched with the owner
// key as a header, so that no address carries it.

import { fileOf } from "./api_owner.js";
import { h } from "./dom.js";
import { gettext } from "./i18n.js";

const FILES = () => [
  ["results.csv", gettext("Save results as CSV")],
  ["votes.csv", gettext("Save votes as CSV")],
  ["report.pdf", gettext("Save a report as PDF")],
];

export const saveLink = (text, name, blob) =>
  h("a", { class: "button", download: name, href: URL.createObjectURL(blob) }, text);

// `keyOf()` gives the owner key at the moment of the click; `fail` is called with problems.
export function exportButtons(pollId, joinCode, keyOf, fail) {
  return FILES().map(([name, text]) => h("button", {
    class: "button", type: "button",
    onclick: async () => {
      try {
        const blob = await fileOf(`polls/${pollId}/export/${name}`, keyOf());
        const link = saveLink("", `poll-${joinCode}-${name}`, blob);
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 10000);
      } catch (failure) {
        fail(failure);
      }
    },
  }, text));
}
