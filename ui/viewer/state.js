// What is being looked at: the whole state of the viewer and its form in the address.
import { wordsOf } from "./address.js";

export const DEFAULTS = Object.freeze({
  layer: null, // null: the deepest layer
  class: null, // null: nobody has chosen, so that it is the likeliest of each photo
  show: "positive",
  scale: "own",
  cells: "smooth",
  fade: 0, // 0: every run in its own panel; 1: the second run's evidence over the first panel
  labels: true,
  swap: false,
  channels: 12,
});

const CHOICES = { show: ["positive", "signed"], scale: ["own", "shared"], cells: ["smooth", "native"] };

/** The most channels that fit a row, as in payload.py. */
export const MOST_CHANNELS = 24;

/** The state as a URL hash without the "#": `layer=5c&class=cat&show=signed&...`, every key, fixed order. */
export function encodeState(state) {
  const words = new URLSearchParams();
  for (const key of Object.keys(DEFAULTS)) {
    const value = state[key] ?? DEFAULTS[key];
    if (value === null) continue;
    if (typeof value === "boolean") words.set(key, value ? "1" : "0");
    else if (key === "fade") words.set(key, String(Math.round(value * 100) / 100));
    else words.set(key, String(value));
  }
  return words.toString();
}

/** The part of a state that a hash names, the page's by default; what is unknown or malformed is left out, never guessed. */
export function decodeState(hash) {
  const words = wordsOf(hash);
  const state = {};
  for (const key of ["layer", "class"]) if (words.get(key)) state[key] = words.get(key);
  for (const [key, allowed] of Object.entries(CHOICES)) {
    if (allowed.includes(words.get(key))) state[key] = words.get(key);
  }
  for (const key of ["labels", "swap"]) {
    if (["0", "1"].includes(words.get(key))) state[key] = words.get(key) === "1";
  }
  for (const key of ["fade", "channels"]) {
    const text = words.get(key);
    if (text && Number.isFinite(Number(text))) state[key] = Number(text);
  }
  return state;
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** The label of the class to be shown: the chosen one, or the one that the first run finds likeliest. */
export function classOf(state, meta) {
  const probabilities = meta.runs?.[0]?.probabilities ?? [];
  return state.class ?? meta.classes[Math.max(0, probabilities.indexOf(Math.max(...probabilities)))].label;
}

/** A state that this payload can show: known layer, a known class or none, numbers in range. */
export function fitState(state, meta) {
  const fitted = { ...DEFAULTS, ...state };
  const layers = meta.layers.map((layer) => layer.name);
  const labels = meta.classes.map((item) => item.label);
  if (!layers.includes(fitted.layer)) fitted.layer = layers.at(-1);
  if (!labels.includes(fitted.class)) fitted.class = null;
  for (const [key, allowed] of Object.entries(CHOICES)) {
    if (!allowed.includes(fitted[key])) fitted[key] = DEFAULTS[key];
  }
  fitted.fade = clamp(Number(fitted.fade) || 0, 0, 1);
  fitted.channels = clamp(Math.round(Number(fitted.channels)) || DEFAULTS.channels, 1, MOST_CHANNELS);
  fitted.labels = Boolean(fitted.labels);
  fitted.swap = Boolean(fitted.swap);
  return fitted;
}
