// The vote page: one ballot, one clear state at any moment, and the state changes by itself
// while the page is open.

import "./page_frame.js";
import { Announcer } from "./announcer.js";
import { myVote, retractVote } from "./api.js";
import { showConnection } from "./connection.js";
import { Countdown } from "./countdown.js";
import { $, $$, h, icon, setText, show } from "./dom.js";
import { dateTime, fill, gettext, number, votersText } from "./i18n.js";
import { kindOfPage, stayWithKind } from "./kinds/registry.js";
import { LiveFeed } from "./live.js";
import { Receipts, forgetVoter, handOverToken, mayBeVoter, recall, remember } from "./memory.js";
import { Outbox } from "./outbox.js";

const FIRST_FIELD = "#ballot-fields :is(input, textarea, button)";
const pollId = document.body.dataset.poll;
const given = JSON.parse($("#poll-object").textContent);
const [kind] = await Promise.all([kindOfPage(), handOverToken()]);
const announcer = new Announcer($("#announcer"));
const byAccount = () => poll?.voter_policy === "account";
const accountName = () => recall("account")?.username ?? null;
// The access token of the account that is signed in; none for another account.
const access = async (name = accountName()) => {
  if (!name || name !== accountName()) return null;
  return (await import("./account.js")).accessToken();
};
const accessHere = async () => (byAccount() ? access() : null);
const byCode = () => poll?.voter_policy === "code";
const code = () => (byCode() ? recall(`code.${pollId}`) : null);
const voterHere = () => (byAccount() ? accountName() : byCode() ? code() : "");
const receipts = new Receipts(pollId, voterHere);
const who = async () => ({ access: await accessHere(), code: code() });
const feed = new LiveFeed(pollId, { access: accessHere, code });
const outbox = new Outbox(access);
const drawn = kind.results({ drawing: $("#bars"), steps: $("#steps") }, drawResults);

let poll = null;
let account = null; // the sign-in form of a poll where accounts vote
let results = null;
let epoch = null;
let ballot = null;
let receipt = null; // {vote, epoch}
let token = null; // of the last vote: a socket that was opened before the cookie came needs it
let editing = false;
let sending = false;
let awaited = !$("#results").hidden; // results, whose place the page keeps
let byForm = document.body.dataset.voted !== undefined; // a vote that is counted, and not known here yet
let refusal = null; // {code, text}: why the last try did not count
let shownState = "";

// Only polls where accounts vote need it, so only those load it.
async function loadAccount() {
  const { accountBox } = await import("./sign_in.js");
  account ??= accountBox($("#account"), {
    why: gettext("Sign in to vote. Each account counts once."), changed: accountChanged });
}

async function accountChanged() {
  receipt = receipts.recall();
  editing = false;
  refusal = null;
  shownState = "";
  setText($("#ballot-error"), "");
  feed.identify(token);
  if (accountName()) await readMyVote();
  render();
  ($("#ballot").hidden ? $("#state") : $(FIRST_FIELD))?.focus();
}

// ---- what is known ----

function keepReceipt(vote, voter = voterHere()) {
  const kept = vote ? { vote, epoch: vote.epoch ?? epoch } : null;
  receipts.keep(kept, voter);
  const isHere = receipts.nameOf(voterHere() ?? voter) === receipts.nameOf(voter);
  receipt = isHere ? kept : receipts.recall(); // that of another waited in the outbox
  if (receipt) byForm = false;
}

function takeCode() {
  receipts.adopt();
  const given = new URLSearchParams(location.hash.slice(1)).get("code");
  if (given && byCode()) remember(`code.${pollId}`, given);
  $("#voter-code").value = given ?? ($("#voter-code").value || (recall(`code.${pollId}`) ?? ""));
  receipt = receipts.recall();
}

async function readMyVote() {
  try {
    const recorded = await myVote(pollId, await who());
    keepReceipt(recorded.vote ?? recorded);
  } catch (failure) {
    if (failure.code === "invalid_token") forgetToken();
    if (failure.code === "not_voted" && ["device", "account"].includes(poll?.voter_policy)) keepReceipt(null);
  }
  render();
}

function forgetToken() {
  if (!byAccount()) forgetVoter();
  else {
    remember("account", null);
    account.draw();
  }
}

// Only who may have voted asks: a first visit is answered without a question.
const mayHaveVoted = () => Boolean(receipt || byForm || (byAccount()
  ? accountName() : mayBeVoter() && (!byCode() || code())));

// ---- what is shown ----

function render() {
  if (!poll) return;
  setText($("#question"), poll.question);
  setText($("#description"), poll.description ?? "");
  show($("#description"), Boolean(poll.description));
  const open = poll.status === "open";
  const waiting = outbox.waiting(pollId);
  const voting = open && !waiting && !byForm && (editing || !receipt);
  if (voting && !ballot) makeForm();
  show($("#ballot"), voting);
  show($("#keep"), editing && Boolean(receipt));
  show($("#voter-code-field"), byCode());
  show($("#account"), byAccount() && open && !waiting);
  $("#send").disabled = sending;
  setText($("#send"), sending ? gettext("Sending…") : editing && receipt ? gettext("Change my vote") : gettext("Vote"));
  show($("#closing"), open && Boolean(poll.closes_at));
  closing.set(open ? poll.closes_at : null);
  if (!byForm) showState(waiting);
  drawResults();
}

function showState(waiting) {
  const state = stateCard(waiting);
  const signature = JSON.stringify([state?.name, state?.title, state?.lines, poll.vote_change, poll.status]);
  if (signature === shownState) return;
  shownState = signature;
  const box = $("#state");
  show(box, Boolean(state));
  box.dataset.kind = state?.name ?? "";
  box.replaceChildren(...(state ? [
    state.name === "counted" ? h("span", { class: "state-tick", "aria-hidden": "true" }, icon("check")) : null,
    h("h2", {}, state.title),
    state.until ? bigCountdown(state.until) : null,
    ...(state.name === "counted" ? [mine(state), ...paragraphs(state)] : [...paragraphs(state), mine(state)]),
    state.actions?.length ? h("div", { class: "button-row" }, ...state.actions) : null,
  ].filter(Boolean) : []));
}

const paragraphs = (state) => (state.texts ?? []).map((text) => h("p", {}, text));

const mine = ({ lines }) => lines && h("ul", { class: "state-vote", "aria-label": gettext("Your vote") },
  ...lines.map((text) => h("li", { dir: "auto" }, text)));

function stateCard(waiting) {
  if (feed.state === "gone") return { name: "gone", title: gettext("This poll has been deleted.") };
  const lines = receipt?.vote ? kind.voteLines(poll, receipt.vote) : null;
  const secret = hiddenText();
  if (poll.status === "draft" || poll.status === "scheduled") {
    return {
      name: "early", title: gettext("Not open yet"), until: poll.opens_at,
      texts: [poll.opens_at
        ? fill(gettext("Voting opens on %(time)s. This page opens by itself."), { time: dateTime(poll.opens_at) })
        : gettext("This page opens by itself when voting starts.")],
    };
  }
  if (waiting && poll.status !== "closed") {
    return {
      name: "waiting", title: gettext("Your vote is kept on this device."),
      texts: [gettext("It has not reached the server yet. It is sent by itself when the connection is back, and counts once.")],
      lines: kind.voteLines(poll, waiting.ballot),
      actions: [button(gettext("Try now"), () => outbox.flushNow())],
    };
  }
  if (poll.status === "closed") {
    return {
      name: "closed", title: gettext("This poll is closed."),
      texts: [
        poll.closed_at || poll.closes_at
          ? fill(gettext("Closed on %(time)s."), { time: dateTime(poll.closed_at ?? poll.closes_at) }) : null,
        refusal?.code === "poll_closed" ? gettext("It closed before your vote arrived, so that vote was not counted.") : null,
        lines ? gettext("Your vote was counted:") : null,
        secret,
      ].filter(Boolean),
      lines,
    };
  }
  if (poll.status === "paused") {
    return {
      name: "paused", title: gettext("Voting is paused."),
      texts: [gettext("It goes on by itself on this page when the owner opens it again."),
        lines ? gettext("Your vote is counted:") : null].filter(Boolean),
      lines,
    };
  }
  if (receipt && !editing) {
    const notes = [];
    if (refusal?.code === "already_voted") notes.push(gettext("You had voted before. That vote stands, the new one was not counted."));
    if (receipt.vote.seq) notes.push(fill(gettext("Number %(n)s, %(time)s."), { n: number(receipt.vote.seq), time: dateTime(receipt.vote.cast_at) }));
    if (secret) notes.push(secret);
    return { name: "counted", title: gettext("Your vote is counted."), texts: notes, lines, actions: receiptActions() };
  }
  return null;
}

function hiddenText() {
  if (results?.counts) return null;
  if (results) return fill(gettext("Results are shown once %(n)s people have voted."), { n: number(poll.min_voters) });
  return {
    after_vote: receipt ? null : gettext("You see the results once you have voted."),
    after_close: poll.status === "closed" ? null : gettext("Results are shown when the poll closes."),
    owner: gettext("Only the owner sees the results."),
  }[poll.results_visibility] ?? null;
}

function receiptActions() {
  const actions = [];
  if (byCode()) actions.push(button(gettext("Use another code"), useAnotherCode));
  if (poll.voter_policy === "open") actions.push(button(gettext("Vote again"), () => edit(false)));
  else if (poll.vote_change) {
    actions.push(button(gettext("Change my vote"), () => edit(true)));
    actions.push(button(gettext("Take it back"), takeBack));
  }
  return actions;
}

const button = (text, onclick) => h("button", { class: "button", type: "button", onclick }, text);

function bigCountdown(iso) {
  const element = h("p", { class: "state-countdown tabular" });
  new Countdown(element, () => setTimeout(() => feed.refresh(), 400)).set(iso);
  return element;
}

function drawResults() {
  const early = ["draft", "scheduled"].includes(poll?.status);
  const visible = Boolean(results?.counts && poll) && !early && !(poll.status === "open" && editing);
  if (!visible && awaited) return;
  show($("#results"), visible);
  if (!visible) return;
  drawn.update(poll, results);
  setText($("#voters"), votersText(results.voters));
  setText($("#results-title"), results.final ? gettext("Final result") : gettext("Results"));
  if ($(".as-table").open) $("#table").replaceChildren(drawn.table());
}

// ---- the ballot ----

function makeForm() {
  const picked = ballot ? null : pickedBefore();
  ballot = kind.ballot(poll, () => setText($("#ballot-error"), ""));
  $("#ballot-fields").replaceChildren(ballot.element);
  if (picked) ballot.set(picked);
}

// What was chosen in the page's own form before this script ran.
function pickedBefore() {
  const checked = $$("#ballot-fields :checked");
  if (!checked.length) return null;
  const ratings = checked.filter((input) => input.name.startsWith("rating-"));
  return {
    choices: checked.filter((input) => input.name === "choice").map((input) => Number(input.value)),
    ratings: Object.fromEntries(ratings.map((input) => [input.name.slice("rating-".length), Number(input.value)])),
  };
}

function edit(withMine) {
  editing = true;
  refusal = null;
  makeForm();
  if (withMine && receipt) ballot.set(receipt.vote);
  render();
  $(FIRST_FIELD)?.focus();
}

$("#ballot").addEventListener("submit", async (event) => {
  event.preventDefault();
  const value = ballot.value();
  if (!value) {
    setText($("#ballot-error"), ballot.hint);
    $(FIRST_FIELD)?.focus();
    return;
  }
  if (byCode()) {
    value.voter_code = $("#voter-code").value.trim();
    if (!value.voter_code) {
      setText($("#ballot-error"), gettext("Enter the voter code you were given."));
      $("#voter-code").focus();
      return;
    }
    remember(`code.${pollId}`, value.voter_code);
  }
  if (byAccount() && !accountName()) {
    setText($("#ballot-error"), gettext("You need to sign in to vote in this poll."));
    $("#account-username").focus();
    return;
  }
  setText($("#ballot-error"), "");
  refusal = null;
  sending = true;
  $("#send").disabled = true;
  const slow = setTimeout(render, 250); // says "Sending…" only when it takes long enough to see
  await outbox.put(pollId, value, byAccount() ? accountName() : null);
  clearTimeout(slow);
});

$("#keep").addEventListener("click", () => {
  editing = false;
  shownState = "";
  render();
});

function useAnotherCode() {
  remember(`code.${pollId}`, null);
  $("#voter-code").value = "";
  receipt = receipts.recall();
  ballot = null;
  refusal = null;
  render();
  $("#voter-code").focus();
}

async function takeBack() {
  try {
    await retractVote(pollId, await who());
    keepReceipt(null);
    ballot = null;
    announcer.say(gettext("Your vote has been taken back."));
  } catch (failure) {
    announcer.say(failure.message);
    $("#state").append(h("p", { class: "field-error", role: "alert" }, failure.message));
    return;
  }
  render();
  if (poll.results_visibility === "after_vote") feed.identify(token);
}

outbox.addEventListener("recorded", ({ detail }) => {
  if (detail.poll !== pollId) return;
  sending = false;
  editing = false;
  token = detail.response.voter_token;
  if (detail.response.results) feed.giveResults(detail.response.results);
  keepReceipt(detail.response.vote, detail.ballot.voter_code ?? voterHere());
  feed.identify(token);
  shownState = "";
  render();
  announcer.say(gettext("Your vote is counted."));
  $("#state").focus({ preventScroll: true });
  scrollTo({ top: 0, behavior: "auto" });
});

outbox.addEventListener("waiting", ({ detail }) => {
  if (detail.poll !== pollId) return;
  sending = false;
  editing = false;
  render();
  announcer.say(gettext("Your vote is kept on this device."));
});

outbox.addEventListener("refused", ({ detail: { poll: id, problem } }) => {
  if (id !== pollId) return;
  sending = false;
  refusal = { code: problem.code };
  if (problem.code === "already_voted" && problem.body.vote) {
    editing = false;
    keepReceipt(problem.body.vote);
    shownState = "";
  } else if (["poll_closed", "poll_not_open"].includes(problem.code)) {
    shownState = "";
    feed.refresh();
  } else if (problem.code === "invalid_token") forgetToken();
  render();
  setText($("#ballot-error"), problem.body.vote ? "" : problem.message);
});

// ---- the feed ----

const closing = new Countdown($("#closing-in"), () => setTimeout(() => feed.refresh(), 400));

feed.addEventListener("poll", async ({ detail }) => {
  stayWithKind(kind, detail);
  if (detail.voter_policy === "account" && !account) await loadAccount();
  const before = poll;
  poll = detail;
  if (!before) takeCode();
  followEpoch(poll.epoch);
  if (before && ballot && JSON.stringify(before.options) !== JSON.stringify(poll.options)) {
    const value = ballot.value();
    makeForm();
    if (value) ballot.set(value);
  }
  if (before && before.status !== poll.status) announcer.say(statusText());
  if (!before && mayHaveVoted()) readMyVote();
  render();
  document.documentElement.classList.remove("has-receipt");
});

feed.addEventListener("results", ({ detail }) => {
  results = detail;
  awaited = false;
  followEpoch(results?.epoch);
  render();
  if (results?.counts && (receipt || poll?.status === "closed")) {
    announcer.later(() => (results?.counts ? kind.summary(poll, results) : ""));
  }
});

feed.addEventListener("state", () => {
  if (feed.state === "gone") {
    awaited = false;
    show($("#ballot"), false);
    poll ??= { status: "gone" };
    shownState = "";
    showState(null);
  }
  if (feed.state === "live") outbox.flush();
});

// After a reset of the poll a new vote is asked for.
function followEpoch(current) {
  if (current === undefined) return;
  if (receipt?.epoch && receipt.epoch < current) {
    keepReceipt(null);
    ballot = null;
    editing = false;
  }
  epoch = current;
}

function statusText() {
  return {
    open: gettext("Voting is open."),
    paused: gettext("Voting is paused."),
    closed: gettext("This poll is closed."),
  }[poll.status] ?? gettext("Not open yet");
}

$(".as-table").addEventListener("toggle", drawResults);
showConnection($("#connection"), feed);
feed.start();
feed.givePoll(given);
