// What is shown, as one picture with its captions, for a slide or a paper.
import { blankCanvas } from "./draw.js";

const SIDE = 640;
const GAP = 24;
const EDGE = 32;
const HEAD = 56;
const FOOT = 64;
const LAST = 72;

/**
 * `panels`: [{title, verdict, caption, draw(canvas), key, ends}] from left to right, where `key` is a canvas with
 * the colours and `ends` what their ends stand for (neither for the photo); `footer`: one line; `look`:
 * {background, ink, font}. Returns a canvas.
 */
export function compose(panels, footer, { background, ink, font }) {
  const width = 2 * EDGE + panels.length * SIDE + (panels.length - 1) * GAP;
  const height = EDGE + HEAD + SIDE + FOOT + LAST;
  const canvas = blankCanvas(width, height);
  const context = canvas.getContext("2d");
  context.fillStyle = background;
  context.fillRect(0, 0, width, height);
  const write = (text, x, y, size, { weight = 400, align = "left", room = SIDE } = {}) => {
    context.font = `${weight} ${size}px ${font}`;
    context.textAlign = align;
    context.fillText(text, x, y, room);
  };
  panels.forEach(({ title, verdict, caption, draw, key, ends }, k) => {
    const x = EDGE + k * (SIDE + GAP);
    const square = blankCanvas(SIDE, SIDE);
    draw(square);
    context.drawImage(square, x, EDGE + HEAD);
    context.fillStyle = ink;
    write(title, x, EDGE + 36, 34, { weight: 650, room: SIDE * 0.6 });
    write(verdict, x + SIDE, EDGE + 36, 34, { align: "right", room: SIDE * 0.55 });
    const bottom = EDGE + HEAD + SIDE;
    if (key) context.drawImage(key, x, bottom, SIDE, 14);
    const line = bottom + 46;
    write(caption, key ? x + SIDE / 2 : x, line, 24, { align: key ? "center" : "left", room: SIDE * 0.7 });
    if (!key) return;
    write(ends[0], x, line, 24, { room: SIDE * 0.15 });
    write(ends[1], x + SIDE, line, 24, { align: "right", room: SIDE * 0.15 });
  });
  context.fillStyle = ink;
  write(footer, EDGE, height - 32, 24, { weight: 600, room: width - 2 * EDGE });
  return canvas;
}
