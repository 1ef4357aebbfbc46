// Signing in, or making an account, in one small form; and who is signed in, with a way out.

import { accountName, enter, signOut } from "./account.js";
import { h, show } from "./dom.js";
import { clearErrors, showErrors } from "./form_errors.js";
import { fill, gettext } from "./i18n.js";

// Wrong passwords lock a name for minutes: say for how many.
const refusal = ({ code, message, retryAfterSeconds }) =>
  code !== "rate_limited" || retryAfterSeconds < 60 ? message : fill(gettext("Too many tries. Try again %(when)s."), {
    when: new Intl.RelativeTimeFormat(document.documentElement.lang).format(Math.ceil(retryAfterSeconds / 60), "minute") });

// Keeps `root` showing one or the other. `changed` is called after each change.
export function accountBox(root, { why, changed = () => {} }) {
  const draw = () => {
    const name = accountName();
    root.replaceChildren(...(name ? signedIn(name, () => { signOut(); draw(); changed(); }) : [
      h("p", { class: "account-why" }, why), form(() => { draw(); changed(); })]));
  };
  draw();
  return { draw };
}

const signedIn = (name, leave) => [h("p", { class: "account-who" },
  h("span", {}, fill(gettext("Signed in as %(name)s"), { name })), " ",
  h("button", { class: "button button-quiet", type: "button", onclick: leave }, gettext("Sign out")))];

function form(done) {
  const field = (name, label, attributes) => h("div", { class: "field" },
    h("label", { for: `account-${name}` }, label),
    h("input", { id: `account-${name}`, "aria-describedby": `account-${name}-error`, ...attributes }),
    h("p", { class: "field-error", id: `account-${name}-error` }));
  const top = h("div", { class: "field-error", role: "alert", tabindex: "-1", hidden: true });
  const username = field("username", gettext("Name"), { type: "text", autocomplete: "username", autocapitalize: "none", spellcheck: "false", maxlength: "150" });
  const password = field("password", gettext("Password"), { type: "password", autocomplete: "current-password", maxlength: "128" });
  const value = (box) => box.querySelector("input").value;
  const element = h("form", { class: "account-form", novalidate: true }, username, password, top,
    h("div", { class: "button-row" },
      h("button", { class: "button button-main", type: "submit", value: "enter" }, gettext("Sign in")),
      h("button", { class: "button", type: "submit", value: "new" }, gettext("Make an account"))));
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearErrors(element);
    show(top, false);
    const buttons = [...element.querySelectorAll("button")];
    buttons.forEach((button) => { button.disabled = true; });
    try {
      await enter(value(username).trim(), value(password), { isNew: event.submitter?.value === "new" });
      done();
    } catch (failure) {
      showErrors(element, { errors: failure.errors ?? [], message: refusal(failure) }, { prefix: "account-", top });
    } finally {
      buttons.forEach((button) => { button.disabled = false; });
    }
  });
  return element;
}
