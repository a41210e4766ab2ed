// The keyboard.

/** What a key does, or null: {move: -1 | 1}, {pick: class index}, {play}, {swap}, {labels}, {blink}. */
export function keyAction(key) {
  if (key === "ArrowLeft") return { move: -1 };
  if (key === "ArrowRight") return { move: 1 };
  if (/^[1-9]$/.test(key)) return { pick: Number(key) - 1 };
  return { " ": { play: true }, s: { swap: true }, l: { labels: true }, b: { blink: true } }[key.toLowerCase()] ?? null;
}

/**
 * True when a key pressed on `target` is the viewer's to answer. Text fields keep their keys, range inputs their
 * arrows, buttons their space bar; outside of the viewer only the bare page counts, or what scrolls in its place: a
 * click on a picture gives that the focus.
 */
export function isOurs(action, target, inside) {
  if (!inside && !["BODY", "HTML", "MAIN"].includes(target.tagName)) return false;
  if (target.isContentEditable || ["TEXTAREA", "SELECT"].includes(target.tagName)) return false;
  if (target.tagName === "INPUT") return target.type === "range" && !action.move;
  return !(target.tagName === "BUTTON" && action.play);
}
