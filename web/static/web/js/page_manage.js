// The owner's page. The key comes after the # of the owner link, is kept in this browser, and
// goes out only as an Authorization header to the API. Where an account owns the poll, its token
// takes the key's place and is kept nowhere else.

import "./page_frame.js";
import { accessToken, accountName } from "./account.js";
import { Announcer } from "./announcer.js";
import { getPoll, getTimeline } from "./api.js";
import { act, deletePoll, getOwned, patchPoll } from "./api_owner.js";
import { VoterCodes } from "./codes.js";
import { confirmed } from "./confirm.js";
import { showConnection } from "./connection.js";
import { Countdown } from "./countdown.js";
import { $, h, setText, show } from "./dom.js";
import { exportButtons } from "./exports.js";
import { clearErrors, showErrors, showFields } from "./form_errors.js";
import { dateTime, fill, gettext, ngettext, number, votersText } from "./i18n.js";
import { kindOfPage, stayWithKind } from "./kinds/registry.js";
import { LiveFeed } from "./live.js";
import { ownerKey, remember } from "./memory.js";
import { copyRow, shareCard } from "./share.js";
import { Timeline } from "./timeline.js";

const RENEW_MS = 1800000;
const { poll: pollId, code } = document.body.dataset;
const kind = await kindOfPage();
const announcer = new Announcer($("#announcer"));
const drawn = kind.results({ drawing: $("#bars"), steps: $("#steps") }, drawResults);
const timeline = new Timeline($("#timeline"), () => getTimeline(pollId, { key }));
const closing = new Countdown($("#closing-in"), () => setTimeout(() => feed?.refresh(), 400));

let feed = null;
let poll = null;
let results = null;
let codes = null;
let key = takeKeyFromAddress() ?? ownerKey(pollId);
let isAccount = false;

function takeKeyFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (!given) return null;
  history.replaceState(null, "", location.pathname); // not for over-the-shoulder eyes or screen shares
  keepKey(given);
  return given;
}

function keepKey(given) {
  remember(`owner.${pollId}`, { key: given, code });
}

// ---- drawing ----

function draw() {
  setText($("#question"), poll.question);
  const label = {
    draft: gettext("Draft"), scheduled: gettext("Not open yet"), open: gettext("Open"),
    paused: gettext("Paused"), closed: gettext("Closed"),
  }[poll.status];
  show($("#status"), true);
  setText($("#status"), label);
  $("#status").dataset.status = poll.status;
  const moment = { open: poll.closes_at, scheduled: poll.opens_at }[poll.status] ?? null;
  show($("#closing"), Boolean(moment));
  setText($("#closing-text"), poll.status === "scheduled" ? gettext("Opens in") : gettext("Closes in"));
  closing.set(moment);
  drawControls();
  drawResults();
  show($("#codes-panel"), poll.voter_policy === "code");
  if (poll.voter_policy === "code") codes ??= new VoterCodes(pollId, code, key);
}

function drawControls() {
  const verb = (name, text, main = false) =>
    h("button", { class: main ? "button button-main" : "button", type: "button", "data-verb": name, onclick: () => run(name) }, text);
  const buttons = {
    draft: [verb("open", gettext("Open voting"), true)],
    scheduled: [verb("open", gettext("Open now"), true)],
    open: [verb("close", gettext("Close"), true), verb("pause", gettext("Pause"))],
    paused: [verb("open", gettext("Go on"), true), verb("close", gettext("Close"))],
    closed: [verb("open", gettext("Open again"))],
  }[poll.status] ?? [];
  buttons.push(
    h("a", { class: "button", href: `/p/${code}/live/` }, gettext("Big screen")),
    h("button", { class: "button", type: "button", "data-verb": "clone", onclick: clone }, gettext("Make a copy")),
    h("button", { class: "button button-quiet", type: "button", "data-verb": "reset", onclick: reset }, gettext("Reset")),
    h("button", { class: "button button-quiet is-danger", type: "button", "data-verb": "delete", onclick: remove }, gettext("Delete")));
  if ($("#controls").dataset.status === poll.status) return;
  $("#controls").dataset.status = poll.status;
  const focused = document.activeElement?.dataset?.verb;
  $("#controls").replaceChildren(...buttons);
  if (focused) ($(`[data-verb="${focused}"]`, $("#controls")) ?? $("button", $("#controls")))?.focus();
}

function drawResults() {
  if (!poll || !results) return;
  drawn.update(poll, results);
  setText($("#voters"), votersText(results.voters));
  setText($("#results-title"), results.final ? gettext("Final result") : gettext("Results"));
  if ($(".as-table").open) $("#table").replaceChildren(drawn.table());
}

// ---- acts ----

function fail(failure) {
  show($("#action-error"), true);
  setText($("#action-error"), failure.message);
}

async function run(verb) {
  show($("#action-error"), false);
  try {
    const changed = await act(pollId, key, verb);
    if (changed?.status) feed.givePoll(changed);
    else await feed.refresh();
    announcer.say($("#status").textContent);
    loadHistory();
  } catch (failure) {
    fail(failure);
  }
}

async function reset() {
  const sure = await confirmed({
    title: gettext("Reset this poll?"),
    text: gettext("Counting starts again at zero and everyone may vote again. The votes so far no longer count."),
    yes: gettext("Reset"),
  });
  if (sure) await run("reset");
}

// A draft with the same question, options and rules.
async function clone() {
  try {
    const copy = await act(pollId, key, "clone");
    if (copy.owner_key) remember(`owner.${copy.id}`, { key: copy.owner_key, code: copy.code });
    location.href = `/p/${copy.code}/manage/`;
  } catch (failure) {
    fail(failure);
  }
}

async function remove() {
  const sure = await confirmed({
    title: gettext("Delete this poll?"),
    text: gettext("The poll, its votes and its results are gone for everyone, at once and for good."),
    yes: gettext("Delete"),
  });
  if (!sure) return;
  try {
    await deletePoll(pollId, key);
    feed.stop();
    remember(`owner.${pollId}`, null);
    location.href = "/";
  } catch (failure) {
    fail(failure);
  }
}

// ---- editing ----

const edit = $("#edit");
const editOptions = { inputs: () => [...$("#edit-options").querySelectorAll("input")] };
const editedOptions = () =>
  editOptions.inputs().map((input) => ({ id: Number(input.dataset.id), text: input.value.trim() }));

function fillEdit() {
  $("#edit-question").value = poll.question;
  $("#edit-description").value = poll.description ?? "";
  $("#edit-visibility").value = poll.results_visibility;
  $("#edit-vote-change").checked = poll.vote_change;
  $("#edit-listed").checked = poll.listed;
  showFields(edit, kind.fields);
  $("#edit-options").replaceChildren(...(poll.options ?? []).map((option, n) =>
    h("li", { class: "option-item" }, h("input", {
      type: "text", value: option.text, maxlength: "200", dir: "auto", "data-id": String(option.id),
      "aria-label": fill(gettext("Option %(n)s"), { n: number(n + 1) }),
    }))));
}

edit.addEventListener("submit", async (event) => {
  event.preventDefault();
  clearErrors(edit);
  setText($("#edit-saved"), "");
  const wanted = {
    question: $("#edit-question").value.trim(),
    description: $("#edit-description").value.trim(),
    results_visibility: $("#edit-visibility").value,
    vote_change: $("#edit-vote-change").checked,
    listed: $("#edit-listed").checked,
    ...(kind.fields.includes("options") ? { options: editedOptions() } : {}),
  };
  const changes = Object.fromEntries(Object.entries(wanted)
    .filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(poll[name] ?? "")));
  try {
    if (Object.keys(changes).length) feed.givePoll(await patchPoll(pollId, key, changes));
    fillEdit();
    setText($("#edit-saved"), gettext("Saved"));
    loadHistory();
  } catch (failure) {
    const errors = failure.errors ?? [];
    showErrors(edit, { errors, message: failure.message }, { prefix: "edit-", options: editOptions });
    if (!errors.length) fail(failure);
  }
});

// ---- embed, history, key ----

function drawEmbed() {
  const address = `${location.origin}/p/${code}/live/`;
  $("#embed-embed_origins").value = poll.embed_origins.join("\n");
  $("#embed").replaceChildren(
    copyRow(gettext("For a web page"), `<iframe src="${address}?embed=1" width="640" height="480" title="livepoll" loading="lazy"></iframe>`),
    copyRow(gettext("For a stream"), `${address}?overlay=1`),
    h("p", { class: "hint" }, gettext("A transparent page for OBS and the like: add it as a browser source.")));
}

const embedForm = $("#embed-form");
embedForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  clearErrors(embedForm);
  setText($("#embed-saved"), "");
  const origins = $("#embed-embed_origins").value.split(/[\s,]+/).filter(Boolean);
  try {
    poll = { ...poll, ...(await patchPoll(pollId, key, { embed_origins: origins })) };
    drawEmbed();
    setText($("#embed-saved"), gettext("Saved"));
  } catch (failure) {
    const errors = failure.errors ?? [];
    showErrors(embedForm, { errors, message: failure.message }, { prefix: "embed-" });
    if (!errors.length) fail(failure);
  }
});

async function loadHistory() {
  const [{ corrections }, { points }] = await Promise.all([
    getOwned(pollId, key, "corrections").catch(() => ({ corrections: [] })),
    getTimeline(pollId, { key }).catch(() => ({ points: [] })),
  ]);
  const resets = poll.epoch - 1;
  const events = [
    [poll.created_at, gettext("Created")],
    [poll.opens_at, gettext("Opening time")],
    [points[0]?.at, resets ? gettext("First vote since the last reset") : gettext("First vote")],
    [points.length > 1 ? points.at(-1).at : null, gettext("Last vote so far")],
    ...corrections.map((one) => [one.corrected_at,
      fill(gettext("“%(old)s” became “%(new)s”"), { old: one.old_text, new: one.new_text })]),
    [poll.closed_at ?? poll.closes_at, poll.closed_at ? gettext("Closed") : gettext("Closing time")],
  ].filter(([at]) => at).sort(([one], [other]) => Date.parse(one) - Date.parse(other));
  $("#history").replaceChildren(...events.map(([at, text]) =>
    h("li", {}, h("time", { datetime: at }, dateTime(at)), " ", text)),
  resets ? h("li", {}, fill(ngettext("%(n)s reset; votes before it no longer count.",
    "%(n)s resets; votes before them no longer count.", resets), { n: number(resets) })) : "");
}

async function rotateKey() {
  const sure = await confirmed({
    title: gettext("Make a new owner link?"),
    text: gettext("The old owner link stops working everywhere, at once."),
    yes: gettext("Make a new link"),
  });
  if (!sure) return;
  try {
    key = (await act(pollId, key, "rotate-key")).owner_key;
    isAccount = false;
    keepKey(key);
    drawShare();
    feed.stop();
    if (codes) codes.key = key;
    watch();
  } catch (failure) {
    fail(failure);
  }
}

function drawShare() {
  $("#share").replaceChildren(shareCard(poll, isAccount ? null : key),
    h("button", { class: "button button-quiet", type: "button", onclick: rotateKey }, gettext("Make a new owner link")));
}

// ---- start ----

async function unlock(given, { account = false } = {}) {
  poll = await getPoll(pollId, given);
  // An edit that changes nothing checks the key.
  poll = { ...poll, ...(await patchPoll(pollId, given, { listed: poll.listed })) };
  key = given;
  isAccount = account;
  if (!account) keepKey(given);
  show($("#locked"), false);
  show($("#owner"), true);
  fillEdit();
  $("#exports").replaceChildren(...exportButtons(pollId, code, () => key, fail));
  drawEmbed();
  drawShare();
  draw();
  loadHistory();
  watch();
}

function watch() {
  feed = new LiveFeed(pollId, { key });
  feed.addEventListener("poll", ({ detail }) => {
    stayWithKind(kind, detail);
    poll = { ...poll, ...detail };
    draw();
  });
  feed.addEventListener("results", ({ detail }) => {
    if (!detail?.counts) return;
    results = detail;
    timeline.add(results);
    drawResults();
    announcer.later(() => kind.summary(poll, results));
  });
  showConnection($("#connection"), feed);
  feed.start();
}

$(".as-table").addEventListener("toggle", drawResults);
$("#unlock").addEventListener("submit", async (event) => {
  event.preventDefault();
  const typed = $("#owner-key").value.trim();
  const given = typed.includes("#key=") ? decodeURIComponent(typed.split("#key=")[1]) : typed;
  try {
    await unlock(given);
  } catch (failure) {
    setText($("#unlock-error"), [401, 403].includes(failure.status) ? gettext("This key does not open this poll.") : failure.message);
  }
});

async function unlockByAccount() {
  const access = await accessToken();
  if (access) await unlock(access, { account: true });
  return Boolean(access);
}

function lock(failure) {
  show($("#locked"), true);
  show($("#connection"), false);
  if (!failure) return;
  setText($("#unlock-error"), [401, 403].includes(failure.status) ? gettext("This key does not open this poll.") : failure.message);
}

// An account's token ends after some hours; this page may stay open for days.
setInterval(async () => {
  if (!isAccount) return;
  key = (await accessToken().catch(() => null)) ?? key;
  feed.key = key;
  if (codes) codes.key = key;
}, RENEW_MS);

try {
  if (key) await unlock(key);
  else if (!(await unlockByAccount())) lock();
} catch (failure) {
  const isOpen = key && await unlockByAccount().catch(() => false); // the key may be an old one
  if (!isOpen) lock(failure);
}

if (!$("#locked").hidden) {
  const { accountBox } = await import("./sign_in.js");
  const box = accountBox($("#account"), {
    why: gettext("Or sign in, if your account owns it."),
    changed: () => accountName() && unlockByAccount().catch((failure) => {
      lock(failure);
      box.draw();
    }),
  });
}
