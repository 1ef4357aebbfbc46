// A page without a browser: as much of the DOM as the modules under test touch. To be imported
// before any of them, because i18n.js reads the page's language when it is loaded.

class Element extends EventTarget {
  constructor(tag) {
    super();
    Object.assign(this, { tag, attributes: {}, nodes: [], parentElement: null, hidden: false, disabled: false, checked: false, value: "" });
    this.style = { values: {}, setProperty: (name, value) => { this.style.values[name] = value; } };
    this.dataset = new Proxy(this, {
      get: (_, name) => this.getAttribute(dataName(name)) ?? undefined,
      set: (_, name, value) => { this.setAttribute(dataName(name), value); return true; },
    });
    this.classList = {
      contains: (name) => this.classes().includes(name),
      toggle: (name, on) => this.setAttribute("class", [...this.classes().filter((one) => one !== name), ...(on ? [name] : [])].join(" ")),
    };
  }

  classes() { return (this.getAttribute("class") ?? "").split(" ").filter(Boolean); }

  setAttribute(name, value) {
    if (name === "hidden") this.hidden = true;
    else this.attributes[name] = String(value);
  }

  getAttribute(name) { return this.attributes[name] ?? null; }

  get children() { return this.nodes.filter((node) => node instanceof Element); }

  get firstChild() { return this.nodes[0] ?? null; }

  append(...nodes) {
    for (const node of nodes) {
      if (node instanceof Element) {
        node.remove();
        node.parentElement = this;
      }
      this.nodes.push(node instanceof Element ? node : String(node));
    }
  }

  remove() {
    if (!this.parentElement) return;
    const { nodes } = this.parentElement;
    nodes.splice(nodes.indexOf(this), 1);
    this.parentElement = null;
  }

  replaceChildren(...nodes) {
    for (const child of this.children) child.remove();
    this.nodes.length = 0;
    this.append(...nodes);
  }

  beside(by) { return this.parentElement?.children[this.parentElement.children.indexOf(this) + by] ?? null; }

  get previousElementSibling() { return this.beside(-1); }

  get nextElementSibling() { return this.beside(1); }

  before(node) { this.put(node, 0); }

  after(node) { this.put(node, 1); }

  put(node, after) {
    node.remove();
    node.parentElement = this.parentElement;
    this.parentElement.nodes.splice(this.parentElement.nodes.indexOf(this) + after, 0, node);
  }

  get textContent() { return this.nodes.map((node) => node.textContent ?? node).join(""); }

  set textContent(text) { this.replaceChildren(String(text)); }

  // One simple selector: tag, .class or [attribute='value'].
  matches(selector) {
    const [, name, value] = selector.match(/^\[([\w-]+)='(.*)'\]$/) ?? [];
    if (name) return this.getAttribute(name) === value;
    return selector.startsWith(".") ? this.classes().includes(selector.slice(1)) : this.tag === selector;
  }

  querySelectorAll(selector) {
    return this.children.flatMap((child) => [...(child.matches(selector) ? [child] : []), ...child.querySelectorAll(selector)]);
  }

  querySelector(selector) { return this.querySelectorAll(selector)[0] ?? null; }

  getBoundingClientRect() { return { left: 0, top: 0 }; }

  animate() {}

  focus() {}

  // As a person does it: a radio or checkbox changes first.
  click() {
    if (this.disabled) return;
    if (this.tag === "input") {
      this.checked = this.getAttribute("type") === "radio" || !this.checked;
      this.dispatchEvent(new Event("change"));
    }
    this.dispatchEvent(new Event("click"));
  }
}

const dataName = (name) => `data-${String(name).replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
const stored = new Map();
let listeners = { window: new EventTarget(), document: new EventTarget() };
const put = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });

export const element = (tag = "div") => new Element(tag);

// What the window and the document tell their listeners.
export const fireOnWindow = (name) => listeners.window.dispatchEvent(new Event(name));
export const fireOnDocument = (name) => listeners.document.dispatchEvent(new Event(name));

// The page is closed, and what comes is another: nobody listens any more, storage stays.
export function closePage() {
  listeners = { window: new EventTarget(), document: new EventTarget() };
}

// The frames of the screen, drawn when a test says so.
const frames = [];
export const drawFrame = () => frames.splice(0).forEach((draw) => draw());

export const clearStorage = () => stored.clear();

put("document", {
  hidden: false, documentElement: { lang: "en", dir: "ltr" }, body: element("body"),
  createElement: element, createElementNS: (_, tag) => element(tag),
  addEventListener: (...of) => listeners.document.addEventListener(...of),
});
put("addEventListener", (...of) => listeners.window.addEventListener(...of));
put("requestAnimationFrame", (draw) => frames.push(draw));
put("matchMedia", () => ({ matches: true }));
put("navigator", { onLine: true });
put("location", { protocol: "https:", host: "poll.example", reload() {} });
// Storage whose names are its keys, as a browser's is.
put("localStorage", new Proxy({}, {
  get: (_, name) => ({
    getItem: (key) => stored.get(key) ?? null,
    setItem: (key, value) => { stored.set(key, value); },
    removeItem: (key) => { stored.delete(key); },
  })[name],
  ownKeys: () => [...stored.keys()],
  getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }),
}));
