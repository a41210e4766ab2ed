import assert from "node:assert/strict";
import { test } from "node:test";
import { isDark } from "../../../ui/viewer/theme.js";

test("dark and light are told from a computed colour", () => {
  assert.equal(isDark("rgb(14, 17, 23)"), true);
  assert.equal(isDark("rgb(255, 255, 255)"), false);
  assert.equal(isDark("rgba(250, 250, 250, 0.9)"), false);
  assert.equal(isDark("color(srgb 0.05 0.06 0.09)"), true);
});

test("a transparent background tells nothing", () => {
  assert.equal(isDark("rgba(0, 0, 0, 0)"), null);
  assert.equal(isDark("transparent"), null);
  assert.equal(isDark(""), null);
});
