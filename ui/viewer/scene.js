// The pictures: the photo and one panel per run, drawn for a state and a position between layers.
import { cellToPixel, isBlank, joinCells, peakOf, scaleFor } from "./field.js";
import { drawMap, drawPeak, drawPhoto, greyPhoto, lookUp, prepareMap } from "./draw.js";
import { formatNumber } from "./words.js";

/** Holds one payload and what has been prepared from it. */
export class Scene {
  constructor(meta, blobs, photo) {
    this.meta = meta;
    this.blobs = blobs;
    this.photo = photo;
    this.size = meta.photo.size;
    this.grey = photo ? greyPhoto(photo, this.size) : null;
    this.prepared = new Map();
    this.readings = new Map();
    this.view = {};
  }

  /** Takes over how maps are shown; what was prepared for another way is dropped. */
  show(state, dark) {
    const { show, scale, cells } = state;
    const classIndex = Math.max(0, this.meta.classes.findIndex(({ label }) => label === state.class));
    const view = { signed: show === "signed", native: cells === "native", scale, dark, classIndex };
    if (Object.keys(view).every((key) => view[key] === this.view[key])) return;
    this.view = view;
    this.lut = lookUp(view.signed, dark);
    this.keyLut = lookUp(view.signed, dark, true);
    this.channelLut = lookUp(false, dark, true);
    this.prepared.clear();
    this.readings.clear();
  }

  /**
   * One map: {values Int8Array, full, strength, shown, height, width}; `shown` is the largest value of the side or
   * the sides that are looked at. Strength 0 where there is none.
   */
  map(run, layerIndex) {
    const layer = this.meta.layers[layerIndex];
    const [height, width] = layer.shape;
    const entry = this.meta.runs[run].maps[this.view.classIndex]?.[layerIndex];
    const blob = entry && this.blobs[entry.blob];
    if (!blob) return { values: new Int8Array(height * width), full: 127, strength: 0, shown: 0, height, width };
    const values = new Int8Array(blob.buffer, blob.byteOffset + entry.at, height * width);
    const strength = Number(entry.strength) || 0;
    return { values, full: 127, strength, shown: this.view.signed ? strength : Number(entry.positive) || 0, height, width };
  }

  /**
   * The numbers beside a map: {strength (of either side), shown (of what is looked at), full (what full colour stands
   * for), blank, peak {x, y, value}}.
   */
  reading(run, layerIndex) {
    const key = `${run} ${layerIndex}`;
    if (!this.readings.has(key)) this.readings.set(key, this.#read(run, layerIndex));
    return this.readings.get(key);
  }

  #read(run, layerIndex) {
    const layer = this.meta.layers[layerIndex];
    const map = this.map(run, layerIndex);
    const { signed, scale } = this.view;
    const scales = this.meta.runs.map((_, k) => this.map(k, layerIndex).shown);
    const blank = isBlank(map.values, map.strength, signed);
    const { row, column, value } = peakOf(map.values, map.width, signed);
    const { strength, shown } = map;
    const peak = { x: cellToPixel(layer, column), y: cellToPixel(layer, row), value: Math.sign(value) * shown };
    return { strength, shown, full: scaleFor(scale, scales, run), blank, peak: blank ? null : peak };
  }

  #ready(run, layerIndex) {
    const key = `${run} ${layerIndex}`;
    if (!this.prepared.has(key)) {
      const { blank, full } = this.reading(run, layerIndex);
      const { signed, native } = this.view;
      const made = blank
        ? null
        : prepareMap(this.map(run, layerIndex), this.meta.layers[layerIndex], this.size, {
            signed,
            native,
            scale: full,
            lut: this.lut,
          });
      this.prepared.set(key, made);
    }
    return this.prepared.get(key);
  }

  /** Prepares one map that has not been drawn yet; false when there is none left. */
  prepareNext() {
    for (let index = 0; index < this.meta.layers.length; index++) {
      for (let run = 0; run < this.meta.runs.length; run++) {
        if (!this.prepared.has(`${run} ${index}`)) {
          this.#ready(run, index);
          return true;
        }
      }
    }
    return false;
  }

  #ground(canvas, photo) {
    if (photo) return drawPhoto(canvas, photo);
    const context = canvas.getContext("2d");
    context.fillStyle = "#808080";
    return context.fillRect(0, 0, canvas.width, canvas.height);
  }

  /**
   * Draws evidence over the grey photo. `weights`: [[run, weight], ...]; `position` may lie between two
   * layers, which are then cross-faded.
   */
  drawRuns(canvas, weights, position) {
    this.#ground(canvas, this.grey);
    const low = Math.floor(position);
    for (const [run, weight] of weights) {
      for (const [index, part] of [[low, 1 - (position - low)], [low + 1, position - low]]) {
        if (part * weight > 0) drawMap(canvas, this.#ready(run, index), this.size, this.view.native, part * weight);
      }
    }
  }

  /** Marks where one map is strongest, and how strong. */
  drawStrongest(canvas, run, layerIndex, font) {
    const { peak } = this.reading(run, layerIndex);
    if (peak) drawPeak(canvas, { ...peak, text: formatNumber(peak.value), font }, this.size);
  }

  /** The photo alone, or under the activation of one channel. */
  drawSeen(canvas, channel, layer) {
    if (!channel) return this.#ground(canvas, this.photo);
    this.#ground(canvas, this.grey);
    const { native, dark } = this.view;
    const view = { signed: false, native, scale: 1, lut: lookUp(false, dark) };
    const map = { ...channel, full: 255, strength: 1 };
    const cells = joinCells(layer, channel.height);
    return drawMap(canvas, prepareMap(map, cells, this.size, view), this.size, native);
  }
}
