// Voter codes for the owner: make some (shown once, as list, CSV or a sheet of QR codes to
// print), see which are used, revoke.

import { act, pageOfOwned, textOf } from "./api_owner.js";
import { $, h, setText } from "./dom.js";
import { saveLink } from "./exports.js";
import { fill, gettext, number } from "./i18n.js";

export class VoterCodes {
  constructor(pollId, joinCode, key) {
    Object.assign(this, { pollId, joinCode, key });
    $("#codes").addEventListener("submit", (event) => {
      event.preventDefault();
      this.try(event.submitter?.value === "sheet" ? () => this.makeSheet() : () => this.make());
    });
    this.try(() => this.list());
  }

  get count() { return Number($("#codes-count").value); }

  async try(task) {
    setText($("#codes-error"), "");
    try {
      await task();
    } catch (failure) {
      setText($("#codes-error"), failure.errors?.[0]?.detail ?? failure.message);
    }
  }

  async make() {
    const { codes } = await act(this.pollId, this.key, "voter-codes", { count: this.count });
    const page = `${location.origin}/p/${this.joinCode}/`;
    const lines = codes.map((one) => `${one.number},${one.code},${page}#code=${one.code}`);
    $("#codes-made").replaceChildren(
      h("ol", { class: "code-list", dir: "ltr" }, ...codes.map((one) => h("li", { value: one.number }, one.code))),
      h("div", { class: "button-row" },
        saveLink(gettext("Save as CSV"), `voter-codes-${this.joinCode}.csv`, new Blob([["number,code,link", ...lines].join("\r\n")], { type: "text/csv" })),
        h("button", { class: "button", type: "button", onclick: () => print() }, gettext("Print"))));
    await this.list();
  }

  async makeSheet() {
    const html = await textOf(`polls/${this.pollId}/voter-codes/`, this.key, { count: this.count }, "text/html");
    const address = URL.createObjectURL(new Blob([html], { type: "text/html" }));
    $("#codes-made").replaceChildren(
      h("p", {}, gettext("The sheet is ready. It is shown this once.")),
      h("div", { class: "button-row" },
        h("a", { class: "button button-main", href: address, target: "_blank" }, gettext("Open the sheet")),
        h("a", { class: "button", href: address, download: `voter-codes-${this.joinCode}.html` }, gettext("Save the sheet"))));
    await this.list();
  }

  async list() {
    const page = await pageOfOwned(this.pollId, this.key, "voter-codes");
    setText($("#codes-summary"), page.count
      ? fill(gettext("%(used)s of %(all)s codes have been used."), { used: number(page.used), all: number(page.count) })
      : gettext("No codes yet."));
    $("#codes-list").replaceChildren();
    this.show(page);
    $("#codes-all").hidden = page.count === 0;
  }

  // What a page of codes adds to the list, and a button for the next one.
  show({ results, next }) {
    $("#codes-list").append(...results.map((one) => h("li", {},
      h("span", { class: "tabular" }, fill(gettext("Code %(n)s"), { n: number(one.number) })), " ",
      one.revoked_at ? gettext("revoked") : one.used ? gettext("used")
        : h("button", { class: "button button-quiet", type: "button", onclick: () => this.try(() => this.revoke(one.number)) },
          gettext("Revoke"), h("span", { class: "sr-only" }, " ", number(one.number))))));
    if (!next) return;
    const more = h("li", {}, h("button", { class: "button", type: "button", onclick: () => this.try(async () => {
      const page = await pageOfOwned(this.pollId, this.key, "voter-codes", next);
      more.remove();
      this.show(page);
    }) }, gettext("More codes")));
    $("#codes-list").append(more);
  }

  async revoke(codeNumber) {
    await act(this.pollId, this.key, "voter-codes/revoke", { numbers: [codeNumber] });
    await this.list();
  }
}
