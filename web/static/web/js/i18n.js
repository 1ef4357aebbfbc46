// Messages, numbers and times in the page's language. Messages come from Django's catalogue
// (web/messages.py), which runs before any module.

const language = document.documentElement.lang || "en";

export const gettext = (text) => globalThis.django?.gettext?.(text) ?? text;

export const ngettext = (one, many, count) =>
  globalThis.django?.ngettext?.(one, many, count) ?? (count === 1 ? one : many);

// In a right-to-left page each value keeps its own direction (first strong isolate).
const apart = document.documentElement.dir === "rtl" ? (value) => `\u2068${value}\u2069` : String;

// "%(n)s votes" + {n: 3} → "3 votes"
export const fill = (text, values) =>
  text.replace(/%\((\w+)\)s/g, (whole, name) => (name in values ? apart(values[name]) : whole));

const integer = new Intl.NumberFormat(language);
const whole = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 });
const decimal = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const moment = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const hour = new Intl.DateTimeFormat(language, { timeStyle: "medium" });

export const number = (value) => integer.format(value);
export const percent = (share) => whole.format(share);
export const mean = (value) => decimal.format(value);
export const dateTime = (iso) => moment.format(new Date(iso));
export const timeOfDay = (milliseconds) => hour.format(new Date(milliseconds));

export const votersText = (count) =>
  fill(ngettext("%(n)s voter", "%(n)s voters", count), { n: number(count) });

// 93784 s → "1 d 2 h", 125 s → "2:05"
export function duration(seconds) {
  const s = Math.max(0, Math.ceil(seconds));
  const two = (n) => String(n).padStart(2, "0");
  if (s >= 86400) {
    return fill(gettext("%(d)s d %(h)s h"), { d: Math.floor(s / 86400), h: Math.floor(s / 3600) % 24 });
  }
  if (s >= 3600) return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  return `${Math.floor(s / 60)}:${two(s % 60)}`;
}
