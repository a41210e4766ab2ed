import assert from "node:assert/strict";
import { test } from "node:test";
import { ends, firstLoss, nats, percent, readCurves } from "../../../ui/charts/curves.js";

test("numbers are told with the digits that they deserve", () => {
  assert.equal(percent(0.9975), "99.75 %");
  assert.equal(percent(0.9, true), "90");
  assert.equal(nats(0.00792168), "0.00792");
  assert.equal(nats(0.0077), "0.00770");
  assert.equal(nats(2.302585), "2.30");
  assert.equal(nats(0.5, true), "0.5");
  assert.equal(nats(123.4), "123");
});

test("the first loss is explained where L2 was a part of it", () => {
  const history = [{ loss: 6.9, cross_entropy: 4.6, l2: 2.3 }, { cross_entropy: 1, l2: 1 }];
  const sentence = firstLoss({ name: "Adam", history }, 101);
  assert.match(sentence, /^Adam: the loss of the first epoch, 6.90, is 4.60 of cross-entropy/);
  assert.match(sentence, /101 classes has 4.62\) and 2.30 of L2/);
  assert.equal(firstLoss({ name: "Adam", history: [{ loss: 1 }] }, 2), "");
  assert.equal(firstLoss({ name: "Adam", history: [] }, 2), "");
});

test("the ends leave room, and a logarithm has no end at zero", () => {
  assert.deepEqual(ends([0, 1], false), [-0.08, 1.08]);
  assert.deepEqual(ends([0.1, 8], true), [0.08, 10]);
  const [low, high] = ends([1, 1], false);
  assert.ok(low < 1 && high > 1);
});

test("an address names an epoch and runs; what is malformed is left out", () => {
  assert.deepEqual(readCurves("#epoch=2&runs=sgd,adam-seed1"), { epoch: 2, runs: ["sgd", "adam-seed1"] });
  assert.deepEqual(readCurves("#epoch=-1"), { epoch: null, runs: null });
  assert.deepEqual(readCurves("epoch=1.5&runs="), { epoch: null, runs: null });
});
