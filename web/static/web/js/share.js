// How people get to a poll: link, code, QR code; and the owner's own link, with its key after
// the # so that it never travels to a server.

import { h, icon } from "./dom.js";
import { gettext } from "./i18n.js";

export function copyRow(label, text, { secret = false } = {}) {
  const input = h("input", {
    type: "text", readonly: true, value: text, dir: "ltr", "aria-label": label,
    class: secret ? "is-secret" : "", onfocus: (event) => event.target.select(),
  });
  const state = h("span", { role: "status" }, gettext("Copy"));
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // not a secure context: the old way
      input.select();
      document.execCommand("copy");
    }
    state.textContent = gettext("Copied");
    setTimeout(() => { state.textContent = gettext("Copy"); }, 2000);
  };
  return h("div", { class: "copy-row" },
    h("span", { class: "copy-label", "aria-hidden": "true" }, label), input,
    h("button", { class: "button", type: "button", onclick: copy }, icon("copy"), state));
}

export const ownerLink = (poll, key) => `${location.origin}/p/${poll.code}/manage/#key=${encodeURIComponent(key)}`;

export function shareCard(poll, key) {
  const address = `${location.origin}/p/${poll.code}/`;
  return h("div", { class: "share" },
    h("div", { class: "share-top" },
      h("img", { class: "qr", src: `/p/${poll.code}/qr.svg`, alt: gettext("QR code that opens the vote page"), width: "200", height: "200" }),
      h("div", { class: "share-code" },
        h("p", { class: "quiet" }, gettext("Code")),
        h("p", { class: "code", dir: "ltr" }, poll.code),
        h("p", { class: "quiet", dir: "ltr" }, location.host))),
    copyRow(gettext("Link to vote"), address),
    copyRow(gettext("Big screen"), `${address}live/`),
    key ? copyRow(gettext("Owner link"), ownerLink(poll, key), { secret: true }) : null,
    key ? h("p", { class: "hint" }, gettext("Keep the owner link to yourself. It is the only way to manage this poll from another device, and it is shown only on this one.")) : null);
}
