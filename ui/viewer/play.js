// Playing through the layers, one after the other, until somebody stops it.

const STEP_MS = 900;

/** Calls `step()` again and again while it is on. */
export class Play {
  #step;
  #timer = 0;

  constructor(step) {
    this.#step = step;
  }

  get on() {
    return this.#timer !== 0;
  }

  /** The first step comes sooner where nothing has been looked at yet. */
  start(underWay) {
    this.#next(underWay ? STEP_MS : STEP_MS / 2);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = 0;
  }

  #next(wait) {
    this.#timer = setTimeout(() => {
      this.#next(STEP_MS);
      this.#step();
    }, wait);
  }
}
