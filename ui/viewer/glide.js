// Depth that moves: a position that runs after a layer, one drawing per frame; and what was shown, fading.

const GLIDE_MS = 70;
const FADE_MS = 220;

/** True where the person asked for less motion. */
export function still() {
  return globalThis.matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Keeps what panels {canvas, ghost} show above them and lets it fade away. */
export function fadeAway(panels) {
  if (still()) return;
  for (const { canvas, ghost } of panels) {
    Object.assign(ghost, { width: canvas.width, height: canvas.height });
    if (canvas.width) ghost.getContext("2d").drawImage(canvas, 0, 0);
    ghost.animate([{ opacity: 1 }, { opacity: 0 }], { duration: FADE_MS, easing: "ease-out" });
  }
}

/** A position between layers; `draw()` is called whenever it has moved. */
export class Glide {
  position = 0;
  #target = 0;
  #frame = 0;
  #time = 0;
  #draw;

  constructor(draw) {
    this.#draw = draw;
  }

  /** Stands at an index at once, without drawing. */
  jump(index) {
    this.position = this.#target = index;
  }

  /** Draws now and goes on until the position is the index. */
  to(index) {
    this.#target = index;
    if (still()) this.position = index;
    this.#draw();
    if (this.#frame || this.position === index) return;
    this.#time = performance.now();
    this.#frame = requestAnimationFrame((now) => this.#tick(now));
  }

  stop() {
    cancelAnimationFrame(this.#frame);
  }

  #tick(now) {
    const rest = this.#target - this.position;
    this.position += rest * (1 - Math.exp(-Math.max(0, now - this.#time) / GLIDE_MS));
    this.#time = now;
    if (Math.abs(this.#target - this.position) < 0.015) this.position = this.#target;
    this.#draw();
    this.#frame = this.position === this.#target ? 0 : requestAnimationFrame((next) => this.#tick(next));
  }
}
