// The start page: joins by code, and shows a few open polls that move.

import "./chrome.js";
import { listPolls } from "./api.js";
import { figure } from "./bars.js";
import { $, h, setText } from "./dom.js";
import { gettext, votersText } from "./i18n.js";
import { LiveFeed } from "./live.js";

const SHOWN = 5;
const BARS_EACH = 3;

const box = $("#open-polls");

try {
  const { results: polls } = await listPolls({ status: "open" });
  box.replaceChildren(...polls.slice(0, SHOWN).map(card));
  if (!polls.length) {
    box.replaceChildren(h("p", { class: "quiet" }, gettext("No open polls just now. Yours could be the first.")));
  }
} catch {
  box.replaceChildren(h("p", { class: "quiet" }, gettext("The open polls cannot be shown just now.")));
}
box.removeAttribute("aria-busy");

// The options that lead, best first; the poll's own order where they are level.
const leading = (poll, results) => poll.options
  .map((option) => ({ option, ...figure(poll, results, option.id) }))
  .sort((one, other) => other.rank - one.rank)
  .slice(0, BARS_EACH);

function miniRow() {
  const row = {
    name: h("span", { class: "mini-name", dir: "auto" }),
    main: h("span", { class: "tabular" }),
    fill: h("i", { class: "bar-fill" }),
  };
  row.item = h("li", { class: "mini-row" }, row.name, row.main,
    h("span", { class: "bar-track", "aria-hidden": "true" }, row.fill));
  return row;
}

function card(poll) {
  const voters = h("p", { class: "quiet tabular" }, "…");
  const rows = poll.options.slice(0, BARS_EACH).map(miniRow);
  const mini = h("ol", { class: "mini", hidden: true }, ...rows.map((row) => row.item));
  const article = h("article", { class: "poll-card" },
    h("h3", {}, h("a", { href: `/p/${poll.code}/`, dir: "auto" }, poll.question)), mini, voters);

  const draw = (results) => {
    if (!results?.counts) {
      setText(voters, gettext("Results are hidden for now."));
      return;
    }
    mini.hidden = false;
    leading(poll, results).forEach(({ option, share, main }, n) => {
      rows[n].item.dataset.hue = String((option.id - 1) % 8);
      rows[n].fill.style.setProperty("--share", share.toFixed(4));
      setText(rows[n].name, option.text);
      setText(rows[n].main, main);
    });
    setText(voters, votersText(results.voters));
  };
  const feed = new LiveFeed(poll.id);
  feed.addEventListener("results", ({ detail }) => draw(detail));
  feed.addEventListener("poll", ({ detail }) => {
    poll = detail;
    article.hidden = poll.status !== "open";
  });
  feed.start();
  return article;
}
