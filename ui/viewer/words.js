// Every sentence and number that a person reads or hears. Pure functions.

export const TEXT = Object.freeze({
  agreement: "agreement",
  blend: "Blend",
  cells: "cells",
  channels: "channels by % of what all say, for and against",
  fewer: "Fewer channels",
  gates: "SE gates",
  labels: "Labels",
  more: "More channels",
  native: "native cells",
  noPhoto: "The photograph could not be drawn.",
  npz: "npz",
  own: "own scale",
  pause: "Pause",
  play: "Play through the layers",
  png: "PNG",
  positive: "positive",
  seen: "As the network sees it",
  shared: "shared scale",
  signed: "signed",
  smooth: "smooth",
  strength: "strength",
  strengthFor: "positive strength",
  swap: "Swap",
});

const MINUS = "\u2212";

/** A number with two significant digits: 2.4, 0.031, 13, 1.2e-5. */
export function formatNumber(value) {
  if (!Number.isFinite(value)) return "\u2013";
  const size = Math.abs(value);
  let text;
  if (size === 0) text = "0";
  else if (size < 0.001) text = size.toExponential(1);
  else text = size >= 100 ? String(Math.round(size)) : String(size.toPrecision(2));
  return value < 0 ? MINUS + text : text;
}

/**
 * A probability in percent with one decimal, never rounded up to certainty: 97.1 %, > 99.9 %. What is exactly 0 or 1
 * was rounded before it came here: a sigmoid or a softmax never is.
 */
export function formatProbability(p) {
  if (!Number.isFinite(p)) return "\u2013";
  if (p > 0.9995) return "> 99.9 %";
  if (p < 0.0005) return "< 0.1 %";
  return `${(p * 100).toFixed(1)} %`;
}

/** What a formula took, as long as both are known: Grad-CAM in 31 ms, Eigen-CAM in 1.2 s. */
export function tookText(method, seconds) {
  if (!method || !(seconds > 0)) return method ?? "";
  return `${method} in ${seconds < 0.9995 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(1)} s`}`;
}

/** A signed number with a fixed count of decimals, so that columns stand still: +0.83. */
export function formatSigned(value, decimals) {
  if (!Number.isFinite(value)) return "\u2013";
  const text = Math.abs(value).toFixed(decimals);
  if (Number(text) === 0) return text;
  return (value < 0 ? MINUS : "+") + text;
}

/** What a screen reader says at a position of the depth control. */
export function depthText(layers, index) {
  const { name, shape } = layers[index];
  return `layer ${name}, ${index + 1} of ${layers.length}, ${shape[0]} by ${shape[1]} cells`;
}

/** One line that says what a layer is. */
export function layerLine({ name, shape, receptive_field: field, block }) {
  const sees = Number.isFinite(field) ? [`receptive field ${field} px`] : [];
  if (block) {
    return [
      `MBConv${block.expansion}`,
      `${block.kernel} \u00d7 ${block.kernel}`,
      `stride ${block.stride}`,
      `expansion ${block.expansion}`,
      `${block.channels_in} to ${block.channels_out} channels`,
      ...(block.se_ratio ? [`SE ${block.se_ratio}`] : []),
      ...(block.residual ? ["residual"] : []),
      ...sees,
    ].join(" \u00b7 ");
  }
  const kind = { stem: ["Stem", "the first convolution"], top: ["Top", "the last convolution"] }[name];
  return [...(kind ?? [`Layer ${name}`]), `${shape[2]} channels`, ...sees].join(" \u00b7 ");
}

/** A class name as people write it: apple pie. The name itself stays what addresses and answers go by. */
export function classText(label) {
  return label.replaceAll("_", " ");
}

/** Instead of noise: that a map has nothing to show, and why. `strength` and `shown` as in `mapText`. */
export function blankText(label, layerName, { strength = 0, shown = 0, signed }) {
  const first = `No evidence for ${classText(label)} at ${layerName}.`;
  if (signed || !(strength > 0)) return first;
  return `${first} ${shown > 0 ? "Nearly all" : "All"} of it speaks against (strength ${formatNumber(strength)}).`;
}

/**
 * What a screen reader says of a channel. The sizes of all shares sum to 1: where channels speak on both sides, what they
 * say is more than the score.
 */
export function channelText(id, share) {
  return `Channel ${id}: ${formatSigned(share * 100, 1)} percent of what all channels say, for and against`;
}

/** What is told of a channel that is looked at. */
export function lookedText({ id, share, range }) {
  const [low, high] = range.map(formatNumber);
  return `channel ${id}: ${formatSigned(share * 100, 1)} %, activation ${low} to ${high}`;
}

/** Instead of an empty row: that no channel is there to be shown, and why; without a label: none was sent. */
export function noChannelsText(layerName, label, signed) {
  if (!label) return `The channels of ${layerName} are not part of this view.`;
  return `No channel of ${layerName} speaks for ${classText(label)}${signed ? ", or against it" : ""}.`;
}

/** What a photo is brought to before it is enlarged, where its network's task has smaller pictures; null: nothing. */
function firstSize({ width, height, source_size: source }) {
  return source && !(Math.min(width, height) <= source) ? source : null;
}

/** The sizes that a photo has on its way to the network: 600 x 400, 64 x 64, 160 x 160. */
export function sizesText(photo) {
  const { width, height, size } = photo;
  const source = firstSize(photo);
  const steps = [width && height ? [width, height] : null, source ? [source, source] : null, [size, size]];
  return steps.filter(Boolean).map(([across, down]) => `${across} \u00d7 ${down}`).join(" \u2192 ");
}

/** What a screen reader says of the photo. */
export function seenText(photo) {
  const { name, size } = photo;
  const source = firstSize(photo);
  return `${name} as the network sees it, ${size} by ${size} pixels${source ? `, made of ${source} by ${source}` : ""}`;
}

/** A place of the photo in words: "upper left", "centre". */
export function placeText(x, y, size) {
  const third = (v) => Math.min(2, Math.max(0, Math.floor((v / size) * 3)));
  const rows = ["upper", "middle", "lower"];
  const columns = ["left", "centre", "right"];
  const [row, column] = [rows[third(y)], columns[third(x)]];
  if (column === "centre") return { upper: "top", middle: "centre", lower: "bottom" }[row];
  return row === "middle" ? column : `${row} ${column}`;
}

/**
 * What a map shows, for those who cannot see it. `strength` is the largest value of either side, `shown` of what is
 * looked at; `peak` in pixels of the photo, or null for a blank map.
 */
export function mapText({ label, layerName, runName, strength, shown, peak, size, signed }) {
  const subject = `${signed ? "Evidence for and against" : "Evidence for"} ${classText(label)} at layer ${layerName} in the ${runName} run`;
  if (!peak) return `${subject}: ${blankText(label, layerName, { strength, shown, signed })}`;
  const [column, row] = [peak.x, peak.y].map((v) => Math.round(Math.min(size - 1, Math.max(0, v))));
  const place = placeText(column, row, size);
  const measure = `${TEXT[signed ? "strength" : "strengthFor"]} ${formatNumber(shown)}`;
  return `${subject}; ${measure}; strongest at the ${place}, around row ${row}, column ${column}`;
}

/** The name of a downloaded file: parallax-chelsea-5c-cat.png. */
export function fileName(parts, ending) {
  const clean = (part) =>
    String(part ?? "")
      .replace(/\.(jpe?g|png|webp|avif|heic|gif|bmp|tiff?)$/i, "")
      .replace(/[^\p{L}\p{M}\p{N}]+/gu, "-")
      .replace(/^-+|-+$/g, "")
      .slice(0, 60);
  return `${["parallax", ...parts.map(clean)].filter(Boolean).join("-")}.${ending}`;
}
