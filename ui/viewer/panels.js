// The squares: the photo as seen, and one per run with its prediction, its evidence and its colour key.
import { drawKey } from "./draw.js";
import { TEXT, blankText, classText, formatNumber, formatProbability, lookedText, mapText, seenText, sizesText } from "./words.js";
import { el, ring, setText } from "./parts.js";

/** One square with a head above and a foot below. */
export function panel(kind, hue) {
  const parts = {
    head: el("div", { class: "px-head" }),
    canvas: el("canvas", { class: "px-canvas", role: "img" }),
    ghost: el("canvas", { class: "px-ghost", "aria-hidden": "true" }),
    none: el("p", { class: "px-none", hidden: true }),
    chip: el("p", { class: "px-chip", hidden: true }),
    foot: el("div", { class: "px-foot" }),
  };
  const square = el("div", { class: "px-square" }, parts.canvas, parts.ghost, parts.none, parts.chip);
  const name = `px-panel px-${kind}${hue ? ` px-hue-${hue}` : ""}`;
  return { ...parts, square, node: el("figure", { class: name }, parts.head, square, parts.foot) };
}

/** The panel of the photo; a strip of other photographs stands above it where there are some. */
export function seenPanel() {
  const parts = panel("seen");
  const note = el("span", { class: "px-note" });
  const file = el("span", { class: "px-file" });
  const from = el("span", { class: "px-from" });
  parts.foot.append(note, file, from);

  function strip(samples, blobs, pick) {
    const buttons = samples.map(({ id, label, blob }) => {
      const src = URL.createObjectURL(new Blob([blobs[blob]]));
      const image = el("img", { src, alt: "", onload: () => URL.revokeObjectURL(src) });
      const about = { "aria-label": label, title: label, "data-value": id };
      return el("button", { type: "button", class: "px-sample", ...about, onclick: () => pick(id) }, image);
    });
    return el("div", { class: "px-samples", role: "group", "aria-label": "Photographs" }, ...buttons);
  }

  let offered = null;

  /** Takes a payload; `pick(id)` is called for a photograph of the strip. */
  function fill(meta, blobs, drawable, pick) {
    const { name } = meta.photo;
    const samples = JSON.stringify((meta.samples ?? []).map(({ id, label }) => [id, label]));
    // The same strip stays as it is: a finger or a key may be on it.
    if (samples !== offered) {
      offered = samples;
      const title = el("div", { class: "px-title" }, el("span", { class: "px-caption", text: TEXT.seen }));
      parts.head.replaceChildren(meta.samples?.length ? strip(meta.samples, blobs, pick) : title);
    }
    setText(file, name);
    setText(from, sizesText(meta.photo));
    parts.canvas.setAttribute("aria-label", seenText(meta.photo));
    parts.none.hidden = drawable;
    setText(parts.none, TEXT.noPhoto);
    picked(meta.picked);
  }

  function picked(id) {
    for (const button of parts.head.querySelectorAll(".px-sample")) {
      button.setAttribute("aria-pressed", String(button.dataset.value === String(id)));
    }
  }

  /** Says which channel lies over the photo; null: none. */
  function looked(runName, channel) {
    parts.chip.hidden = !channel;
    if (channel) setText(parts.chip, `${runName}, ${lookedText(channel)}`);
  }

  return { ...parts, fill, picked, looked, note: (words) => setText(note, words) };
}

/** The likeliest label of a run and its probability, as texts. */
export function verdictOf(run) {
  const best = run.top?.[0];
  return best ? [classText(best.label), formatProbability(best.probability)] : ["", ""];
}

/** The panel of a run. */
export function runPanel(run) {
  const parts = panel("run", run.hue);
  const [verdict, probability] = [el("span", { class: "px-verdict" }), el("span", { class: "px-probability" })];
  const bar = el("i");
  const key = el("canvas", { class: "px-key", width: 256, height: 1, "aria-hidden": "true" });
  const mark = el("i", { class: "px-mark" });
  const [low, high] = [el("span", { class: "px-low" }), el("span", { class: "px-high" })];
  const [measure, strength] = [el("span"), el("b", { class: "px-strength" })];
  const name = el("span", { class: "px-name", text: run.name });
  parts.head.append(
    el("div", { class: "px-title" }, ring(run.hue), name, verdict, probability),
    el("div", { class: "px-bar", "aria-hidden": "true" }, bar),
  );
  parts.foot.append(
    el("div", { class: "px-scale" }, key, mark),
    low,
    el("span", { class: "px-measure" }, measure, strength),
    high,
  );

  /** The prediction of a run. */
  function predict(other) {
    const [label, percent] = verdictOf(other);
    setText(verdict, label);
    setText(probability, percent);
    bar.style.width = `${100 * (other.top?.[0]?.probability ?? 0)}%`;
  }

  /** The numbers of one map, and whose it is; `mix`: what is blended into this panel, as a text, or null. */
  function read({ reading, runName, label, layer, size, signed, mix }) {
    const { strength: either, shown, full, blank, peak } = reading;
    setText(measure, TEXT[signed ? "strength" : "positive"]);
    setText(strength, formatNumber(shown));
    setText(low, signed ? formatNumber(-full) : "0");
    setText(high, formatNumber(full));
    const share = full > 0 ? shown / full : 0;
    mark.hidden = !(share > 0 && share < 0.995);
    mark.style.left = `${signed ? 50 + 50 * share : 100 * share}%`;
    parts.none.hidden = !blank || mix !== null;
    setText(parts.none, blank ? blankText(label, layer.name, { strength: either, shown, signed }) : "");
    parts.chip.hidden = mix === null;
    setText(parts.chip, mix ?? "");
    const said = { label, layerName: layer.name, runName, strength: either, shown, peak, size, signed };
    parts.canvas.setAttribute("aria-label", mapText(said));
  }

  return { ...parts, key, predict, read, colours: (lut, signed) => drawKey(key, lut, signed) };
}
