// Light or dark: told from the background that is really behind the viewer.

/** True for a CSS colour (as computed: rgb(), rgba() or color(srgb ...)) darker than middle grey; null if transparent. */
export function isDark(colour) {
  const numbers = (String(colour).match(/-?[\d.]+(e-?\d+)?/g) ?? []).map(Number);
  if (numbers.length < 3 || numbers[3] === 0) return null;
  const unit = String(colour).startsWith("color(") ? 1 : 255;
  const [r, g, b] = numbers.map((value) => value / unit);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b < 0.5;
}

let onPaper = false;
globalThis.addEventListener?.("beforeprint", () => { onPaper = true; });
globalThis.addEventListener?.("afterprint", () => { onPaper = false; });

/** Walks up from an element, through shadow roots, to the first background that is not transparent; paper is light. */
export function darkBehind(element) {
  if (onPaper) return false;
  for (let node = element; node; node = node.parentNode ?? node.host) {
    if (node.nodeType !== Node.ELEMENT_NODE) continue;
    const dark = isDark(getComputedStyle(node).backgroundColor);
    if (dark !== null) return dark;
  }
  return globalThis.matchMedia("(prefers-color-scheme: dark)").matches;
}

/** {background, ink} of an element for a picture that stands alone; where it has no background, that of the theme. */
export function lookOf(element, dark) {
  const { color: ink, backgroundColor } = getComputedStyle(element);
  const bare = dark ? "#101318" : "#fff";
  return { ink, background: isDark(backgroundColor) === null ? bare : backgroundColor };
}

/** Calls `changed` whenever the theme may have changed; returns a function that stops it. */
export function watchTheme(element, changed) {
  const media = globalThis.matchMedia("(prefers-color-scheme: dark)");
  const observer = new MutationObserver(changed);
  for (const node of [document.documentElement, document.body]) {
    observer.observe(node, { attributes: true, attributeFilter: ["class", "style", "data-theme"] });
  }
  media.addEventListener("change", changed);
  for (const moment of ["beforeprint", "afterprint"]) globalThis.addEventListener(moment, changed);
  // The background has a transition of no length to speak of: a change of a theme's variable is an event.
  element.addEventListener("transitionend", changed);
  return () => {
    observer.disconnect();
    media.removeEventListener("change", changed);
    for (const moment of ["beforeprint", "afterprint"]) globalThis.removeEventListener(moment, changed);
    element.removeEventListener("transitionend", changed);
  };
}
