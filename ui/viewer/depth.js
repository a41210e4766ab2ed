// The depth control: a real range input under a drawn axis, with the agreement of two runs above its ticks.
// The needle ends in one ring per run; the less their maps agree, the further apart the rings stand.
import { stretches } from "./field.js";
import { TEXT, depthText, formatSigned } from "./words.js";
import { el, setText, svg } from "./parts.js";

/** The height of the axis; all lengths here are such that depth.css draws 10 of them as one --u. */
const HEIGHT = 82;
/** Half the width of the range's thumb: the first tick stands that far from the left end. */
const MARGIN = 22;
const LINE = { top: 15, bottom: 48 };
const BASE = 58;
const TICKS = 73;
/** Letters of a name that has room in large type; block names are shorter, those of other networks' layers are not. */
const LONG = 6;

/** Where a position 0..n-1 stands on an axis so wide; it is where the browser puts the range's thumb. */
export function tickAt(position, count, width) {
  return MARGIN + (count > 1 ? position / (count - 1) : 0) * (width - 2 * MARGIN);
}

/** The height of an agreement -1..1 on the axis; of no agreement, the zero line. */
export function heightOf(agreement) {
  const value = Number.isFinite(agreement) ? agreement : 0;
  return LINE.bottom - ((value + 1) / 2) * (LINE.bottom - LINE.top);
}

/** How far each ring stands from the needle: nothing at full agreement, a whole ring when opposite. */
export function ringShift(agreement) {
  return Number.isFinite(agreement) ? ((1 - agreement) / 2) * 9 : 9;
}

const mixed = (line, position) => {
  const [low, high] = [line?.[Math.floor(position)], line?.[Math.ceil(position)]];
  if (!Number.isFinite(low) || !Number.isFinite(high)) return null;
  return low + (high - low) * (position - Math.floor(position));
};

/** Groups of neighbouring layers with cells of one size: [{from, to, height, width}]. */
export function stages(layers) {
  const found = [];
  layers.forEach(({ shape: [height, width] }, index) => {
    const last = found.at(-1);
    if (last && last.height === height && last.width === width) last.to = index;
    else found.push({ from: index, to: index, height, width });
  });
  return found;
}

/** Whether names lie on each other: `middles` are where they stand, `halves` half of how wide they are written. */
export function crowded(middles, halves) {
  return middles.some((x, k) => k > 0 && middles[k - 1] + halves[k - 1] > x - halves[k] + 1);
}

/** The control. `move(index)` is called on every step; `draw` and `place` put data into it. */
export function depthControl({ move, toggle }) {
  const play = el(
    "button",
    { type: "button", class: "px-play", onclick: toggle, "aria-keyshortcuts": "Space" },
    svg(
      "svg",
      { viewBox: "0 0 24 24", "aria-hidden": "true" },
      svg("path", { class: "px-go", d: "M7 4.5v15l12.5-7.5z" }),
      svg("path", { class: "px-stop", d: "M7 5h3.4v14H7zM13.6 5H17v14h-3.4z" }),
    ),
  );
  const range = el("input", {
    type: "range",
    class: "px-range",
    min: 0,
    step: 1,
    value: 0,
    "aria-label": "Depth",
    oninput: () => move(Number(range.value)),
  });
  const axis = svg("svg", { class: "px-axis", "aria-hidden": "true" });
  const name = el("span", { class: "px-layer" });
  const count = el("span", { class: "px-count" });
  const cells = el("span", { class: "px-cells" });
  const value = el("span", { class: "px-agreement" });
  const node = el(
    "div",
    { class: "px-depth" },
    play,
    el("div", { class: "px-where" }, name, el("span", { class: "px-small" }, count, cells)),
    el("div", { class: "px-track" }, range, axis),
    el("div", { class: "px-agree" }, value, el("span", { class: "px-small", text: TEXT.agreement })),
  );

  let layers = [];
  let line = null;
  let width = 0;
  let close = false;
  let moving = {};
  let names = [];
  let chosen = null;
  let written = [];

  /** Half the width of the box around a name. */
  const halfOf = (index) =>
    Math.max((layers[index].name.length > 2 ? 21 : 15) * (close ? 0.72 : 1), written[index] + 5);

  /** The middle of a name under its tick; where ticks are close, long names give way to the outside. */
  function nameAt(x, index) {
    const half = halfOf(index);
    const aside = close && layers[index].name.length > 2 ? (x < width / 2 ? -6 : 6) : 0;
    return Math.min(width - half - 1, Math.max(half + 1, x + aside));
  }

  /** Puts every name under its tick; where they would lie on each other, only that of the chosen layer is shown. */
  function spread(at) {
    written = names.map((one) => one.getComputedTextLength() / 2);
    const middles = names.map((_, index) => nameAt(at(index), index));
    middles.forEach((x, index) => names[index].setAttribute("x", String(x)));
    axis.classList.toggle("px-crowded", crowded(middles, written));
  }

  function needle(hues) {
    const rings = hues.map((hue) => svg("circle", { class: `px-eye px-hue-${hue}`, r: 8, pathLength: 100 }));
    moving = {
      stem: svg("line", { class: "px-needle" }),
      box: svg("rect", { class: "px-box", y: TICKS - 12, height: 20, rx: 2 }),
      rings,
    };
    return [moving.box, moving.stem, ...rings];
  }

  /** Draws everything that stands still for this payload, class and width. */
  function draw(payload, hues) {
    ({ layers, line } = payload);
    if (!range.clientHeight || !layers.length) return;
    node.classList.toggle("px-long", layers.some((layer) => layer.name.length > LONG));
    width = (range.clientWidth * HEIGHT) / range.clientHeight;
    range.max = String(layers.length - 1);
    const at = (index) => tickAt(index, layers.length, width);
    const gap = at(1) - at(0);
    close = gap < 30;
    const parts = [];
    stages(layers).forEach((stage, k) => {
      const from = k ? at(stage.from) - gap / 2 : 0;
      const to = stage.to === layers.length - 1 ? width : at(stage.to) + gap / 2;
      parts.push(
        svg("rect", { class: k % 2 ? "px-stage px-odd" : "px-stage", x: from, y: 0, width: to - from, height: BASE }),
        svg("text", { class: "px-size", x: (from + to) / 2, y: 10, text: close ? stage.height : `${stage.height} \u00d7 ${stage.width}` }),
      );
    });
    if (line) {
      for (const level of [1, 0, -1]) {
        const y = heightOf(level);
        parts.push(svg("line", { class: level ? "px-grid" : "px-grid px-zero", x1: MARGIN, x2: width - MARGIN, y1: y, y2: y }));
        if (!close) parts.push(svg("text", { class: "px-level", x: 3, y: y + 3.5, text: level ? formatSigned(level, 0) : "0" }));
      }
    }
    parts.push(svg("line", { class: "px-base", x1: MARGIN, x2: width - MARGIN, y1: BASE, y2: BASE }));
    for (const stretch of stretches(line)) {
      const points = stretch.map(({ index, value: v }) => `${at(index)},${heightOf(v)}`).join(" ");
      parts.push(svg("polyline", { class: "px-line", points }));
      for (const { index, value: v } of stretch) parts.push(svg("circle", { class: "px-dot", cx: at(index), cy: heightOf(v), r: 2.4 }));
    }
    layers.forEach((_, index) => {
      parts.push(svg("line", { class: "px-tick", x1: at(index), x2: at(index), y1: BASE - 3, y2: BASE + 3 }));
    });
    names = layers.map(({ name: label }) => svg("text", { class: "px-tick-name", y: TICKS + 2.5, text: label }));
    axis.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    axis.replaceChildren(...parts, ...names, ...needle(hues));
    spread(at);
  }

  /** Puts the needle at a position between layers, and the readings at the layer `index`. */
  function place(position, index, order) {
    const layer = layers[index];
    if (!layer) return;
    range.value = String(index);
    range.setAttribute("aria-valuetext", depthText(layers, index));
    setText(name, layer.name);
    setText(count, `${index + 1} of ${layers.length}`);
    setText(cells, `${layer.shape[0]} \u00d7 ${layer.shape[1]} ${TEXT.cells}`);
    setText(value, line ? formatSigned(line[index], 2) : "\u2013");
    if (!moving.stem) return;
    const x = tickAt(position, layers.length, width);
    const agreement = mixed(line, position);
    const y = line ? heightOf(agreement) : BASE - 8;
    const shift = ringShift(agreement);
    name.style.setProperty("--shift", `${(agreement === null ? 0 : shift / 4).toFixed(2)}px`);
    const slots = moving.rings.length;
    moving.rings.forEach((eye, run) => {
      const side = slots > 1 ? (2 * order.indexOf(run)) / (slots - 1) - 1 : 0;
      eye.setAttribute("cx", String(x + side * shift));
      eye.setAttribute("cy", String(y));
    });
    for (const [key, at] of [["x1", x], ["x2", x], ["y1", y + 9], ["y2", TICKS - 12]]) moving.stem.setAttribute(key, String(at));
    if (chosen !== names[index]) {
      chosen?.classList.remove("px-chosen");
      chosen = names[index];
      chosen.classList.add("px-chosen");
    }
    const half = halfOf(index);
    moving.box.setAttribute("x", String(nameAt(x, index) - half));
    moving.box.setAttribute("width", String(2 * half));
  }

  function playing(now) {
    play.setAttribute("aria-pressed", String(now));
    play.setAttribute("aria-label", now ? TEXT.pause : TEXT.play);
  }
  playing(false);

  return { node, range, draw, place, playing };
}
