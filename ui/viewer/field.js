// Where cells look, and the numbers behind a map. Pure functions; pixels are those of the photo as seen,
// pixel centres at integers, the first at 0. A map is signed, row-major, height x width.

/** The pixel that cell `index` of a layer is centred on, along one axis. */
export function cellToPixel(layer, index) {
  return layer.offset + layer.stride * index;
}

/** The rectangle that the whole grid of native cells covers, unclipped, in canvas units of one pixel. */
export function gridRect(layer, height, width) {
  // The centre of the first pixel is half a unit from the edge of the canvas.
  const start = cellToPixel(layer, 0) - layer.stride / 2 + 0.5;
  return { x: start, y: start, width: width * layer.stride, height: height * layer.stride };
}

/** The same layer with its cells joined so that `height` of them remain; where the joined cells look. */
export function joinCells(layer, height) {
  const together = Math.round(layer.shape[0] / height);
  const { stride, offset } = layer;
  return { stride: stride * together, offset: offset + (stride * (together - 1)) / 2 };
}

function between(layer, cells, pixel) {
  const position = Math.min(cells - 1, Math.max(0, (pixel - layer.offset) / layer.stride));
  const low = Math.floor(position);
  return [low, Math.min(cells - 1, low + 1), position - low];
}

/** A map at every pixel of a size x size photo, as Float32Array: bilinear between cell centres, clamped outside them. */
export function sampleField(values, height, width, layer, size, out = new Float32Array(size * size)) {
  // Numbers of one kind in a row: an array for each pixel would take several times as long.
  const [lefts, rights] = [new Int32Array(size), new Int32Array(size)];
  const acrosses = new Float64Array(size);
  for (let x = 0; x < size; x++) [lefts[x], rights[x], acrosses[x]] = between(layer, width, x);
  const row = new Float32Array(width);
  for (let y = 0; y < size; y++) {
    const [upper, lower, down] = between(layer, height, y);
    for (let j = 0; j < width; j++) {
      row[j] = values[upper * width + j] * (1 - down) + values[lower * width + j] * down;
    }
    for (let x = 0; x < size; x++) {
      const left = row[lefts[x]];
      out[y * size + x] = left + (row[rights[x]] - left) * acrosses[x];
    }
  }
  return out;
}

/** Marching squares: where a field crosses a level, as flat segments [x0, y0, x1, y1, ...] in pixels. */
export function contour(field, height, width, level) {
  const segments = [];
  for (let y = 0; y + 1 < height; y++) {
    for (let x = 0; x + 1 < width; x++) {
      const at = y * width + x;
      const a = field[at] - level;
      const b = field[at + 1] - level;
      const c = field[at + width + 1] - level;
      const d = field[at + width] - level;
      const above = (a >= 0) + (b >= 0) + (c >= 0) + (d >= 0);
      if (above === 0 || above === 4) continue;
      const points = [];
      if (a >= 0 !== b >= 0) points.push(x + a / (a - b), y);
      if (b >= 0 !== c >= 0) points.push(x + 1, y + b / (b - c));
      if (c >= 0 !== d >= 0) points.push(x + d / (d - c), y + 1);
      if (d >= 0 !== a >= 0) points.push(x, y + a / (a - d));
      // At a saddle the mean of the corners decides which two corners belong together.
      if (points.length === 8 && a >= 0 !== a + b + c + d >= 0) {
        segments.push(points[6], points[7], ...points.slice(0, 6));
      } else segments.push(...points);
    }
  }
  return segments;
}

/** The same for native cells: the edges between cells on either side of +-level. Canvas units of a pixel. */
export function cellContour(values, height, width, layer, level, signed) {
  const side = (i, j) => {
    if (i < 0 || j < 0 || i >= height || j >= width) return 0;
    const value = values[i * width + j];
    return value >= level ? 1 : signed && value <= -level ? -1 : 0;
  };
  const { x, y } = gridRect(layer, height, width);
  const step = layer.stride;
  const segments = [];
  for (let i = 0; i <= height; i++) {
    for (let j = 0; j <= width; j++) {
      const here = side(i, j);
      const px = x + j * step;
      const py = y + i * step;
      if (j < width && here !== side(i - 1, j)) segments.push(px, py, px + step, py);
      if (i < height && here !== side(i, j - 1)) segments.push(px, py, px, py + step);
    }
  }
  return segments;
}

/** What a map is divided by for the eye: its own largest value, or the largest of all runs at that layer. */
export function scaleFor(mode, largest, run) {
  const usable = (value) => (Number.isFinite(value) && value > 0 ? value : 0);
  return mode === "shared" ? Math.max(0, ...largest.map(usable)) : usable(largest[run]);
}

/** The cell that speaks loudest: for the class (positive) or either way (signed). */
export function peakOf(values, width, signed) {
  let best = -1;
  let where = 0;
  for (let k = 0; k < values.length; k++) {
    const size = signed ? Math.abs(values[k]) : values[k];
    if (size > best) {
      best = size;
      where = k;
    }
  }
  return { row: Math.floor(where / width), column: where % width, value: values[where] ?? 0 };
}

/** Below this share of its strength a map shows nothing that an eye could tell from noise. */
const VISIBLE = 0.02;

/** True when there is nothing to show: no strength, or nothing for the class where only that is asked. */
export function isBlank(values, strength, signed) {
  if (!(Number.isFinite(strength) && strength > 0)) return true;
  const { value } = peakOf(values, 1, signed);
  return (signed ? Math.abs(value) : value) < VISIBLE * 127;
}

/** The stretches of a line without gaps: [[{index, value}, ...], ...]; null and NaN are gaps. */
export function stretches(line) {
  const found = [[]];
  (line ?? []).forEach((value, index) => {
    if (Number.isFinite(value)) found.at(-1).push({ index, value });
    else found.push([]);
  });
  return found.filter((stretch) => stretch.length > 0);
}

/** Positions of the channels that carry most of a score: only those for it (positive), or for and against (signed). */
export function rankChannels(share, signed, count) {
  const weight = (k) => (signed ? Math.abs(share[k]) : share[k]);
  return Array.from(share, (_, k) => k)
    .filter((k) => weight(k) > 0)
    .sort((a, b) => weight(b) - weight(a) || a - b)
    .slice(0, count);
}
