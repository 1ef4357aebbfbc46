// Light or dark, and whether there is a receipt, before the first paint. A classic script in the head, so that no page flashes.
// Promises: the choice is kept; without one the system's preference holds.
(() => {
  const root = document.documentElement;
  const stored = () => {
    try { return localStorage.getItem("livepoll.theme"); } catch { return null; }
  };
  const show = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  // A ballot that this browser has filled in is not shown before page_vote.js knows whether it holds.
  const { ballot } = root.dataset;
  try {
    const names = [`livepoll.vote.${ballot}`, `livepoll.outbox.${ballot}`];
    if (names.some((name) => localStorage.getItem(name))) root.classList.add("has-receipt");
  } catch { /* no receipts either */ }
  const parameters = new URLSearchParams(location.search);
  show(parameters.get("theme") || (parameters.get("overlay") === "1" ? "dark" : stored()));
  globalThis.livepollTheme = {
    isDark: () => root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches,
    toggle() {
      const next = this.isDark() ? "light" : "dark";
      try { localStorage.setItem("livepoll.theme", next); } catch { /* shown, not kept */ }
      show(next);
    },
  };
})();
