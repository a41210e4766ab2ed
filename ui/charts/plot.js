// One chart over epochs: axes, lines, values at the cursor. Lengths are pixels of the page.
import { svg } from "../viewer/parts.js";

const ROOM = { left: 46, top: 34, bottom: 26 };
/** From the cursor to the words beside it. */
const BESIDE = 10;
/** Least distance between two labels, so that both can be read. */
const APART = 18;

/** A square, a triangle, a diamond, a triangle upside down, a cross. */
const SHAPES = [
  "M-1-1H1V1H-1Z",
  "M0-1.3 1.3 1H-1.3Z",
  "M0-1.4 1.4 0 0 1.4-1.4 0Z",
  "M-1.3-1H1.3L0 1.3Z",
  "M-.5-1.4H.5V-.5H1.4V.5H.5V1.4H-.5V.5H-1.4V-.5H-.5Z",
];

/** What a further run of a hue bears, for its colour and its dashes are those of the first; the first bears nothing. */
export function shape(nth, x, y, size, name = "") {
  if (!nth) return [];
  const d = SHAPES[(nth - 1) % SHAPES.length];
  return [svg("path", { class: `pc-shape ${name}`, d, transform: `translate(${x} ${y}) scale(${size})` })];
}

/** Where a value stands between two ends, 0..1, on a linear or a logarithmic scale. */
export function share(value, [low, high], log) {
  const at = log ? Math.log : Number;
  return high === low ? 0.5 : (at(value) - at(low)) / (at(high) - at(low));
}

/** A few round values between two ends. */
export function ticks([low, high], log) {
  const steps = [1, 2, 5];
  const found = [];
  if (log) {
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
      for (const step of high / low > 300 ? [1] : high / low > 30 ? [1, 3] : steps) found.push(step * 10 ** power);
    }
  } else {
    const rough = (high - low) / 4;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * (steps.find((one) => one * power >= rough) ?? 10);
    for (let value = Math.ceil(low / step - 1e-9) * step + 0; value <= high * (1 + 1e-9); value += step) found.push(value);
  }
  return found.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
}

/** Moves labels apart, keeping their order, so that none is nearer than `apart` to the next; all within two ends. */
export function spread(places, apart, low, high) {
  const order = places.map((_, index) => index).sort((a, b) => places[a] - places[b]);
  const moved = [...places];
  order.forEach((index, k) => {
    if (k) moved[index] = Math.max(moved[index], moved[order[k - 1]] + apart);
  });
  for (let k = order.length - 1, limit = high; k >= 0; k -= 1, limit = moved[order[k + 1]] - apart) {
    moved[order[k]] = Math.min(moved[order[k]], limit);
  }
  return moved.map((place) => Math.max(place, low));
}

/**
 * Draws a chart into an SVG element.
 *
 * `lines`: [{name, hue, nth, kind: "train" | "validation" | "part", faint, values: [one per epoch, null where there is none]}];
 * `epoch`, 1..epochs, is where the cursor stands; `levels`: [{value, text}] are lines across;
 * `format(value)` writes a number.
 */
export function plot(node, { title, lines, epochs, epoch, range, log, levels = [], format, width, height }) {
  node.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const inner = { width: width - ROOM.left - BESIDE - labelWidth(node, lines, format), height: height - ROOM.top - ROOM.bottom };
  const x = (at) => ROOM.left + (epochs > 1 ? (at - 1) / (epochs - 1) : 0.5) * inner.width;
  const y = (value) => ROOM.top + (1 - share(value, range, log)) * inner.height;
  const parts = [svg("text", { class: "pc-title", x: 0, y: 18, text: title })];
  for (const value of ticks(range, log)) {
    parts.push(
      svg("line", { class: "pc-grid", x1: ROOM.left, x2: ROOM.left + inner.width, y1: y(value), y2: y(value) }),
      svg("text", { class: "pc-tick", x: ROOM.left - 8, y: y(value) + 4, "text-anchor": "end", text: format(value, true) }),
    );
  }
  for (const { value, text } of levels.filter((level) => level.value > range[0] && level.value < range[1])) {
    parts.push(
      svg("line", { class: "pc-level", x1: ROOM.left, x2: ROOM.left + inner.width, y1: y(value), y2: y(value) }),
      svg("text", { class: "pc-tick", x: ROOM.left + 4, y: y(value) - 5, text }),
    );
  }
  const every = Math.ceil(epochs / Math.max(2, Math.floor(inner.width / 34)));
  for (let at = 1; at <= epochs; at += every) {
    parts.push(svg("text", { class: "pc-tick", x: x(at), y: height - 6, "text-anchor": "middle", text: at }));
  }
  parts.push(svg("line", { class: "pc-cursor", x1: x(epoch), x2: x(epoch), y1: ROOM.top - 6, y2: ROOM.top + inner.height }));
  for (const { hue, nth, kind, faint, values } of lines) {
    const places = values.map((value, index) => (value === null ? null : [x(index + 1), y(value)])).filter(Boolean);
    const run = `px-hue-${hue}${faint ? " pc-faint" : ""}`;
    parts.push(
      svg("polyline", { class: `pc-line pc-${kind} ${run}`, points: places.join(" ") }),
      ...places.flatMap((place) => shape(nth, ...place, kind === "validation" ? 5 : 3.4, run)),
    );
  }
  const told = lines.filter((line) => line.kind === "validation" && Number.isFinite(line.values[epoch - 1]));
  const heights = told.map((line) => y(line.values[epoch - 1]));
  const labels = spread(heights, APART, ROOM.top + 4, ROOM.top + inner.height);
  told.forEach(({ name: run, hue, faint, values }, index) => {
    const name = `px-hue-${hue}${faint ? " pc-faint" : ""}`;
    parts.push(
      svg("circle", { class: `pc-dot ${name}`, cx: x(epoch), cy: heights[index], r: 5 }),
      svg("text", { class: `pc-value ${name}`, x: x(epoch) + BESIDE, y: labels[index] + 5, text: `${run} ${format(values[epoch - 1])}` }),
    );
  });
  node.replaceChildren(...parts);
}

/** The width of the longest label at any epoch, so that the axes stand still under a moving cursor. */
function labelWidth(node, lines, format) {
  const texts = lines
    .filter((line) => line.kind === "validation")
    .map(({ name, values }) => {
      const told = values.filter(Number.isFinite).map((value) => `${name} ${format(value)}`);
      return told.reduce((longest, one) => (one.length > longest.length ? one : longest), "");
    })
    .map((text) => svg("text", { class: "pc-value", text }));
  node.replaceChildren(...texts);
  return Math.max(0, ...texts.map((text) => text.getComputedTextLength()));
}
