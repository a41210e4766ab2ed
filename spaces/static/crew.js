// The workers: one that sees photographs, one for each run. The page asks, they answer.
import { fetched, unpacked } from "./store.js";

/** The most threads of one run: more bring nothing. */
const MOST_THREADS = 4;

/** A worker that answers questions. */
class Hand {
  #worker;
  #waiting = new Map();
  #count = 0;

  constructor(url) {
    this.#worker = new Worker(url, { type: "module" });
    this.#worker.addEventListener("message", ({ data }) => {
      const { resolve, reject } = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.failed) reject(new Error(data.failed));
      else resolve(data);
    });
    this.#worker.addEventListener("error", (event) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(event.message || `${url} could not be loaded`));
      this.#waiting.clear();
    });
  }

  ask(question, transfer = []) {
    const id = (this.#count += 1);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, ...question }, transfer);
    });
  }

  end() {
    this.#worker.terminate();
  }
}

/** Threads for each of so many networks that work side by side; shared memory needs an isolated page. */
export function threadsFor(networks) {
  if (!globalThis.crossOriginIsolated) return 1;
  return Math.max(1, Math.min(MOST_THREADS, Math.floor((navigator.hardwareConcurrency || 1) / networks)));
}

export class Crew {
  #space;
  #eyes;
  #runs = null;
  #progress;
  #failures = 0;

  /** `progress(come, all)` in bytes. */
  constructor(space, progress) {
    this.#space = space;
    this.#progress = progress;
    this.#eyes = new Hand(new URL("./see.worker.js", import.meta.url));
  }

  /** What networks see of a file or a bitmap: {pixels, width, height}, or {refused: a sentence}. */
  see(picture, name) {
    const { size, view } = this.#space;
    return this.#eyes.ask({ picture, name, view: { size, ...view } }, picture instanceof ImageBitmap ? [picture] : []);
  }

  /** Fetches and starts the networks; once they are there, nothing. Rejects where the network does not give them. */
  ready() {
    this.#runs ??= this.#start().catch((error) => {
      this.#runs = null;
      this.#failures += 1;
      throw error;
    });
    return this.#runs;
  }

  /** Every run's answer about a picture, see run.worker.js. */
  async look(pixels, layer = null) {
    const runs = await this.ready();
    return Promise.all(runs.map((run) => run.ask({ see: { pixels, layer } })));
  }

  async #start() {
    const { graphs, runs, runtime } = this.#space;
    const files = [runtime, ...graphs, ...runs.map(({ weights }) => weights)];
    const all = files.reduce((sum, { bytes }) => sum + bytes, 0);
    const failures = this.#failures;
    let come = 0;
    const progress = (more) => {
      come += more;
      // Of a start that has failed, what still comes is not told.
      if (failures === this.#failures) this.#progress(come, all);
    };
    const contents = await Promise.all(files.map(({ file, bytes }) => fetched(file, bytes, progress)));
    const program = await unpacked(contents[0]);
    const shared = { space: this.#space, runtime: program, graphs: contents.slice(1, 1 + graphs.length), threads: threadsFor(runs.length) };
    const hands = runs.map(() => new Hand(new URL("./run.worker.js", import.meta.url)));
    try {
      await Promise.all(hands.map((hand, k) => {
        const weights = contents[1 + graphs.length + k];
        return hand.ask({ start: { ...shared, weights } }, [weights.buffer]);
      }));
    } catch (error) {
      for (const hand of hands) hand.end();
      throw error;
    }
    return hands;
  }
}
