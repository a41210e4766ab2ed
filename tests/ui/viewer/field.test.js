import assert from "node:assert/strict";
import { test } from "node:test";
import {
  cellContour,
  cellToPixel,
  contour,
  gridRect,
  isBlank,
  joinCells,
  peakOf,
  rankChannels,
  sampleField,
  scaleFor,
  stretches,
} from "../../../ui/viewer/field.js";

const SIZE = 224;
const STRIDES = { stem: 2, "1a": 2, "2a": 4, "2b": 4, "3a": 8, "3b": 8 };
for (const name of ["4a", "4b", "4c", "5a", "5b", "5c"]) STRIDES[name] = 16;
for (const name of ["6a", "6b", "6c", "6d", "7a", "top"]) STRIDES[name] = 32;
const LAYERS = Object.entries(STRIDES).map(([name, stride]) => ({ name, stride, offset: stride - 1 }));

function impulse(cells, row, column) {
  const values = new Int8Array(cells * cells);
  values[row * cells + column] = 127;
  return values;
}

/** The centre of mass of a drawn field, in pixels. */
function centre(field) {
  let [mass, x, y] = [0, 0, 0];
  field.forEach((value, k) => {
    mass += value;
    x += value * (k % SIZE);
    y += value * Math.floor(k / SIZE);
  });
  return { x: x / mass, y: y / mass };
}

for (const layer of LAYERS) {
  const cells = SIZE / layer.stride;
  const [row, column] = [Math.floor(cells / 2), Math.floor(cells / 2) - 1];

  test(`an impulse at ${layer.name} is drawn on the centre of its cell, within a pixel`, () => {
    const drawn = centre(sampleField(impulse(cells, row, column), cells, cells, layer, SIZE));
    assert.ok(Math.abs(drawn.x - (layer.offset + layer.stride * column)) < 1);
    assert.ok(Math.abs(drawn.y - (layer.offset + layer.stride * row)) < 1);
  });

  test(`moving it by one cell at ${layer.name} moves the drawing by one stride`, () => {
    const here = centre(sampleField(impulse(cells, row, column), cells, cells, layer, SIZE));
    const right = centre(sampleField(impulse(cells, row, column - 1), cells, cells, layer, SIZE));
    const down = centre(sampleField(impulse(cells, row - 1, column), cells, cells, layer, SIZE));
    assert.ok(Math.abs(here.x - right.x - layer.stride) < 1e-3 && Math.abs(here.y - right.y) < 1e-3);
    assert.ok(Math.abs(here.y - down.y - layer.stride) < 1e-3 && Math.abs(here.x - down.x) < 1e-3);
  });

  test(`a native cell at ${layer.name} is a square of one stride around its centre`, () => {
    const rect = gridRect(layer, cells, cells);
    const left = rect.x + column * layer.stride;
    assert.equal(rect.width / cells, layer.stride);
    assert.equal(left + layer.stride / 2, layer.offset + layer.stride * column + 0.5);
  });
}

test("at top the drawing lies 15.5 px further right and down than a plain resize would put it", () => {
  const top = LAYERS.at(-1);
  const plain = (32 - 1) / 2;
  assert.equal(cellToPixel(top, 0) - plain, 15.5);
});

test("joined cells look at the middle of the cells they were made of", () => {
  const stem = { shape: [112, 112, 32], stride: 2, offset: 1 };
  const joined = joinCells(stem, 56);
  assert.equal(joined.stride, 4);
  assert.equal(cellToPixel(joined, 3), (cellToPixel(stem, 6) + cellToPixel(stem, 7)) / 2);
  assert.deepEqual(joinCells(stem, 112), { stride: 2, offset: 1 });
});

test("the field is the map at the centres, halfway between them its mean, and clamped outside", () => {
  const layer = { stride: 4, offset: 3 };
  const field = sampleField([1, 3, -5, 7], 2, 2, layer, 20);
  const at = (x, y) => field[y * 20 + x];
  assert.deepEqual([at(3, 3), at(7, 3), at(5, 3), at(5, 5), at(0, 0), at(19, 19)], [1, 3, 2, 1.5, 1, 7]);
});

test("every pixel is what the cells around it weigh there, also of a map that is not square", () => {
  const layer = { stride: 5, offset: 4 };
  const weight = (pixel, cell, cells) => Math.max(0, 1 - Math.abs(Math.min(cells - 1, Math.max(0, (pixel - 4) / 5)) - cell));
  const values = Float32Array.from({ length: 12 }, (_, k) => Math.sin(3 * k) * 100);
  const sampled = sampleField(values, 3, 4, layer, 20);
  for (let y = 0; y < 20; y++) {
    for (let x = 0; x < 20; x++) {
      const slow = values.reduce((sum, value, k) => sum + value * weight(y, Math.floor(k / 4), 3) * weight(x, k % 4, 4), 0);
      assert.ok(Math.abs(sampled[y * 20 + x] - slow) < 1e-4);
    }
  }
});

test("the contour of a cone is its circle", () => {
  const n = 61;
  const cone = Float32Array.from({ length: n * n }, (_, k) => 30 - Math.hypot((k % n) - 30, Math.floor(k / n) - 30));
  const lines = contour(cone, n, n, 15);
  assert.ok(lines.length > 4 * 60);
  for (let k = 0; k < lines.length; k += 2) {
    assert.ok(Math.abs(Math.hypot(lines[k] - 30, lines[k + 1] - 30) - 15) < 0.05);
  }
});

test("a contour is closed where it does not leave the field, saddles included", () => {
  const n = 40;
  const waves = Float32Array.from({ length: n * n }, (_, k) => {
    const [x, y] = [k % n, Math.floor(k / n)];
    const edge = x === 0 || y === 0 || x === n - 1 || y === n - 1;
    return edge ? -1 : Math.sin(x * 1.7) * Math.cos(y * 1.3) + 0.2 * Math.sin(x * y);
  });
  const ends = new Map();
  const lines = contour(waves, n, n, 0.1);
  for (let k = 0; k < lines.length; k += 2) {
    const key = `${lines[k].toFixed(6)} ${lines[k + 1].toFixed(6)}`;
    ends.set(key, (ends.get(key) ?? 0) + 1);
  }
  assert.ok(ends.size > 50);
  for (const count of ends.values()) assert.equal(count % 2, 0);
});

test("at a saddle the corners that the mean sides with are joined", () => {
  const apart = contour([3, -1, -1, 3], 2, 2, 0);
  const joined = contour([1, -3, -3, 1], 2, 2, 0);
  // Around the low corners (upper right, lower left), then around the high ones (upper left, lower right).
  assert.deepEqual(apart, [0.75, 0, 1, 0.25, 0.25, 1, 0, 0.75]);
  assert.deepEqual(joined, [0, 0.25, 0.25, 0, 1, 0.75, 0.75, 1]);
});

test("a flat field has no contour", () => {
  assert.deepEqual(contour(new Float32Array(25), 5, 5, 1), []);
});

test("the contour of native cells runs along their edges", () => {
  const layer = { stride: 10, offset: 9 };
  const one = cellContour([0, 0, 0, 0, 9, 0, 0, 0, 0], 3, 3, layer, 5, false);
  assert.equal(one.length / 4, 4);
  const xs = one.filter((_, k) => k % 2 === 0);
  assert.deepEqual([Math.min(...xs), Math.max(...xs)], [14.5, 24.5]);
  assert.deepEqual(cellContour([0, -9, 0, 0], 2, 2, layer, 5, false), []);
  assert.equal(cellContour([0, -9, 0, 0], 2, 2, layer, 5, true).length / 4, 4);
  assert.equal(cellContour([9, -9, 0, 0], 2, 2, layer, 5, true).length / 4, 7);
});

test("own scale is the run's strength, shared scale the largest; what is no number counts as nothing", () => {
  assert.equal(scaleFor("own", [2, 6], 0), 2);
  assert.equal(scaleFor("shared", [2, 6], 0), 6);
  assert.equal(scaleFor("shared", [2, 6, 3], 2), 6);
  assert.equal(scaleFor("shared", [2, NaN], 1), 2);
  assert.equal(scaleFor("own", [2, NaN], 1), 0);
  assert.equal(scaleFor("shared", [0, 0], 0), 0);
});

test("the strongest cell is the one for the class, or the one either way", () => {
  const values = Int8Array.of(3, -127, 40, 5, 0, 1);
  assert.deepEqual(peakOf(values, 3, false), { row: 0, column: 2, value: 40 });
  assert.deepEqual(peakOf(values, 3, true), { row: 0, column: 1, value: -127 });
});

test("a map is blank without strength, or without evidence where only that is asked", () => {
  const against = Int8Array.of(-127, -3, 0, -8);
  assert.equal(isBlank(against, 2, false), true);
  assert.equal(isBlank(against, 2, true), false);
  assert.equal(isBlank(Int8Array.of(127, 0), 0, true), true);
  assert.equal(isBlank(Int8Array.of(127, 0), NaN, true), true);
  assert.equal(isBlank(Int8Array.of(-127, 1), 2, false), true);
  assert.equal(isBlank(Int8Array.of(-127, 30), 2, false), false);
});

test("a line breaks where there is no agreement", () => {
  const parts = stretches([null, 0.5, 0.25, NaN, -1, null]);
  assert.deepEqual(parts, [
    [{ index: 1, value: 0.5 }, { index: 2, value: 0.25 }],
    [{ index: 4, value: -1 }],
  ]);
  assert.deepEqual(stretches(undefined), []);
});

test("channels are ranked by what they add, or by how much they matter either way", () => {
  const share = [0.1, -0.4, 0.3, NaN, -0.05];
  assert.deepEqual(rankChannels(share, false, 3), [2, 0]);
  assert.deepEqual(rankChannels(share, false, 1), [2]);
  assert.deepEqual(rankChannels(share, true, 3), [1, 2, 0]);
  assert.deepEqual(rankChannels(share, true, 9), [1, 2, 0, 4]);
});
