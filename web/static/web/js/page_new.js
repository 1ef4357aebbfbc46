// The create page: a form with a live preview; afterwards, everything needed to share the poll.

import "./page_frame.js";
import { accessToken, accountName } from "./account.js";
import { createPoll, getLimits } from "./api_owner.js";
import { $, $$, h, setText, show } from "./dom.js";
import { clearErrors, showErrors, showFields } from "./form_errors.js";
import { fill, gettext } from "./i18n.js";
import { loadKind } from "./kinds/registry.js";
import { remember } from "./memory.js";
import { OptionList } from "./option_list.js";
import { shareCard } from "./share.js";

const form = $("#poll-form");
const limits = { max_options: 50, option_text: 200 };
const options = new OptionList($("#options"), { changed: preview, limits });
const choice = (name) => $(`[name="${name}"]:checked`, form).value;
const offered = $$('[name="kind"]', form).map((input) => input.value);
const kinds = new Map(await Promise.all(offered.map(async (name) => [name, await loadKind(name)])));
const kind = () => kinds.get(choice("kind"));
const settings = () => kind().settings({ options: () => options.texts(), value: (name) => $(`#${name}`).value });

options.add();
options.add();

function draft() {
  const poll = {
    question: $("#question").value.trim(),
    description: $("#description").value.trim(),
    kind: choice("kind"),
    ...settings(),
    voter_policy: choice("voter_policy"),
    results_visibility: choice("results_visibility"),
    vote_change: $("#vote_change").checked,
    listed: $("#listed").checked,
  };
  if ($("#opens").value === "at") poll.opens_at = isoOf($("#opens_at"));
  if ($("#opens").value === "draft") poll.draft = true;
  const least = Number($("#min_voters").value);
  if (least > 0) poll.min_voters = least;
  const closes = $("#closes").value;
  if (closes === "at") poll.closes_at = isoOf($("#closes_at"));
  else if (closes !== "never") poll.duration = Number(closes);
  return poll;
}

const isoOf = (input) => (input.value ? new Date(input.value).toISOString() : null);

function preview() {
  const poll = draft();
  $("#preview").replaceChildren(
    h("p", { class: "phone-question", dir: "auto" }, poll.question || gettext("Your question")),
    poll.description ? h("p", { class: "phone-description", dir: "auto" }, poll.description) : "",
    kind().ballot(kind().sample(settings()), () => {}).element,
    h("span", { class: "button button-main button-wide" }, gettext("Vote")));
}

function refresh() {
  showFields(form, kind().fields);
  show($("#opens-at-field"), $("#opens").value === "at");
  show($("#closes-at-field"), $("#closes").value === "at");
  preview();
}

form.addEventListener("input", refresh);
$("#add-option").addEventListener("click", () => options.add()?.focus());

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  clearErrors(form);
  show($("#form-error"), false);
  const missing = problemsHere();
  if (missing.length) {
    showErrors(form, { errors: missing }, { options, top: $("#form-error") });
    return;
  }
  $("#submit").disabled = true;
  try {
    const isOwn = accountName() && $("#own").checked;
    const access = isOwn ? await accessToken() : null;
    if (isOwn && !access) throw new Error(gettext("Please sign in again, or go on without an account."));
    created(await createPoll(draft(), access));
  } catch (failure) {
    showErrors(form, { errors: failure.errors ?? [], message: failure.message }, { options, top: $("#form-error") });
  } finally {
    $("#submit").disabled = false;
    drawOwner();
  }
});

// ---- who owns it ----

function drawOwner() {
  const name = accountName();
  show($("#own-field"), Boolean(name));
  show($("#own-sign-in"), !name);
  if (name) setText($("#own-text"), fill(gettext("Keep it in my account (%(name)s)"), { name }));
}

$("#own-sign-in").addEventListener("click", async () => {
  const { accountBox } = await import("./sign_in.js");
  accountBox($("#account"), {
    why: gettext("Polls in your account can be managed wherever you sign in."),
    changed: () => {
      drawOwner();
      if (accountName()) $("#account-dialog").close();
    },
  });
  $("#account-dialog").showModal();
});
drawOwner();

// What can be said without asking the server; it checks everything again.
function problemsHere() {
  const errors = [];
  if (!$("#question").value.trim()) errors.push({ field: "question", detail: gettext("Please write a question.") });
  errors.push(...kind().problems(settings()));
  if ($("#opens").value === "at" && !$("#opens_at").value) errors.push({ field: "opens_at", detail: gettext("Please choose a time.") });
  if ($("#closes").value === "at" && !$("#closes_at").value) errors.push({ field: "closes_at", detail: gettext("Please choose a time.") });
  return errors;
}

function created(poll) {
  if (poll.owner_key) remember(`owner.${poll.id}`, { key: poll.owner_key, code: poll.code });
  show($("#create"), false);
  show($("#created"), true);
  setText($("#created-question"), poll.question);
  $("#share").replaceChildren(
    shareCard(poll, poll.owner_key),
    h("div", { class: "button-row" },
      h("a", { class: "button button-main", href: `/p/${poll.code}/live/` }, gettext("Open the big screen")),
      h("a", { class: "button", href: `/p/${poll.code}/manage/` }, gettext("Manage")),
      h("a", { class: "button", href: `/p/${poll.code}/` }, gettext("Vote yourself"))));
  scrollTo(0, 0);
  $("#created").focus();
}

refresh();

try {
  const published = await getLimits();
  limits.max_options = published.options_max ?? limits.max_options;
  limits.option_text = published.option_text_characters ?? limits.option_text;
} catch { /* the server's response to the form says the same */ }
