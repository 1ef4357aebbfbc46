// The big screen: readable from the back row, right at every moment, driven by single keys.

import { accessToken } from "./account.js";
import { Announcer } from "./announcer.js";
import { getTimeline } from "./api.js";
import { showConnection } from "./connection.js";
import { Countdown } from "./countdown.js";
import { $, $$, h, setText, show } from "./dom.js";
import { fill, gettext, number, dateTime } from "./i18n.js";
import { kindOfPage, stayWithKind } from "./kinds/registry.js";
import { LiveFeed } from "./live.js";
import { handOverToken, ownerKey, recall, remember } from "./memory.js";
import { Shortcuts } from "./shortcuts.js";
import { Timeline } from "./timeline.js";

const pollId = document.body.dataset.poll;
const given = JSON.parse($("#poll-object").textContent);
const [kind] = await Promise.all([kindOfPage(), handOverToken()]);
const parameters = new URLSearchParams(location.search);
const root = document.documentElement;
const key = ownerKey(pollId);
const feed = new LiveFeed(pollId, { key, access: accessToken, counting: true });
const announcer = new Announcer($("#announcer"));
const drawn = kind.results({ drawing: $("#bars"), steps: $("#steps") }, draw);
const timeline = new Timeline($("#timeline"), async () =>
  getTimeline(pollId, { key, access: key ? null : await accessToken() }));
const closing = new Countdown($("#closing-in"), () => setTimeout(() => feed.refresh(), 400));

let poll = null;
let results = null;
let awaited = Boolean($("#bars").firstChild); // results, whose place the page keeps
const on = { sort: false, hide: false, table: false, patterns: recall("patterns") ?? true, qr: true };

// ---- drawing ----

function draw() {
  if (!poll) return;
  setText($("#question"), poll.question);
  drawStatus();
  if (awaited && !on.hide) return;
  const hidden = !results?.counts || on.hide;
  show($("#curtain"), hidden);
  show($("#bars"), !hidden && !on.table);
  show($("#table"), !hidden && on.table);
  if (hidden) show($("#steps"), false);
  show($("#timeline"), Boolean(results?.counts));
  if (hidden) setText($("#curtain"), curtainText());
  if (!results) {
    setText($("#voters"), "–");
    return;
  }
  setText($("#voters"), number(results.voters));
  if (hidden) return;
  drawn.update(poll, results);
  if (on.table) $("#table").replaceChildren(drawn.table());
}

function drawStatus() {
  const label = {
    draft: gettext("Not open yet"),
    scheduled: gettext("Not open yet"),
    paused: gettext("Paused"),
    closed: gettext("Final result"),
  }[poll.status];
  show($("#status"), Boolean(label));
  setText($("#status"), label ?? "");
  $("#status").dataset.status = poll.status;
  const moment = { open: poll.closes_at, scheduled: poll.opens_at }[poll.status] ?? null;
  setText($("#closing-text"), poll.status === "scheduled" ? gettext("Opens in") : gettext("Closes in"));
  show($("#closing"), Boolean(moment));
  closing.set(moment);
  document.body.classList.toggle("is-final", poll.status === "closed");
}

function curtainText() {
  if (results && !results.counts) {
    return fill(gettext("Results are shown once %(n)s people have voted."), { n: number(poll.min_voters) });
  }
  if (results && on.hide) return gettext("Results are hidden. Votes are coming in.");
  if (poll.status === "scheduled" && poll.opens_at) {
    return fill(gettext("Voting opens on %(time)s."), { time: dateTime(poll.opens_at) });
  }
  return {
    after_vote: gettext("Results show to those who have voted."),
    after_close: gettext("Results are shown when the poll closes."),
    owner: gettext("Only the owner sees the results."),
  }[poll.results_visibility] ?? gettext("Connecting…");
}

// ---- controls ----

function press(name, value = !on[name]) {
  on[name] = value;
  $(`[data-do='${name}']`)?.setAttribute("aria-pressed", String(value));
  if (name === "sort") drawn.sort(value);
  if (name === "patterns") {
    root.classList.toggle("no-patterns", !value);
    remember("patterns", value);
  }
  if (name === "qr") document.body.classList.toggle("no-join", !value);
  draw();
}

const actions = {
  sort: () => press("sort"),
  hide: () => press("hide"),
  table: () => press("table"),
  patterns: () => press("patterns"),
  qr: () => press("qr"),
  theme: () => globalThis.livepollTheme.toggle(),
  full: () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen?.())?.catch(() => {}),
  help: () => $("#help").showModal(),
};
for (const button of $$("[data-do]")) button.addEventListener("click", actions[button.dataset.do]);
document.addEventListener("fullscreenchange", () =>
  document.body.classList.toggle("is-full", Boolean(document.fullscreenElement)));

const forward = getComputedStyle(root).direction === "rtl" ? -1 : 1;
const shortcuts = new Shortcuts({
  s: actions.sort, h: actions.hide, t: actions.table, p: actions.patterns, q: actions.qr,
  d: actions.theme, f: actions.full, "?": actions.help,
  ArrowLeft: () => drawn.step(-forward), ArrowRight: () => drawn.step(forward),
});
$("#keys").append(
  ...$$("[data-do]").flatMap((button) => [
    h("dt", {}, h("kbd", {}, $("kbd", button).textContent)), h("dd", {}, $("span", button).textContent)]),
  h("dt", {}, h("kbd", {}, "←"), " ", h("kbd", {}, "→")), h("dd", {}, gettext("Step through the rounds of a ranking")));
$("#keys-on").checked = shortcuts.on;
$("#keys-on").addEventListener("change", (event) => shortcuts.set(event.target.checked));

// ---- the feed ----

feed.addEventListener("poll", ({ detail }) => {
  stayWithKind(kind, detail);
  poll = detail;
  draw();
});
feed.addEventListener("results", ({ detail }) => {
  results = detail;
  awaited = false;
  if (results?.counts) {
    timeline.add(results);
    announcer.later(() => (on.hide || !results?.counts ? "" : kind.summary(poll, results)));
  }
  draw();
});
feed.addEventListener("watching", ({ detail }) => {
  show($("#watching-box"), true);
  setText($("#watching"), number(detail));
});
feed.addEventListener("state", () => {
  if (feed.state !== "live") show($("#watching-box"), false); // the count is not known
  if (feed.state === "gone") {
    awaited = false;
    poll = null;
    show($("#bars"), false);
    show($("#curtain"), true);
    setText($("#curtain"), gettext("This poll has been deleted."));
  }
});

press("patterns", on.patterns);
if (parameters.get("sort") === "1") press("sort", true);
if (parameters.get("join") === "0") press("qr", false);
showConnection($("#connection"), feed);
feed.start();
feed.givePoll(given);
