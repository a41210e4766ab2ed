// Decodes and scales photographs away from the page: what explain/photo.py's `read` and `see` do in Python.
import { inspect } from "./formats.js";
import { Resampling, draft, frame, resize } from "./resample.js";

const MAX_MEGAPIXELS = 40;
/** A JPEG that is decoded at a part of its size may be larger; more than this no browser decodes for sure. */
const MAX_JPEG_MEGAPIXELS = 120;
const MAX_SIDE = 65_535;
const MAX_MEGABYTES = 100;
const GREY = 128;
/** Pixels that are taken from the decoder at once, so that memory stays small. */
const STRIP = 4_000_000;

addEventListener("message", async ({ data }) => {
  const { id, picture, name, view } = data;
  try {
    const found = picture instanceof ImageBitmap ? look(picture, { kind: "frame" }, view) : await read(picture, name, view);
    postMessage({ id, ...found }, [found.pixels.buffer]);
  } catch (error) {
    if (!(error instanceof Refused)) console.warn(error);
    postMessage({ id, refused: error instanceof Refused ? error.message : `${quoted(name)} is damaged or cut short: save or download it again.` });
  }
});

/** Why a photograph cannot be read: one plain sentence. */
class Refused extends Error {}

function quoted(name) {
  const clean = name.replace(/\p{C}/gu, "?");
  return clean ? `"${clean.length <= 80 ? clean : `${clean.slice(0, 40)}...${clean.slice(-37)}`}"` : "The picture";
}

function check(width, height, kind, name) {
  if (!width || !height) throw new Refused(`${quoted(name)} has no pixels: choose another picture.`);
  const most = kind === "jpeg" ? MAX_JPEG_MEGAPIXELS : MAX_MEGAPIXELS;
  if (width * height > most * 1e6 || Math.max(width, height) > MAX_SIDE) {
    throw new Refused(`${quoted(name)} is too large (${width} x ${height}): the limit is ${most} megapixels and ${MAX_SIDE} pixels a side, so make it smaller first.`);
  }
}

async function read(file, name, view) {
  if (!file.size) throw new Refused(`${quoted(name)} is empty: choose another picture.`);
  if (file.size > MAX_MEGABYTES * 1e6) throw new Refused(`${quoted(name)} has more than ${MAX_MEGABYTES} MB: make it smaller first.`);
  let bytes;
  try {
    bytes = new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new Refused(`${quoted(name)} cannot be opened: choose it again.`);
  }
  const about = inspect(bytes);
  if (about.width !== null) check(about.width, about.height, about.kind, name);
  if (!about.whole) throw new Refused(`${quoted(name)} is damaged or cut short: save or download it again.`);
  let bitmap;
  try {
    const upright = { imageOrientation: "from-image", colorSpaceConversion: "default", premultiplyAlpha: "none" };
    bitmap = await createImageBitmap(new Blob([bytes]), upright);
  } catch {
    if (about.kind === "heic" || about.kind === "tiff") throw new Refused(`${quoted(name)} is ${about.kind.toUpperCase()}, which this browser cannot read: save it as JPEG or PNG first.`);
    if (about.kind) throw new Refused(`${quoted(name)} is damaged or cut short: save or download it again.`);
    throw new Refused(`${quoted(name)} cannot be read as a picture: choose a JPEG, PNG, WebP, AVIF, GIF or BMP file.`);
  }
  check(bitmap.width, bitmap.height, about.kind, name);
  return look(bitmap, about, view);
}

/** {pixels: size x size x 3, width, height}: what a network sees of an upright sRGB bitmap. */
function look(bitmap, about, { size, fit, source_size: sourceSize }) {
  const { width, height } = bitmap;
  const factor = draft(about, width, height);
  const part = frame(Math.ceil(width / factor), Math.ceil(height / factor), fit);
  const [wide, high] = sourceSize ? [Math.min(part.width, sourceSize), Math.min(part.height, sourceSize)] : [size, size];
  const scaling = new Resampling(part.width, part.height, wide, high);
  const opaque = ["jpeg", "frame"].includes(about.kind);
  for (const row of rows(bitmap, part, factor, opaque)) scaling.add(row);
  bitmap.close();
  const pixels = sourceSize ? resize(scaling.result(), wide, high, size, size) : scaling.result();
  return { pixels, width, height };
}

/** The rows of a part of a bitmap, over grey, `factor` x `factor` pixels averaged to one. */
function* rows(bitmap, { left, top, width, height }, factor, opaque) {
  const most = Math.max(1, Math.floor(STRIP / (width * factor * factor)));
  const canvas = new OffscreenCanvas(width * factor, Math.min(most, height) * factor);
  // A canvas multiplies colours by their opacity: only in more than bytes can they be had again.
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb", colorType: opaque ? "unorm8" : "float16" });
  for (let start = 0; start < height; start += most) {
    const count = Math.min(most, height - start);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const [x, y] = [left * factor, (top + start) * factor];
    const [across, down] = [Math.min(width * factor, bitmap.width - x), Math.min(count * factor, bitmap.height - y)];
    context.drawImage(bitmap, x, y, across, down, 0, 0, across, down);
    const { data } = context.getImageData(0, 0, across, down);
    if (!opaque) overGrey(data);
    for (let row = 0; row < count; row++) yield averaged(data, across, down, row, width, factor);
  }
}

/** Lays what is transparent over neutral grey. */
function overGrey(data) {
  for (let at = 0; at < data.length; at += 4) {
    const opacity = data[at + 3];
    if (opacity === 255) continue;
    for (let c = at; c < at + 3; c++) data[c] = Math.round((data[c] * opacity + GREY * (255 - opacity)) / 255);
  }
}

function averaged(data, across, down, row, width, factor) {
  const line = new Uint8ClampedArray(3 * width);
  const bottom = Math.min(down, (row + 1) * factor);
  for (let x = 0; x < width; x++) {
    const right = Math.min(across, (x + 1) * factor);
    const sums = [0, 0, 0];
    for (let j = row * factor; j < bottom; j++) {
      for (let i = x * factor; i < right; i++) {
        for (let c = 0; c < 3; c++) sums[c] += data[4 * (j * across + i) + c];
      }
    }
    const count = (bottom - row * factor) * (right - x * factor);
    for (let c = 0; c < 3; c++) line[3 * x + c] = sums[c] / count;
  }
  return line;
}
