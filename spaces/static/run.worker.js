// One run: its network in onnxruntime-web, away from the page.
import * as ort from "./runtime/ort.wasm.min.mjs";
import { packChannels, packMap, perLabel, targetsOf } from "./evidence.js";

/** What graphs call the file of weights (ui/viewer/static.py). */
const WEIGHTS = "weights";

let network = null;

addEventListener("message", async ({ data: { id, start, see } }) => {
  try {
    if (start) {
      network = new Network(start);
      await network.warm();
      postMessage({ id });
    } else {
      const found = await network.look(see);
      postMessage({ id, ...found });
    }
  } catch (error) {
    postMessage({ id, failed: String(error?.message ?? error) });
  }
});

class Network {
  #space;
  #weights;
  #graphs;
  #targets;
  #sessions = new Map();

  /** `runtime`, `weights`, `graphs`: bytes as space.json names them; `threads` of the processor. */
  constructor({ space, runtime, weights, graphs, threads }) {
    Object.assign(ort.env.wasm, { wasmBinary: runtime, numThreads: threads, wasmPaths: new URL("./runtime/", import.meta.url).href });
    this.#space = space;
    this.#weights = weights;
    this.#graphs = graphs;
    this.#targets = targetsOf(space.units);
  }

  /** Prepares the whole network; the first pass is slower than all others. */
  async warm() {
    const { size } = this.#space;
    await this.look({ pixels: new Uint8ClampedArray(size * size * 3) });
  }

  /**
   * Explains a picture (pixels, size x size x 3). With `layer`, only what it takes to show that layer: the maps from
   * there on, and its channels.
   */
  async look({ pixels, layer = null }) {
    const started = performance.now();
    const { size, units, layers, maps: kind } = this.#space;
    const session = await this.#session(layer);
    const maps = layers.map(({ name }) => name).filter((name) => session.outputNames.includes(`${kind}/${name}`));
    const shown = layer ? [layer] : maps;
    const details = shown.flatMap((name) => [`activation/${name}`, `share/${name}`, `gate/${name}`]);
    const wanted = ["logits", ...maps.map((name) => `${kind}/${name}`), ...details.filter((name) => session.outputNames.includes(name))];
    const rows = units === 1 ? Float32Array.of(1) : Float32Array.from({ length: units * units }, (_, k) => (k % (units + 1) ? 0 : 1));
    const feeds = {
      image: new ort.Tensor("float32", new Float32Array(pixels), [1, size, size, 3]),
      cotangent: new ort.Tensor("float32", rows, [units, units]),
    };
    const found = await session.run(feeds, wanted);
    const seconds = (performance.now() - started) / 1000;
    return { ...perLabel(found.logits.data), ...this.#evidence(found, maps, shown), seconds };
  }

  #evidence(found, maps, shown) {
    const shapes = new Map(this.#space.layers.map(({ name, shape }) => [name, shape]));
    const answer = { maps: {}, raw: {}, channels: {}, gates: {} };
    for (const name of maps) {
      const [height, width] = shapes.get(name);
      const { data } = found[`${this.#space.maps}/${name}`];
      answer.raw[name] = data;
      answer.maps[name] = this.#targets.map(({ row, sign }) => packMap(data.subarray(row * height * width, (row + 1) * height * width), sign));
    }
    for (const name of shown) {
      const { [`share/${name}`]: share, [`activation/${name}`]: activation, [`gate/${name}`]: gate } = found;
      answer.channels[name] = packChannels(share.data, activation.data, shapes.get(name), this.#targets);
      if (gate) answer.gates[name] = { values: gate.data };
    }
    return answer;
  }

  /** The cheapest graph that shows a layer; the whole one for all. Of the others one is kept. */
  async #session(layer) {
    const { graphs } = this.#space;
    const number = layer ? graphs.findLastIndex(({ layers }) => layers.includes(layer)) : 0;
    if (!this.#sessions.has(number)) {
      for (const [other, session] of this.#sessions) {
        if (other === 0) continue;
        this.#sessions.delete(other);
        await session.release();
      }
      const options = { executionProviders: ["wasm"], externalData: [{ path: WEIGHTS, data: this.#weights }] };
      this.#sessions.set(number, await ort.InferenceSession.create(this.#graphs[number], options));
    }
    return this.#sessions.get(number);
  }
}
