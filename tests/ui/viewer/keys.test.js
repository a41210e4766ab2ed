import assert from "node:assert/strict";
import { test } from "node:test";
import { isOurs, keyAction } from "../../../ui/viewer/keys.js";

const target = (tagName, more = {}) => ({ tagName, isContentEditable: false, ...more });

test("keys do what the page says they do", () => {
  assert.deepEqual(keyAction("ArrowLeft"), { move: -1 });
  assert.deepEqual(keyAction("ArrowRight"), { move: 1 });
  assert.deepEqual(keyAction("3"), { pick: 2 });
  assert.deepEqual(keyAction(" "), { play: true });
  assert.deepEqual([keyAction("S"), keyAction("l"), keyAction("b")], [{ swap: true }, { labels: true }, { blink: true }]);
  assert.equal(keyAction("0"), null);
  assert.equal(keyAction("Tab"), null);
});

test("a person who types keeps every key", () => {
  for (const field of [target("TEXTAREA"), target("SELECT"), target("INPUT", { type: "text" }), target("P", { isContentEditable: true })]) {
    for (const key of ["s", " ", "1", "ArrowLeft"]) assert.equal(isOurs(keyAction(key), field, true), false);
  }
});

test("ranges keep their arrows and buttons their space bar", () => {
  const range = target("INPUT", { type: "range" });
  assert.equal(isOurs(keyAction("ArrowLeft"), range, true), false);
  assert.equal(isOurs(keyAction(" "), range, true), true);
  assert.equal(isOurs(keyAction(" "), target("BUTTON"), true), false);
  assert.equal(isOurs(keyAction("ArrowLeft"), target("BUTTON"), true), true);
});

test("outside of the viewer only the bare page listens", () => {
  for (const page of ["BODY", "MAIN"]) assert.equal(isOurs(keyAction("s"), target(page), false), true);
  assert.equal(isOurs(keyAction("s"), target("BUTTON"), false), false);
  assert.equal(isOurs(keyAction("ArrowLeft"), target("DIV"), false), false);
});
