// From maps to pixels: colour tables, the desaturated photo, evidence and its contour.
import { TABLES } from "./colormaps.js";
import { cellContour, contour, gridRect, peakOf, sampleField } from "./field.js";

/** Half a colour table: indices 0..255 of a look-up run from no evidence to full strength. */
const STEPS = 255;

/** Evidence never covers the photo entirely. */
const MOST_OPAQUE = 0.9;

/** Opacity at |evidence| t in 0..1: it follows the evidence, and lets little of it pass unseen. */
export function opacity(t) {
  return MOST_OPAQUE * Math.min(1, Math.abs(t)) ** 0.7;
}

/** The RGB triples of a table, Uint8Array (768). */
export function tableBytes(name) {
  return Uint8Array.from(atob(TABLES[name]), (letter) => letter.charCodeAt(0));
}

/**
 * A look-up from evidence t in -1..1 to one little-endian RGBA pixel: `lut[Math.round(t * 255) + 255]`.
 * Positive: what speaks against is transparent. `opaque` leaves the opacity out (for keys and channels).
 */
export function lookUp(signed, dark, opaque = false) {
  const rgb = tableBytes(signed ? (dark ? "signedDark" : "signedLight") : "sequential");
  const lut = new Uint32Array(2 * STEPS + 1);
  for (let k = -STEPS; k <= STEPS; k++) {
    const t = k / STEPS;
    if (!signed && t < 0) continue;
    const at = 3 * Math.round((signed ? (t + 1) / 2 : t) * 255);
    const alpha = opaque ? 255 : Math.round(opacity(t) * 255);
    lut[k + STEPS] = ((alpha << 24) | (rgb[at + 2] << 16) | (rgb[at + 1] << 8) | rgb[at]) >>> 0;
  }
  return lut;
}

/** Paints a field through a look-up; `gain` takes its values to -1..1. Returns Uint32Array of pixels. */
export function paint(field, gain, lut, out = new Uint32Array(field.length)) {
  const factor = gain * STEPS;
  for (let k = 0; k < field.length; k++) {
    const index = Math.round(field[k] * factor);
    out[k] = lut[(index > STEPS ? STEPS : index < -STEPS ? -STEPS : index) + STEPS];
  }
  return out;
}

/** A canvas that is on no page. */
export function blankCanvas(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

/** Pixels from `paint` as a canvas. */
export function canvasOf(pixels, width, height) {
  const canvas = blankCanvas(width, height);
  const image = new ImageData(new Uint8ClampedArray(pixels.buffer), width, height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** The photo without its colours and with less contrast, so that evidence is the only colour there. */
export function greyPhoto(photo, size) {
  const canvas = blankCanvas(size, size);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(photo, 0, 0, size, size);
  const image = context.getImageData(0, 0, size, size);
  const { data } = image;
  for (let k = 0; k < data.length; k += 4) {
    const light = 0.2126 * data[k] + 0.7152 * data[k + 1] + 0.0722 * data[k + 2];
    data[k] = data[k + 1] = data[k + 2] = 26 + light * 0.74;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/**
 * One map ready to be drawn: its colours and its contour at half of its largest value, for or either way.
 * `map`: {values, full, strength, height, width}; a value is strength * values / full. `view`: {signed,
 * native, scale, lut}. Returns {image, rect, path}, in canvas units of one pixel of the photo.
 */
export function prepareMap(map, layer, size, { signed, native, scale, lut }) {
  const { values, full, strength, height, width } = map;
  const gain = strength / (full * scale);
  // Without any value there is no line.
  const half = Math.abs(peakOf(values, width, signed).value) / 2 || Infinity;
  if (native) {
    return {
      image: canvasOf(paint(values, gain, lut), width, height),
      rect: gridRect(layer, height, width),
      path: pathOf(cellContour(values, height, width, layer, half, signed), 0),
    };
  }
  const field = sampleField(values, height, width, layer, size);
  const lines = contour(field, size, size, half);
  return {
    image: canvasOf(paint(field, gain, lut), size, size),
    rect: { x: 0, y: 0, width: size, height: size },
    path: pathOf(signed ? lines.concat(contour(field, size, size, -half)) : lines, 0.5),
  };
}

function pathOf(segments, shift) {
  const path = new Path2D();
  for (let k = 0; k < segments.length; k += 4) {
    path.moveTo(segments[k] + shift, segments[k + 1] + shift);
    path.lineTo(segments[k + 2] + shift, segments[k + 3] + shift);
  }
  return path;
}

/** A length on a canvas that looks like one in a square of 320, and never much smaller than a CSS pixel. */
function unitOf(canvas) {
  return Math.max(canvas.width / 320, 0.9 * (globalThis.devicePixelRatio || 1));
}

/** Draws a photo over the whole canvas. */
export function drawPhoto(canvas, photo) {
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(photo, 0, 0, canvas.width, canvas.height);
}

/** Draws a prepared map over what the canvas holds, with the weight 0..1 of a cross-fade. */
export function drawMap(canvas, prepared, size, native, weight = 1) {
  if (!prepared || weight <= 0) return;
  const context = canvas.getContext("2d");
  const scale = canvas.width / size;
  const { image, rect, path } = prepared;
  context.save();
  context.globalAlpha = weight;
  context.scale(scale, scale);
  context.imageSmoothingEnabled = !native;
  context.drawImage(image, rect.x, rect.y, rect.width, rect.height);
  context.lineCap = "round";
  for (const [colour, thick] of [["#000c", 3.2], ["#fff", 1.4]]) {
    context.strokeStyle = colour;
    context.lineWidth = (thick * unitOf(canvas)) / scale;
    context.stroke(path);
  }
  context.restore();
}

/** Marks the strongest place with a small ring and the value there. `x`, `y` in pixels of the photo. */
export function drawPeak(canvas, { x, y, text, font }, size) {
  const context = canvas.getContext("2d");
  const unit = unitOf(canvas);
  const px = Math.min(canvas.width, Math.max(0, ((x + 0.5) * canvas.width) / size));
  const py = Math.min(canvas.height, Math.max(0, ((y + 0.5) * canvas.height) / size));
  const left = px > canvas.width * 0.8;
  context.save();
  context.font = `600 ${13 * unit}px ${font}`;
  context.textAlign = left ? "right" : "left";
  context.textBaseline = "middle";
  const textY = Math.min(canvas.height - 10 * unit, Math.max(10 * unit, py));
  const textX = px + (left ? -9 : 9) * unit;
  context.lineJoin = "round";
  for (const [colour, thick] of [["#000", 3.4], ["#fff", 1.5]]) {
    context.strokeStyle = colour;
    context.lineWidth = thick * unit;
    context.beginPath();
    context.arc(px, py, 4.5 * unit, 0, 2 * Math.PI);
    context.stroke();
  }
  context.strokeStyle = "#000";
  context.lineWidth = 3.4 * unit;
  context.strokeText(text, textX, textY);
  context.fillStyle = "#fff";
  context.fillText(text, textX, textY);
  context.restore();
}

/** The colour key of one scale, as wide as the canvas: 0..full, or -full..full. */
export function drawKey(canvas, lut, signed) {
  const columns = signed ? 2 * STEPS + 1 : STEPS + 1;
  const image = canvasOf(lut.slice(signed ? 0 : STEPS), columns, 1);
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
}
