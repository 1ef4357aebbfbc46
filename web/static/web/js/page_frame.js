// What every page has: the theme switch, the language switch, join forms, and a fallback
// for when a clipboard is forbidden.

import { $ } from "./dom.js";
import { gettext } from "./i18n.js";

const YEAR_SECONDS = 31536000;

$("#theme-switch")?.addEventListener("click", () => globalThis.livepollTheme.toggle());

$("#language-switch")?.addEventListener("change", (event) => {
  document.cookie = `django_language=${event.target.value};path=/;max-age=${YEAR_SECONDS};samesite=lax`;
  location.reload();
});

const join = $("#join");
join?.addEventListener("submit", (event) => {
  event.preventDefault();
  const input = $("#join-code");
  // People paste whole links, and read codes with spaces and dashes.
  const code = (input.value.match(/\/p\/([^/?#]+)/)?.[1] ?? input.value).replace(/[\s-]/g, "").toUpperCase();
  if (/^[A-Z0-9]{4,12}$/.test(code)) location.href = `/p/${code}/`;
  else {
    $("#join-error").textContent = gettext("A code has six letters and digits, like K7QM2X.");
    input.setAttribute("aria-invalid", "true");
    input.focus();
  }
});
