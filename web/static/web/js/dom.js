// Elements from code. Text always goes in as text, so nothing a person wrote can become markup.

const SVG = "http://www.w3.org/2000/svg";

function assemble(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else if (name === "checked") element.checked = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// h("p", {class: "note", onclick: f}, "text", otherElement)
export const h = (tag, attributes, ...children) =>
  assemble(document.createElement(tag), attributes, children);

export const svg = (tag, attributes, ...children) =>
  assemble(document.createElementNS(SVG, tag), attributes, children);

// An icon from the page's sprite; decorative, the text beside it says the same.
export const icon = (name) =>
  svg("svg", { class: "icon", "aria-hidden": "true" }, svg("use", { href: `#icon-${name}` }));

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// Touch the page only when the text is another one: cheap at ten frames a second.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
