// From what a network gives to what the viewer is told: the twin of ui/viewer/payload.py. Pure.

/** The most channels that a row shows, and the largest side of a feature map in cells, as in payload.py. */
const CHANNELS = 24;
const CHANNEL_SIDE = 56;

const decimals = (value, count) => Number(value.toFixed(count));
const digits = (value, count) => Number(value.toPrecision(count));

/** Logits and probabilities for each label; for one sigmoid unit z the logits are (-z, z). */
export function perLabel(values) {
  if (values.length === 1) {
    const logits = [-values[0], values[0]];
    return { logits, probabilities: logits.map((z) => 1 / (1 + Math.exp(-z))) };
  }
  const logits = Array.from(values);
  const highest = Math.max(...logits);
  const powers = logits.map((z) => Math.exp(z - highest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return { logits, probabilities: powers.map((power) => power / sum) };
}

/** For each target its row of the network's gradients and a sign: one unit has one gradient for both its labels. */
export function targetsOf(units) {
  if (units === 1) return [{ row: 0, sign: -1 }, { row: 0, sign: 1 }];
  return Array.from({ length: units }, (_, row) => ({ row, sign: 1 }));
}

/** One signed map as the viewer takes it: {values Int8Array, strength, positive}. */
export function packMap(map, sign) {
  let [strength, positive] = [0, 0];
  for (let cell = 0; cell < map.length; cell++) {
    strength = Math.max(strength, Math.abs(map[cell]));
    positive = Math.max(positive, sign * map[cell]);
  }
  const factor = strength ? (127 * sign) / strength : 0;
  const values = new Int8Array(map.length);
  for (let cell = 0; cell < map.length; cell++) values[cell] = Math.round(map[cell] * factor);
  return { values, strength: digits(strength, 6), positive: digits(positive, 6) };
}

/**
 * The channels of a layer that carry most of the score, for any class. `share` (rows x C): what each adds to the
 * logit; `activations` (C x H x W). Returns {height, width, ids, range, share, planes}.
 */
export function packChannels(share, activations, [rows, columns, count], targets) {
  const shares = targets.map(({ row, sign }) => {
    const own = Float64Array.from(share.subarray(row * count, (row + 1) * count), (value) => sign * value);
    const sum = own.reduce((total, value) => total + Math.abs(value), 0);
    return own.map((value) => value / Math.max(sum, 1e-12));
  });
  const ids = firstChannels(shares);
  const factor = Math.ceil(rows / CHANNEL_SIDE);
  const [height, width] = [Math.floor(rows / factor), Math.floor(columns / factor)];
  const planes = new Uint8Array(ids.length * height * width);
  const range = ids.map((channel, k) => {
    const cells = activations.subarray(channel * rows * columns, (channel + 1) * rows * columns);
    const plane = joined(cells, columns, height, width, factor);
    let [low, high] = [Infinity, -Infinity];
    for (const value of plane) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const gain = 255 / Math.max(high - low, 1e-12);
    for (let cell = 0, to = k * height * width; cell < plane.length; cell++, to++) planes[to] = Math.round((plane[cell] - low) * gain);
    return [digits(low, 4), digits(high, 4)];
  });
  return { height, width, ids, range, share: shares.map((own) => ids.map((channel) => decimals(own[channel], 4))), planes };
}

/** The channels that are among a row's first for some class, by share or by its size. */
function firstChannels(shares) {
  const orders = shares.flatMap((own) => [own, own.map(Math.abs)]);
  const first = orders.flatMap((order) => [...order.keys()].sort((a, b) => order[b] - order[a]).slice(0, CHANNELS));
  return [...new Set(first)].sort((a, b) => a - b);
}

/** One channel, `factor` x `factor` cells averaged to one. */
function joined(cells, columns, height, width, factor) {
  const plane = new Float32Array(height * width);
  for (let i = 0; i < height * factor; i++) {
    const to = Math.floor(i / factor) * width;
    for (let j = 0; j < width * factor; j++) plane[to + Math.floor(j / factor)] += cells[i * columns + j] / (factor * factor);
  }
  return plane;
}

/** Pearson correlation of two maps, cell by cell; null where there is none (explain/agreement.py). */
export function agreement(a, b) {
  const mean = (map) => map.reduce((total, value) => total + value, 0) / map.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [both, ownA, ownB] = [0, 0, 0];
  for (let k = 0; k < a.length; k++) {
    both += (a[k] - meanA) * (b[k] - meanB);
    ownA += (a[k] - meanA) ** 2;
    ownB += (b[k] - meanB) ** 2;
  }
  const value = both / Math.sqrt(ownA * ownB);
  return Number.isFinite(value) ? decimals(Math.min(1, Math.max(-1, value)), 4) : null;
}

/** A square picture, RGB, as a file that every browser decodes: Windows bitmap, lossless and quick to write. */
export function bitmapFile(pixels, size) {
  const line = Math.ceil((size * 3) / 4) * 4;
  const file = new Uint8Array(54 + size * line);
  const head = new DataView(file.buffer);
  file.set([0x42, 0x4d]);
  for (const [at, value] of [[2, file.length], [10, 54], [14, 40], [18, size], [22, size], [34, size * line]]) head.setUint32(at, value, true);
  head.setUint16(26, 1, true);
  head.setUint16(28, 24, true);
  for (let y = 0; y < size; y++) {
    for (let x = 0, to = 54 + (size - 1 - y) * line, from = y * size * 3; x < size; x++, to += 3, from += 3) {
      file[to] = pixels[from + 2];
      file[to + 1] = pixels[from + 1];
      file[to + 2] = pixels[from];
    }
  }
  return file;
}

/**
 * A payload of the viewer: {meta, blobs}. `space`: space.json; `photo`: {name, pixels, width, height}; `answers`: what
 * the runs' workers said, one each (run.worker.js).
 */
export function payload(space, photo, answers, about) {
  const blobs = [bitmapFile(photo.pixels, space.size)];
  const add = (blob) => blobs.push(blob) - 1;
  const runs = space.runs.map(({ id, name, hue }, k) => {
    const { probabilities, maps, channels, gates } = answers[k];
    const order = probabilities.map((_, label) => label).sort((a, b) => probabilities[b] - probabilities[a]);
    const packed = Object.fromEntries(
      Object.entries(channels).map(([layer, { planes, ...rest }]) => [layer, { ...rest, blob: add(planes), at: 0 }]),
    );
    const top = order.slice(0, 5).map((label) => ({ label: space.labels[label], probability: decimals(probabilities[label], 6) }));
    const entries = targetsOf(space.units).map((_, target) =>
      space.layers.map(({ name: layer }) => {
        const map = maps[layer]?.[target];
        return map ? { blob: add(map.values), at: 0, strength: map.strength, positive: map.positive } : null;
      }),
    );
    return {
      ...{ id, name, hue, top, channels: packed, gates, maps: entries },
      probabilities: probabilities.map((value) => decimals(value, 6)),
    };
  });
  const { method, classes, layers, size } = space;
  const { name, width, height } = photo;
  const seconds = Math.max(...answers.map((answer) => answer.seconds));
  const meta = { method, classes, layers, runs, agreement: agreements(space, answers), seconds, ...about };
  const source = space.view.source_size ? { source_size: space.view.source_size } : {};
  return { meta: { ...meta, photo: { name, blob: 0, size, width, height, ...source } }, blobs };
}

/** For each class and layer, how far the maps of the first two runs agree. */
function agreements(space, [one, other]) {
  if (!other) return [];
  const cells = new Map();
  return space.classes.map((_, target) =>
    space.layers.map(({ name, shape }) => {
      const [a, b] = [one.raw[name], other.raw[name]];
      if (!a || !b) return null;
      const count = shape[0] * shape[1];
      const row = a.length === count ? 0 : target;
      const key = `${name} ${row}`;
      if (!cells.has(key)) cells.set(key, agreement(a.subarray(row * count, (row + 1) * count), b.subarray(row * count, (row + 1) * count)));
      return cells.get(key);
    }),
  );
}
