// The elements of the page that stand still: built once for a set of runs, then only filled.
// Texts from outside (file names, labels) enter as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes (`on...` are listeners, `text` its text) and children. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "text") node.textContent = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Sets a text only where it changed, so that nothing is laid out again for nothing. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** The ring that stands for a run: solid, dashed or dotted, so that it is known without its colour. */
export function ring(hue) {
  return svg(
    "svg",
    { class: `px-ring px-hue-${hue}`, viewBox: "0 0 20 20", "aria-hidden": "true" },
    svg("circle", { cx: 10, cy: 10, r: 7.5, pathLength: 100 }),
  );
}

/** A row of buttons of which one is pressed. `options`: [[value, text], ...]. */
export function segments(label, options, pick) {
  const buttons = options.map(([value, text]) =>
    el("button", { type: "button", class: "px-choice", "data-value": value, text, onclick: () => pick(value) }),
  );
  return el("div", { class: "px-segments", role: "group", "aria-label": label }, ...buttons);
}

/** Presses the one button of a group that stands for `value`. */
export function press(group, value) {
  for (const button of group.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.value === value));
  }
}

/** A button with the key that does the same. */
export function tool(text, key, act, label) {
  return el(
    "button",
    { type: "button", class: "px-tool", onclick: act, "aria-label": label, "aria-keyshortcuts": key },
    el("span", { text }),
    key ? el("kbd", { text: key, "aria-hidden": "true" }) : null,
  );
}
