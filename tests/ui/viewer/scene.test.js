import assert from "node:assert/strict";
import { test } from "node:test";
import { Scene } from "../../../ui/viewer/scene.js";

const VIEW = { show: "positive", scale: "own", cells: "smooth", class: "cat" };

/** Two runs and one layer of 2 x 2 cells; each run is {values: four of -127..127, strength, positive}. */
function scene(...maps) {
  const blobs = maps.map(({ values }) => new Uint8Array(Int8Array.from(values).buffer));
  const runs = maps.map(({ strength, positive }, blob) => ({ maps: [[{ blob, at: 0, strength, positive }]] }));
  const layers = [{ name: "top", shape: [2, 2, 8], stride: 32, offset: 31 }];
  return new Scene({ photo: { size: 64 }, classes: [{ label: "cat", index: 0 }], layers, runs }, blobs, null);
}

const AGAINST = { values: [-127, 0, 25, 0], strength: 10, positive: 1.97 };
const FOR = { values: [127, -64, 0, 0], strength: 4, positive: 4 };

function reading(view, run = 0) {
  const made = scene(AGAINST, FOR);
  made.show({ ...VIEW, ...view }, false);
  return made.reading(run, 0);
}

test("what speaks for the class is shown on its own scale, however much speaks against it", () => {
  const { shown, full, blank, strength, peak } = reading({});
  assert.deepEqual({ shown, full, blank, strength }, { shown: 1.97, full: 1.97, blank: false, strength: 10 });
  assert.deepEqual(peak, { x: 31, y: 63, value: 1.97 });
});

test("signed, the scale is the largest value of either sign", () => {
  const { shown, full, peak } = reading({ show: "signed" });
  assert.deepEqual({ shown, full, peak }, { shown: 10, full: 10, peak: { x: 31, y: 31, value: -10 } });
});

test("a shared scale is the largest of what is shown of the runs", () => {
  assert.equal(reading({ scale: "shared" }).full, 4);
  assert.equal(reading({ scale: "shared" }, 1).full, 4);
  assert.equal(reading({ scale: "shared", show: "signed" }, 1).full, 10);
});

test("a map without evidence for the class is blank on any scale", () => {
  const made = scene({ values: [-127, -3, -127, 0], strength: 3, positive: 0 }, FOR);
  made.show(VIEW, false);
  const { shown, full, blank, peak, strength } = made.reading(0, 0);
  assert.deepEqual({ shown, full, blank, peak, strength }, { shown: 0, full: 0, blank: true, peak: null, strength: 3 });
});
