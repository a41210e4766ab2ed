import assert from "node:assert/strict";
import { test } from "node:test";
import {
  TEXT,
  blankText,
  channelText,
  noChannelsText,
  classText,
  depthText,
  fileName,
  formatNumber,
  formatProbability,
  formatSigned,
  layerLine,
  mapText,
  placeText,
  seenText,
  sizesText,
  tookText,
} from "../../../ui/viewer/words.js";

const BLOCK = { kernel: 5, stride: 1, expansion: 6, channels_in: 112, channels_out: 112, se_ratio: 0.25, residual: true };
const LAYER = { name: "5c", shape: [14, 14, 112], receptive_field: 299, block: BLOCK };

test("the depth control says where it stands", () => {
  const layers = Array.from({ length: 18 }, (_, k) => ({ name: `n${k}`, shape: [28, 28, 8] }));
  layers[11] = LAYER;
  assert.equal(depthText(layers, 11), "layer 5c, 12 of 18, 14 by 14 cells");
});

test("a photo is said to pass through the size of the pictures that its network learned from", () => {
  const photo = { name: "chelsea", width: 600, height: 400, size: 160 };
  assert.equal(sizesText(photo), "600 × 400 → 160 × 160");
  assert.equal(seenText(photo), "chelsea as the network sees it, 160 by 160 pixels");
  const small = { ...photo, source_size: 64 };
  assert.equal(sizesText(small), "600 × 400 → 64 × 64 → 160 × 160");
  assert.equal(seenText(small), "chelsea as the network sees it, 160 by 160 pixels, made of 64 by 64");
  // One that is as small already stays as it is until it is enlarged.
  assert.equal(sizesText({ ...small, width: 64, height: 64 }), "64 × 64 → 160 × 160");
});

test("one line says what a block is", () => {
  assert.equal(
    layerLine(LAYER),
    "MBConv6 · 5 × 5 · stride 1 · expansion 6 · 112 to 112 channels · SE 0.25 · residual · receptive field 299 px",
  );
  const other = { ...LAYER, block: { ...BLOCK, stride: 2, residual: false, se_ratio: null } };
  assert.doesNotMatch(layerLine(other), /residual|SE/);
});

test("layers without a block say what they are", () => {
  assert.equal(
    layerLine({ name: "stem", shape: [112, 112, 32], receptive_field: 3, block: null }),
    "Stem · the first convolution · 32 channels · receptive field 3 px",
  );
  assert.equal(layerLine({ name: "top", shape: [7, 7, 1280], block: null }), "Top · the last convolution · 1280 channels");
  assert.equal(layerLine({ name: "conv3", shape: [7, 7, 64], block: null }), "Layer conv3 · 64 channels");
});

test("a map is described for those who cannot see it", () => {
  const seen = { label: "cat", layerName: "5c", runName: "SGD", strength: 2.4, shown: 1.8, size: 224, signed: false };
  assert.equal(
    mapText({ ...seen, peak: { x: 47, y: 40 } }),
    "Evidence for cat at layer 5c in the SGD run; positive strength 1.8; strongest at the upper left, around row 40, column 47",
  );
  assert.equal(
    mapText({ ...seen, peak: null, strength: 0 }),
    "Evidence for cat at layer 5c in the SGD run: No evidence for cat at 5c.",
  );
  assert.match(mapText({ ...seen, signed: true, peak: { x: 300, y: -2 } }), /for and against cat.*row 0, column 223/);
});

test("a class is named with spaces, as people write it", () => {
  assert.equal(classText("lobster_roll_sandwich"), "lobster roll sandwich");
  const seen = { label: "apple_pie", layerName: "5c", runName: "SGD", strength: 2.4, shown: 1.8, size: 224, signed: false };
  assert.match(mapText({ ...seen, peak: { x: 47, y: 40 } }), /^Evidence for apple pie at/);
  assert.match(mapText({ ...seen, peak: null, strength: 0 }), /: No evidence for apple pie at/);
});

test("places have everyday names", () => {
  const names = [20, 112, 210].map((y) => [20, 112, 210].map((x) => placeText(x, y, 224)));
  assert.deepEqual(names, [
    ["upper left", "top", "upper right"],
    ["left", "centre", "right"],
    ["lower left", "bottom", "lower right"],
  ]);
});

test("nothing to show is a sentence", () => {
  assert.equal(blankText("cat", "5c", { strength: 0, signed: false }), "No evidence for cat at 5c.");
  assert.equal(blankText("cat", "5c", { strength: 2.4, shown: 0, signed: false }), "No evidence for cat at 5c. All of it speaks against (strength 2.4).");
  assert.match(blankText("cat", "5c", { strength: 2.4, shown: 0.008, signed: false }), /Nearly all of it speaks against/);
  assert.equal(noChannelsText("5c", "apple_pie", false), "No channel of 5c speaks for apple pie.");
  assert.equal(noChannelsText("5c"), "The channels of 5c are not part of this view.");
  assert.equal(noChannelsText("5c", "cat", true), "No channel of 5c speaks for cat, or against it.");
});

test("a channel's share is of all that is said on both sides, not of the score", () => {
  assert.equal(channelText(7, -0.026), "Channel 7: −2.6 percent of what all channels say, for and against");
  assert.match(TEXT.channels, /% of what all say, for and against$/);
});

test("numbers are short, keep their width and never say more than is known", () => {
  assert.deepEqual([2.4, 0.0312, 13.4, 120.6, 0, -2.41, 0.00001234, 6, NaN].map(formatNumber), [
    "2.4", "0.031", "13", "121", "0", "−2.4", "1.2e-5", "6.0", "–",
  ]);
  assert.deepEqual([0.971, 0.99996, 1, 0.0001, 0, undefined].map(formatProbability), [
    "97.1 %", "> 99.9 %", "> 99.9 %", "< 0.1 %", "< 0.1 %", "–",
  ]);
  assert.deepEqual([0.834, -0.2, 0.001, null].map((v) => formatSigned(v, 2)), ["+0.83", "−0.20", "0.00", "–"]);
});

test("a file is named after what it shows, whatever the photo was called", () => {
  assert.equal(fileName(["chelsea.png", "5c", "cat"], "png"), "parallax-chelsea-5c-cat.png");
  assert.equal(fileName(["../../etc/<img onerror=x>.JPG", "top"], "png"), "parallax-etc-img-onerror-x-top.png");
  assert.equal(fileName(["猫.webp", "top"], "npz"), "parallax-猫-top.npz");
  assert.equal(fileName([undefined], "npz"), "parallax.npz");
});

test("what it took is in milliseconds, or in seconds from one on", () => {
  assert.equal(tookText("Grad-CAM", 0.0312), "Grad-CAM in 31 ms");
  assert.equal(tookText("Eigen-CAM", 1.234), "Eigen-CAM in 1.2 s");
  assert.equal(tookText("Grad-CAM", 0.0002), "Grad-CAM in 1 ms");
  assert.equal(tookText("Grad-CAM", undefined), "Grad-CAM");
  assert.equal(tookText(undefined, 1), "");
});
