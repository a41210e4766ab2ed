// From the pixels of a photograph to those that a network sees: explain/photo.py's `see`, number for number. Pure.
// Pillow scales in two passes, across and down, with whole-number weights, and rounds to bytes between them.

const BITS = 22;
const HALF = 1 << (BITS - 1);

/** A JPEG is decoded at the half, quarter or eighth whose short side still has so many pixels (photo.DRAFT_SIDE). */
const DRAFT_SIDE = 1200;

/** How many pixels of a JPEG become one, a side, before it is scaled. */
export function draft({ kind, progressive }, width, height) {
  if (kind !== "jpeg" || progressive) return 1;
  const room = Math.min(Math.floor(width / DRAFT_SIDE), Math.floor(height / DRAFT_SIDE));
  return [8, 4, 2].find((factor) => room >= factor) ?? 1;
}

/** The part of a photograph that is looked at: the square in the middle ("crop"), or all of it ("squash"). */
export function frame(width, height, fit) {
  if (fit === "squash") return { left: 0, top: 0, width, height };
  const side = Math.min(width, height);
  return { left: Math.floor((width - side) / 2), top: Math.floor((height - side) / 2), width: side, height: side };
}

/**
 * Antialiased bilinear weights from `count` pixels to `size` along one axis: for each new pixel the first old one and
 * the weights, in units of 2^-22.
 */
export function weights(count, size) {
  const scale = count / size;
  const reach = Math.max(1, scale);
  return Array.from({ length: size }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const last = Math.min(count, Math.trunc(centre + reach + 0.5));
    const own = Array.from({ length: last - first }, (_, k) => Math.max(0, 1 - Math.abs((first + k - centre + 0.5) / reach)));
    const sum = own.reduce((total, weight) => total + weight, 0);
    return { first, own: Int32Array.from(own, (weight) => Math.floor((weight / sum) * 2 ** BITS + 0.5)) };
  });
}

const byte = (sum) => (sum < 0 ? 0 : sum >= 256 * 2 ** BITS ? 255 : sum >> BITS);

/** Scales a picture whose rows come one after the other, so that it need never be there whole. RGB, one byte each. */
export class Resampling {
  constructor(width, height, newWidth, newHeight) {
    Object.assign(this, { width, height, newWidth, newHeight });
    this.across = weights(width, newWidth);
    this.narrow = new Uint8ClampedArray(height * newWidth * 3);
    this.at = 0;
  }

  /** Takes the next row: `width` pixels of RGB from `start`. */
  add(pixels, start = 0) {
    for (const { first, own } of this.across) {
      let [red, green, blue] = [HALF, HALF, HALF];
      for (let k = 0, from = start + 3 * first; k < own.length; k++, from += 3) {
        red += own[k] * pixels[from];
        green += own[k] * pixels[from + 1];
        blue += own[k] * pixels[from + 2];
      }
      this.narrow[this.at] = byte(red);
      this.narrow[this.at + 1] = byte(green);
      this.narrow[this.at + 2] = byte(blue);
      this.at += 3;
    }
  }

  /** The scaled picture, newHeight x newWidth x 3, after the last row. */
  result() {
    const line = this.newWidth * 3;
    const out = new Uint8ClampedArray(this.newHeight * line);
    weights(this.height, this.newHeight).forEach(({ first, own }, row) => {
      for (let x = 0; x < line; x++) {
        let sum = HALF;
        for (let k = 0, from = first * line + x; k < own.length; k++, from += line) sum += own[k] * this.narrow[from];
        out[row * line + x] = byte(sum);
      }
    });
    return out;
  }
}

/** Scales a picture that is there whole. */
export function resize(pixels, width, height, newWidth, newHeight) {
  const scaling = new Resampling(width, height, newWidth, newHeight);
  for (let row = 0; row < height; row++) scaling.add(pixels, row * width * 3);
  return scaling.result();
}
