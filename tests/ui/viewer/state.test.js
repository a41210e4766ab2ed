import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULTS, MOST_CHANNELS, classOf, decodeState, encodeState, fitState } from "../../../ui/viewer/state.js";
import { watchHash } from "../../../ui/viewer/address.js";

const META = {
  layers: [{ name: "stem" }, { name: "5c" }, { name: "top" }],
  classes: [{ label: "cat" }, { label: "dog" }],
};

const STATE = {
  layer: "5c",
  class: "crème brûlée & co=1#2",
  show: "signed",
  scale: "shared",
  cells: "native",
  fade: 0.5,
  labels: false,
  swap: true,
  channels: 7,
};

test("a state comes back from its hash, whatever the label is made of", () => {
  assert.deepEqual(decodeState(encodeState(STATE)), STATE);
  assert.deepEqual(decodeState(`#${encodeState(STATE)}`), STATE);
});

test("a hash names the whole state in a fixed order", () => {
  const hash = encodeState({ ...DEFAULTS, layer: "5c", class: "cat" });
  assert.equal(hash, "layer=5c&class=cat&show=positive&scale=own&cells=smooth&fade=0&labels=1&swap=0&channels=12");
});

test("what a hash does not say, or says wrongly, is left out", () => {
  assert.deepEqual(decodeState(""), {});
  assert.deepEqual(decodeState(undefined), {});
  assert.deepEqual(decodeState("#show=nonsense&fade=abc&labels=yes&channels=&layer=&other=1"), {});
});

test("a state is fitted to what the payload has", () => {
  const fitted = fitState({ layer: "9z", class: "fish", fade: 7, channels: 1000, show: "x" }, META);
  assert.equal(fitted.layer, "top");
  assert.equal(fitted.class, null);
  assert.equal(fitted.fade, 1);
  assert.equal(fitted.channels, MOST_CHANNELS);
  assert.equal(fitted.show, "positive");
  assert.equal(fitState({ channels: 0 }, META).channels, DEFAULTS.channels);
  assert.equal(fitState({ channels: -3 }, META).channels, 1);
  assert.equal(fitState({ fade: NaN }, META).fade, 0);
});

test("a known layer and class are kept with another photograph", () => {
  const fitted = fitState({ ...DEFAULTS, layer: "5c", class: "dog", swap: true }, META);
  assert.deepEqual([fitted.layer, fitted.class, fitted.swap], ["5c", "dog", true]);
});

test("where no class is chosen, it is the one that the first run finds likeliest, of each photograph anew", () => {
  const dog = { ...META, runs: [{ probabilities: [0.2, 0.8] }, { probabilities: [0.9, 0.1] }] };
  const cat = { ...META, runs: [{ probabilities: [0.7, 0.3] }] };
  const state = fitState({}, dog);
  assert.equal(classOf(state, dog), "dog");
  assert.equal(classOf(fitState(state, cat), cat), "cat");
  assert.equal(classOf(fitState({ class: "cat" }, dog), dog), "cat");
  assert.equal(classOf(fitState({ class: "fish" }, dog), dog), "dog");
  assert.equal(classOf(fitState({}, META), META), "cat");
});

test("an address names a class only where one was chosen, so that another photograph may have another", () => {
  assert.equal(decodeState(encodeState(fitState({}, META))).class, undefined);
  assert.equal(decodeState(encodeState(fitState({ class: "dog" }, META))).class, "dog");
});

test("an address that somebody gives is taken, also where the page has written its own since", (t) => {
  let hear;
  let taken;
  t.after(() => {
    delete globalThis.addEventListener;
    delete globalThis.location;
  });
  globalThis.addEventListener = (name, listener) => {
    assert.equal(name, "hashchange");
    hear = listener;
  };
  globalThis.location = { href: "https://parallax.example/#layer=top" };
  watchHash((hash) => {
    taken = decodeState(hash);
  });
  hear({ newURL: "https://parallax.example/#layer=5c&class=dog" });
  assert.deepEqual(taken, { layer: "5c", class: "dog" });
  // An event that a script made names no address.
  hear({ newURL: "" });
  assert.deepEqual(taken, decodeState());
  assert.deepEqual(taken, { layer: "top" });
});
