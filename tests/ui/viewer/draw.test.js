import assert from "node:assert/strict";
import { test } from "node:test";
import { lookUp, opacity, paint, tableBytes } from "../../../ui/viewer/draw.js";

const rgba = (pixel) => [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255, pixel >>> 24];
const light = ([r, g, b]) => 0.2126 * r + 0.7152 * g + 0.0722 * b;
const at = (lut, t) => rgba(lut[Math.round(t * 255) + 255]);

test("every table has 256 colours", () => {
  for (const name of ["sequential", "signedLight", "signedDark"]) assert.equal(tableBytes(name).length, 768);
});

test("the sequential table grows lighter from no evidence to full strength", () => {
  const lut = lookUp(false, false, true);
  for (let t = 0.05; t <= 1; t += 0.05) assert.ok(light(at(lut, t)) > light(at(lut, t - 0.05)));
});

test("where only evidence for the class is shown, what speaks against it is transparent", () => {
  const lut = lookUp(false, true);
  for (const t of [-1, -0.5, -1 / 255, 0]) assert.equal(at(lut, t)[3], 0);
  assert.ok(at(lut, 1)[3] > 200);
});

test("signed colours are warm for and cold against, in both themes", () => {
  for (const dark of [false, true]) {
    const lut = lookUp(true, dark);
    const [forIt, against] = [at(lut, 0.6), at(lut, -0.6)];
    assert.ok(forIt[0] > forIt[2], "for: more red than blue");
    assert.ok(against[2] > against[0], "against: more blue than red");
    assert.equal(forIt[3], against[3]);
    assert.equal(at(lut, 0)[3], 0);
  }
});

test("the signed table follows the theme: light in the middle on light, dark in the middle on dark", () => {
  assert.ok(light(at(lookUp(true, false, true), 0)) > 200);
  assert.ok(light(at(lookUp(true, true, true), 0)) < 70);
});

test("opacity follows the evidence and never hides the photo", () => {
  assert.equal(opacity(0), 0);
  for (let t = 0.1; t <= 1; t += 0.1) assert.ok(opacity(t) > opacity(t - 0.1) && opacity(t) === opacity(-t));
  assert.ok(opacity(1) < 1);
});

test("painting scales, rounds and clips", () => {
  const lut = lookUp(true, false, true);
  const pixels = paint(Int8Array.of(127, -127, 0, 64), 1 / 127, lut);
  assert.deepEqual([...pixels], [lut[510], lut[0], lut[255], lut[255 + Math.round((64 / 127) * 255)]]);
  assert.deepEqual([...paint(Int8Array.of(127, -127), 9, lut)], [lut[510], lut[0]]);
});
