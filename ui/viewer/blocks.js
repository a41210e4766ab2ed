// What a block produces: the channels that carry the score, one row per run, and its gates.
import { rankChannels } from "./field.js";
import { blankCanvas, paint } from "./draw.js";
import { TEXT, channelText, formatSigned, layerLine, lookedText, noChannelsText } from "./words.js";
import { el, ring, setText } from "./parts.js";

/** So many channels have room for their share beside them. */
const FEW = 12;

/** Channels of a run at a layer in the order shown: [{id, share, range, values, height, width}]. */
export function shownChannels(channels, blobs, classIndex, signed, count) {
  if (!channels) return [];
  const { height, width, ids, range } = channels;
  const share = channels.share[classIndex] ?? [];
  const planes = blobs[channels.blob];
  const size = height * width;
  return rankChannels(share, signed, count).map((k) => ({
    id: ids[k],
    share: share[k],
    range: range[k],
    values: planes.subarray(channels.at + k * size, channels.at + (k + 1) * size),
    height,
    width,
  }));
}

/** The panel. `look(run, channel | null)` is called while a person points at a channel. */
export function blockPanel({ count, look }) {
  const what = el("p", { class: "px-what" });
  const number = el("output", { class: "px-wanted" });
  const step = (by, label) =>
    el("button", { type: "button", class: "px-step", "aria-label": label, text: by < 0 ? "\u2212" : "+", onclick: () => count(by) });
  const rows = el("div", { class: "px-rows" });
  const node = el(
    "section",
    { class: "px-block", "aria-label": "What the block produces" },
    el(
      "div",
      { class: "px-block-head" },
      what,
      el("div", { class: "px-stepper", role: "group", "aria-label": TEXT.channels }, step(-1, TEXT.fewer), number, step(1, TEXT.more), el("span", { text: TEXT.channels })),
    ),
    rows,
  );
  let lines = [];

  /** One empty row per run. */
  function build(runs) {
    lines = runs.map((run) => {
      const list = el("ol", { class: "px-channels", "aria-label": `Channels of the ${run.name} run` });
      const bars = el("canvas", { class: "px-gates", role: "img" });
      const mean = el("span", { class: "px-mean" });
      const gates = el("div", { class: "px-gate" }, bars, mean);
      const told = el("span", { class: "px-told" });
      const row = el("div", { class: `px-row px-hue-${run.hue}` }, el("span", { class: "px-row-name" }, ring(run.hue), el("b", { text: run.name }), told), list, gates);
      return { row, told, list, bars, mean, gates, items: [] };
    });
    rows.replaceChildren(...lines.map((line) => line.row));
  }

  function item(line, run, k) {
    const canvas = blankCanvas(1, 1);
    canvas.setAttribute("aria-hidden", "true");
    const bar = el("i");
    const share = el("span", { class: "px-share" });
    const made = { canvas, bar, share, channel: null };
    const show = () => look(run, made.channel);
    made.button = el(
      "button",
      { type: "button", class: "px-channel", onpointerenter: show, onfocus: show, onclick: show, onpointerleave: () => look(run, null), onblur: () => look(run, null) },
      canvas,
      el("span", { class: "px-share-bar", "aria-hidden": "true" }, bar),
      share,
    );
    made.node = el("li", {}, made.button);
    line.items[k] = made;
    line.list.append(made.node);
    return made;
  }

  /** Shows one layer for a class. `order`: runs from left to right; `lut`: how activations are coloured. */
  function draw({ runs, order, blobs, layer, label, classIndex, signed, count: wanted, lut }) {
    setText(what, layerLine(layer));
    setText(number, String(wanted));
    node.dataset.many = wanted > FEW ? "1" : "0";
    const anyGates = runs.some((run) => run.gates && Object.keys(run.gates).length);
    const all = runs.map((run) => shownChannels(run.channels?.[layer.name], blobs, classIndex, signed, wanted));
    const largest = Math.max(1e-12, ...all.flat().map(({ share }) => Math.abs(share) || 0));
    lines.forEach((line, run) => {
      line.row.style.order = String(order.indexOf(run));
      all[run].forEach((channel, k) => fillChannel(line.items[k] ?? item(line, run, k), channel, largest, lut));
      line.items.forEach((made, k) => (made.node.hidden = k >= all[run].length));
      const sent = runs[run].channels?.[layer.name];
      line.list.dataset.empty = all[run].length ? "" : noChannelsText(layer.name, sent && label, signed);
      line.gates.hidden = !anyGates;
      if (anyGates) drawGates(line, runs[run], layer);
    });
  }

  /** Says which channel of which run is looked at; null: none. */
  function looked(run, channel) {
    lines.forEach(({ told }, k) => setText(told, channel && k === run ? lookedText(channel) : ""));
  }

  return { node, build, draw, looked };
}

function fillChannel(made, channel, largest, lut) {
  const { canvas, button, share, bar } = made;
  const { values, height, width } = channel;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const image = new ImageData(new Uint8ClampedArray(paint(values, 1 / 255, lut).buffer), width, height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  made.channel = channel;
  setText(share, formatSigned(channel.share * 100, 1));
  bar.style.width = `${(100 * (Math.abs(channel.share) || 0)) / largest}%`;
  bar.classList.toggle("px-against", channel.share < 0);
  button.setAttribute("aria-label", channelText(channel.id, channel.share));
}

function drawGates({ bars, mean }, run, layer) {
  const gates = run.gates?.[layer.name];
  const values = gates ? Array.from(gates.values) : [];
  const columns = Math.max(1, values.length);
  if (bars.width !== columns) Object.assign(bars, { width: columns, height: 1 });
  const pixels = new Uint32Array(columns);
  values.forEach((value, k) => (pixels[k] = (Math.round(255 * Math.min(1, Math.max(0, value))) << 24) >>> 0));
  const image = new ImageData(new Uint8ClampedArray(pixels.buffer), columns, 1);
  bars.getContext("2d").putImageData(image, 0, 0);
  const average = values.reduce((sum, value) => sum + value, 0) / columns;
  const words = gates ? `${values.length} ${TEXT.gates}, mean ${average.toFixed(2)}` : `no ${TEXT.gates} at ${layer.name}`;
  setText(mean, words);
  bars.setAttribute("aria-label", `${run.name}: ${words}`);
}
