import assert from "node:assert/strict";
import { test } from "node:test";
import { share, spread, ticks } from "../../../ui/charts/plot.js";

test("a value stands between the ends as on its scale", () => {
  assert.equal(share(3, [2, 6], false), 0.25);
  assert.equal(share(10, [1, 100], true).toFixed(12), "0.500000000000");
  assert.equal(share(5, [5, 5], false), 0.5);
});

test("ticks are round and between the ends", () => {
  assert.deepEqual(ticks([0, 100], false), [0, 50, 100]);
  assert.deepEqual(ticks([0.86, 1.01], false).map((value) => value.toFixed(2)), ["0.90", "0.95", "1.00"]);
  assert.deepEqual(ticks([0.009, 0.25], true).map((value) => value.toFixed(3)), ["0.010", "0.020", "0.050", "0.100", "0.200"]);
  assert.deepEqual(ticks([0.001, 10], true).map(String), ["0.001", "0.01", "0.1", "1", "10"]);
});

test("labels move apart in their order and stay inside", () => {
  assert.deepEqual(spread([10, 12, 50], 18, 0, 100), [10, 28, 50]);
  assert.deepEqual(spread([99, 98], 18, 0, 100), [100, 82]);
  assert.deepEqual(spread([40], 18, 0, 100), [40]);
});
