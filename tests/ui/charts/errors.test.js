import assert from "node:assert/strict";
import { test } from "node:test";
import { confused, groupText, inkOn, readErrors, scaleStart, shares, shortPoints, sorted, worded } from "../../../ui/charts/errors.js";

test("each row is shares of its own class", () => {
  assert.deepEqual(shares([[3, 1], [0, 0]]), [[0.75, 0.25], [0, 0]]);
});

test("what is taken for what most often, both runs together, right answers left out", () => {
  const sgd = [[9, 1, 0], [4, 6, 0], [0, 0, 10]];
  const adam = [[8, 0, 2], [2, 8, 0], [0, 0, 10]];
  assert.deepEqual(confused([sgd, adam], 2), [
    { from: 1, to: 0, counts: [4, 2] },
    { from: 0, to: 2, counts: [0, 2] },
  ]);
});

test("the scale of F1 begins at the tenth below the lowest, and never at its end", () => {
  const start = (...values) => scaleStart(values.map((value) => ({ f1: [value, 1] })));
  assert.deepEqual([start(0.178, 0.9), start(0.89, 0.97), start(0.992), start(1), start(0)], [0.1, 0.8, 0.9, 0.9, 0]);
});

test("a group that is not all there says of how many it is the first", () => {
  const pictures = Array(100).fill({});
  assert.equal(groupText({ title: "Exactly one wrong", of: 1267, pictures }), "Exactly one wrong (100 of 1,267)");
  assert.equal(groupText({ title: "Exactly one wrong", of: 100, pictures }), "Exactly one wrong (100)");
});

test("a difference below one point is not called a whole one, for the key beside it names its size", () => {
  const told = [0.004, -0.006, 0.008, -0.0096, 0.014, -0.12].map(shortPoints);
  assert.deepEqual(told, ["", "\u2212.6", "+.8", "\u22121", "+1", "\u221212"]);
});

test("the number of a cell is black or white, whichever has the higher contrast", () => {
  // The greys on either side of where both have 4.58 : 1; a limit at half of the luma lies elsewhere.
  for (const [grey, ink] of [[118, "#000"], [117, "#fff"]]) assert.equal(inkOn([grey, grey, grey]), ink);
  assert.deepEqual([[255, 255, 0], [0, 0, 255]].map(inkOn), ["#000", "#fff"]);
});

test("classes are sorted by the worse run, by distance, by name", () => {
  const classes = [
    { label: "b", f1: [0.9, 0.4] },
    { label: "a", f1: [0.5, 0.5] },
    { label: "c", f1: [0.3, 0.6] },
  ];
  const names = (column) => sorted(classes, column).map((one) => one.label).join("");
  assert.equal(names("f1"), "cba");
  assert.equal(names("apart"), "bca");
  assert.equal(names("label"), "abc");
});

test("classes are named as people write them wherever they stand, addresses as they are", () => {
  const picture = { name: "my_cake.jpg", label: "apple_pie", href: "./?class=apple_pie", answers: [{ label: "carrot_cake", right: false }] };
  const meta = { labels: ["apple_pie", "carrot_cake"], classes: [{ label: "apple_pie", f1: [1, 1] }], groups: [{ id: "wrong_ones", pictures: [picture] }] };
  assert.deepEqual(worded(meta), {
    labels: ["apple pie", "carrot cake"],
    classes: [{ label: "apple pie", f1: [1, 1] }],
    groups: [{ id: "wrong_ones", pictures: [{ ...picture, label: "apple pie", answers: [{ label: "carrot cake", right: false }] }] }],
  });
});

test("an address names pictures and the order of classes; what is malformed is left out", () => {
  assert.deepEqual(readErrors("#pictures=one&order=apart"), { group: "one", order: "apart" });
  assert.deepEqual(readErrors("order=f2&layer=5c"), { group: null, order: null });
  assert.deepEqual(readErrors(""), { group: null, order: null });
});
