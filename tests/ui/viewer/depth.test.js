import assert from "node:assert/strict";
import { test } from "node:test";
import { crowded, heightOf, ringShift, stages, tickAt } from "../../../ui/viewer/depth.js";

test("ticks stand where the browser puts the thumb of a range input", () => {
  assert.equal(tickAt(0, 18, 344), 22);
  assert.equal(tickAt(17, 18, 344), 322);
  assert.equal(tickAt(8.5, 18, 344), 172);
  assert.equal(tickAt(0, 1, 344), 22);
});

test("more agreement is higher, and the rings come together", () => {
  assert.ok(heightOf(1) < heightOf(0) && heightOf(0) < heightOf(-1));
  assert.equal(heightOf(null), heightOf(0));
  assert.equal(ringShift(1), 0);
  assert.ok(ringShift(0.9) < ringShift(0) && ringShift(0) < ringShift(-1));
  assert.equal(ringShift(null), ringShift(-1));
});

test("neighbouring layers with cells of one size make a stage", () => {
  const sizes = [112, 112, 56, 56, 28, 7];
  const found = stages(sizes.map((n) => ({ shape: [n, n, 8] })));
  assert.deepEqual(found.map(({ from, to, height }) => [from, to, height]), [[0, 1, 112], [2, 3, 56], [4, 4, 28], [5, 5, 7]]);
});

test("names that lie on each other are noticed, wherever they do", () => {
  assert.equal(crowded([20, 60, 100], [15, 15, 15]), false);
  assert.equal(crowded([20, 60, 100], [15, 15, 30]), true);
  assert.equal(crowded([20, 45, 100], [15, 15, 15]), true);
  assert.equal(crowded([20], [300]), false);
  assert.equal(crowded([], []), false);
});
