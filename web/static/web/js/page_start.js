// The start page: joins by code, and shows a few open polls that move.

import "./page_frame.js";
import { hueOf } from "./bars.js";
import { $, h, setText } from "./dom.js";
import { gettext, votersText } from "./i18n.js";
import { hasPages, loadKind } from "./kinds/registry.js";
import { LiveFeed } from "./live.js";

const BARS_EACH = 3;

// The page has them already, without a figure, in the same form.
const polls = JSON.parse($("#poll-objects").textContent);
$("#open-polls").replaceChildren(...(polls.length ? polls.map(card) : [
  h("p", { class: "quiet" }, gettext("No open polls just now. Yours could be the first."))]));

function miniRow(option = null) {
  const row = {
    name: h("span", { class: "mini-name", dir: "auto" }, option?.text),
    main: h("span", { class: "tabular" }, "–"),
    fill: h("i", { class: "bar-fill" }),
  };
  row.item = h("li", { class: "mini-row", "data-hue": option && hueOf(option) }, row.name, row.main,
    h("span", { class: "bar-track", "aria-hidden": "true" }, row.fill));
  return row;
}

function card(poll) {
  const voters = h("p", { class: "quiet tabular" }, "…");
  const expected = poll.results_visibility === "always" && !poll.min_voters ? poll.options.slice(0, BARS_EACH) : [];
  const rows = expected.map((option) => miniRow(option));
  const mini = h("ol", { class: "mini", hidden: !rows.length }, ...rows.map((row) => row.item));
  const article = h("article", { class: "poll-card" },
    h("h3", {}, h("a", { href: `/p/${poll.code}/`, dir: "auto" }, poll.question)), mini, voters);

  let newest = null;
  const draw = async (results) => {
    newest = results;
    if (!results?.counts) {
      mini.hidden = true;
      setText(voters, gettext("Results are hidden for now."));
      return;
    }
    setText(voters, votersText(results.voters));
    if (!hasPages(poll)) return;
    const kind = await loadKind(poll.kind);
    if (newest !== results) return;
    const leading = kind.leading(poll, results, BARS_EACH);
    mini.hidden = !leading.length;
    while (rows.length < leading.length) {
      rows.push(miniRow());
      mini.append(rows.at(-1).item);
    }
    leading.forEach(({ hue, text, share, main }, n) => {
      rows[n].item.dataset.hue = hue;
      rows[n].fill.style.setProperty("--share", share.toFixed(4));
      setText(rows[n].name, text);
      setText(rows[n].main, main);
    });
  };
  loadKind(poll.kind); // while the socket opens
  const feed = new LiveFeed(poll.id);
  feed.addEventListener("results", ({ detail }) => draw(detail));
  feed.addEventListener("poll", ({ detail }) => {
    poll = detail;
    article.hidden = poll.status !== "open" || !hasPages(poll);
  });
  feed.start();
  return article;
}
