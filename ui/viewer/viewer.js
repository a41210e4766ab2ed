// The depth scrubber: one photograph, several trainings of one network, all their maps, no server.
//
// mount(root, {meta, blobs, state, on}) -> {update({meta, blobs, state, on}), state(), destroy()}
//
//   root    an element or a shadow root; the style sheets of bundle.py must be in the same tree (the page or the shadow root)
//   meta    what is to be seen (below); blobs[i] are Uint8Array
//   state   where to begin, e.g. decodeState(), the address's; see state.js
//   on      {state(state, hash), pick(sampleId), numbers(), which a button for the npz calls}, each optional. The viewer
//           never touches the address itself: `on: {state: (_, hash) => writeHash(hash)}` does
//
// Mounting again on the same root returns the viewer that is there, updated; its own state wins over `state`.
// The same meta.key is the same payload: nothing is drawn anew. meta.busy (a text) shows that work is under way,
// also before there is anything else: {key: "", busy: "Loading the two runs"} is a whole meta. A photo without runs is
// shown alone until there is evidence.
//
// meta = {key, busy?, photo: {name, blob, size, width, height, source_size?}, method?, seconds? (what the explanation took),
//   classes: [{label}],
//   layers: [{name, shape: [H, W, C], stride, offset, receptive_field, block: null | {kernel, stride, expansion,
//     channels_in, channels_out, se_ratio, residual}}],
//   runs: [{id, name, hue: "a" | "b" | "c", probabilities: [class], top: [{label, probability}],
//     maps: [class][layer] {blob, at, strength, positive},          int8 H x W: value = strength * q / 127;
//       strength is the largest absolute value, positive the largest of those above 0
//     channels?: {layer: {height, width, blob, at, ids, range, share: [class][k]}},  uint8 k x height x width,
//       each plane from its own lowest to its highest, range [k][low, high]; cells may have been joined (averaged) to
//       fewer than the layer has
//     gates?: {layer: {values}}}],
//   agreement: [class][layer] number | null, samples?: [{id, label, blob}], picked?,
//   live?: true for one of a camera's frames, which may lack maps}
//
// These modules run in a browser as they are. Where only one inline module is allowed, concatenate them: follow the
// import lines depth-first from viewer.js, take each file once, after those it imports, and drop the lines that
// begin with "import ". Every import is one line, no two files declare the same name, none has a default export.
import { classOf, encodeState, fitState } from "./state.js";
import { el, setText } from "./parts.js";
import { panel, runPanel, seenPanel, verdictOf } from "./panels.js";
import { drawPhoto } from "./draw.js";
import { Glide, fadeAway } from "./glide.js";
import { Play } from "./play.js";
import { darkBehind, lookOf, watchTheme } from "./theme.js";
import { isOurs, keyAction } from "./keys.js";
import { Scene } from "./scene.js";
import { depthControl } from "./depth.js";
import { blockPanel } from "./blocks.js";
import { rail } from "./rail.js";
import { savePicture } from "./save.js";

// A name that survives this module being evaluated again.
const INSTANCE = Symbol.for("parallax.viewer");
const TELL_MS = 250;
const WARM_MS = 400;

/** Mounts the viewer, or updates the one that is mounted there. */
export function mount(root, { meta, blobs, state, on } = {}) {
  const present = root[INSTANCE];
  if (present) {
    present.update({ meta, blobs, on });
    return present;
  }
  const viewer = new Viewer(root, state);
  root[INSTANCE] = viewer;
  viewer.update({ meta, blobs, on });
  return viewer;
}

class Viewer {
  #root;
  #on = {};
  #key;
  #wanted;
  #state = null;
  #held = null;
  #scene = null;
  #glide = new Glide(() => this.#draw());
  #play = new Play(() => this.#step());
  #telling = 0;
  #warming = 0;
  #blink = false;
  #looked = null;
  #dark = false;
  #font = "sans-serif";
  #panels = [];
  #shape = "";
  #stop = [];

  constructor(root, state) {
    this.#root = root;
    this.#wanted = state ?? {};
    this.#build();
  }

  /** The state as it is: a copy. */
  state() {
    return { ...(this.#state ?? this.#wanted) };
  }

  /** Takes a new payload, a new state, new callbacks: whichever are given. */
  update({ meta, blobs, state, on } = {}) {
    if (on) this.#on = on;
    if (!this.#root.contains(this.node)) this.#root.append(this.node);
    if (meta) {
      this.#busy(meta.busy);
      if (meta.runs?.length && meta.key !== this.#key) this.#load(meta, blobs);
      else if (this.#scene) {
        this.seen.picked(meta.picked);
        // Whoever sends the same once more may have written the address meanwhile, without the state.
        this.#tell();
      }
      else if (meta.photo) this.#preview(meta, blobs);
    }
    if (state) this.#set(state);
    this.#theme();
  }

  /** Takes the viewer off the page and lets go of everything it listens to. */
  destroy() {
    this.#play.stop();
    clearTimeout(this.#telling);
    clearTimeout(this.#warming);
    this.#glide.stop();
    for (const stop of this.#stop) stop();
    this.node.remove();
    this.#key = undefined;
    delete this.#root[INSTANCE];
  }

  // -- The page ------------------------------------------------------------------------------------------

  #build() {
    this.seen = seenPanel();
    // Two empty squares hold the place of the first payload.
    this.row = el("div", { class: "px-pictures" }, this.seen.node, panel("run", "a").node, panel("run", "b").node);
    this.live = el("p", { class: "px-live", role: "status", "aria-live": "polite" });
    this.depth = depthControl({ move: (index) => this.#move(index), toggle: () => this.#toggle() });
    this.block = blockPanel({
      count: (by) => this.#set({ channels: this.#state.channels + by }),
      look: (run, channel) => this.#look(run, channel),
    });
    this.rail = rail({
      set: (patch) => this.#set(patch),
      swap: () => this.#set({ swap: !this.#state.swap }),
      labels: () => this.#set({ labels: !this.#state.labels }),
      blend: (fade) => this.#set({ fade }),
      png: () => this.#savePicture(),
      npz: () => this.#on.numbers(),
    });
    const body = el("div", { class: "px-body" }, this.row, this.rail.node, this.depth.node, this.block.node);
    this.node = el("div", { class: "parallax", "data-ready": "0" }, el("div", { class: "px-busy" }), this.live, body);
    this.#root.append(this.node);

    const sizes = new ResizeObserver(() => this.#resize());
    for (const node of [this.seen.square, this.depth.range]) sizes.observe(node);
    const keys = (event) => this.#onKey(event);
    document.addEventListener("keydown", keys);
    document.addEventListener("keyup", keys);
    const leave = () => this.#hold(false);
    globalThis.addEventListener("blur", leave);
    // A click leaves the space bar and the arrows to the depth; a channel keeps its focus, it is being looked at.
    this.node.addEventListener("click", (event) => {
      const button = event.target.closest("button:not(.px-channel)");
      if (event.detail > 0 && button) this.depth.range.focus({ preventScroll: true });
    });
    this.#stop.push(
      () => sizes.disconnect(),
      () => document.removeEventListener("keydown", keys),
      () => document.removeEventListener("keyup", keys),
      () => globalThis.removeEventListener("blur", leave),
      watchTheme(this.node, () => this.#theme()),
    );
  }

  #busy(text) {
    this.node.classList.toggle("px-is-busy", Boolean(text));
    this.node.setAttribute("aria-busy", String(Boolean(text)));
    this.seen.note(text || "");
    if (text) setText(this.live, text);
  }

  /** Before there is any evidence: the photograph alone, where it will stay. */
  async #preview(meta, blobs) {
    this.seen.fill(meta, blobs, true, (id) => this.#on.pick?.(id));
    const photo = await createImageBitmap(new Blob([blobs[meta.photo.blob]]));
    if (this.#scene) return;
    const side = Math.round(this.seen.square.clientWidth * (globalThis.devicePixelRatio || 1));
    Object.assign(this.seen.canvas, { width: side, height: side });
    drawPhoto(this.seen.canvas, photo);
  }

  async #load(meta, blobs) {
    this.#key = meta.key;
    let photo = null;
    try {
      photo = await createImageBitmap(new Blob([blobs[meta.photo.blob]]));
    } catch {
      // Drawn on grey, with a sentence in the panel of the photo.
    }
    if (this.#key !== meta.key) return;
    // One of many frames: what glides goes on gliding, nothing fades, nothing is read out.
    const goesOn = Boolean(this.#scene && meta.live);
    if (this.#scene && !goesOn) this.#ghost();
    // Nor does the class change by itself from frame to frame where two are about as likely.
    const before = goesOn && this.#meta.live ? this.#shown.class : null;
    this.#held = meta.classes.some(({ label }) => label === before) ? before : null;
    this.#scene = new Scene(meta, blobs, photo);
    this.#state = fitState(this.#state ?? this.#wanted, meta);
    if (!goesOn) this.#glide.jump(this.#index);
    this.#looked = null;
    this.#panelsFor(meta);
    this.rail.fill(meta, Boolean(this.#on.numbers));
    this.seen.fill(meta, blobs, photo !== null, (id) => this.#on.pick?.(id));
    this.node.dataset.ready = "1";
    this.#resize();
    if (goesOn) return;
    const verdicts = meta.runs.map((run) => `${run.name} ${verdictOf(run).join(" ")}`);
    setText(this.live, `${meta.photo.name}: ${verdicts.join(", ")}`);
    this.#tell();
  }

  #panelsFor(meta) {
    const shape = JSON.stringify(meta.runs.map(({ id, name, hue }) => [id, name, hue]));
    if (shape === this.#shape) return;
    this.#shape = shape;
    this.#panels = meta.runs.map((run) => runPanel(run));
    this.row.replaceChildren(this.seen.node, ...this.#panels.map(({ node }) => node));
    this.node.dataset.runs = String(meta.runs.length);
    this.node.style.setProperty("--runs", String(meta.runs.length));
    this.block.build(meta.runs);
  }

  #theme() {
    const dark = darkBehind(this.node);
    this.#font = getComputedStyle(this.node).fontFamily;
    if (dark === this.#dark && this.node.dataset.theme) return;
    this.#dark = dark;
    this.node.dataset.theme = dark ? "dark" : "light";
    if (this.#scene) this.#refresh();
  }

  #resize() {
    const side = Math.round(this.seen.square.clientWidth * (globalThis.devicePixelRatio || 1));
    if (!side || !this.#scene) return;
    const run = Math.round((this.#panels[0]?.square.clientWidth ?? 0) * (globalThis.devicePixelRatio || 1)) || side;
    for (const [part, wide] of [[this.seen, side], ...this.#panels.map((each) => [each, run])]) {
      if (part.canvas.height !== wide) Object.assign(part.canvas, { width: wide, height: wide });
    }
    this.#refresh();
  }

  // -- The state -----------------------------------------------------------------------------------------

  get #meta() {
    return this.#scene.meta;
  }

  /** The state with the class that it comes to, where none was chosen. */
  get #shown() {
    return { ...this.#state, class: classOf({ class: this.#state.class ?? this.#held }, this.#meta) };
  }

  get #index() {
    return Math.max(0, this.#meta.layers.findIndex(({ name }) => name === this.#state.layer));
  }

  get #order() {
    const order = this.#meta.runs.map((_, run) => run);
    return this.#state.swap ? order.reverse() : order;
  }

  get #fade() {
    return this.#blink ? 1 : this.#state.fade;
  }

  #set(patch) {
    if (!this.#scene) {
      this.#wanted = { ...this.#wanted, ...patch };
      return;
    }
    const next = fitState({ ...this.#state, ...patch }, this.#meta);
    const changed = Object.keys(next).filter((key) => next[key] !== this.#state[key]);
    if (!changed.length) return;
    if (changed.some((key) => ["class", "show", "scale", "cells", "swap"].includes(key))) this.#ghost();
    this.#state = next;
    if (changed.includes("layer") || changed.includes("class")) this.#looked = null;
    if (changed.length === 1 && changed[0] === "layer") this.#show();
    else this.#refresh();
    this.#tell();
  }

  #move(index) {
    const { layers } = this.#meta;
    this.#set({ layer: layers[Math.min(layers.length - 1, Math.max(0, index))].name });
  }

  #tell() {
    clearTimeout(this.#telling);
    this.#telling = setTimeout(() => this.#on.state?.(this.state(), encodeState(this.#state)), TELL_MS);
  }

  #toggle() {
    if (this.#play.on) this.#play.stop();
    else if (this.#scene) this.#play.start(this.#index > 0);
    this.depth.playing(this.#play.on);
  }

  #step() {
    const last = this.#index === this.#meta.layers.length - 1;
    if (last) {
      // From the deepest layer back to the stem in one cross-fade, not through all the others.
      this.#ghost();
      this.#glide.jump(0);
    }
    this.#move(last ? 0 : this.#index + 1);
  }

  #onKey(event) {
    const action = keyAction(event.key);
    if (!action || !this.#scene || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const path = event.composedPath();
    const up = event.type === "keyup";
    if (up ? !(action.blink && this.#blink) : !isOurs(action, path[0], path.includes(this.node))) return;
    if (action.blink) {
      this.#hold(!up);
      return;
    }
    event.preventDefault();
    if (action.move) this.#move(this.#index + action.move);
    else if (action.pick !== undefined) this.#set({ class: this.#meta.classes[action.pick]?.label ?? this.#state.class });
    else if (event.repeat) return;
    else if (action.play) this.#toggle();
    else if (action.swap) this.#set({ swap: !this.#state.swap });
    else this.#set({ labels: !this.#state.labels });
  }

  /** While it is held, the second run's evidence lies over the first panel. */
  #hold(held) {
    if (held === this.#blink || this.#panels.length < 2) return;
    this.#ghost();
    this.#blink = held;
    this.#refresh();
  }

  #look(run, channel) {
    this.#looked = channel ? { run, channel } : null;
    if (this.#scene) this.#drawSeen();
  }

  // -- The drawing ---------------------------------------------------------------------------------------

  #ghost() {
    fadeAway([this.seen, ...this.#panels]);
  }

  /** Draws everything at once; what glides goes on gliding. */
  #refresh() {
    this.#scene.show(this.#shown, this.#dark);
    const order = this.#order;
    this.node.dataset.labels = this.#state.labels ? "1" : "0";
    const { view, keyLut } = this.#scene;
    this.#panels.forEach((part, run) => {
      part.node.style.order = String(1 + order.indexOf(run));
      part.predict(this.#meta.runs[run]);
      part.colours(keyLut, view.signed);
    });
    this.rail.show(this.#shown, order, this.#fade);
    this.depth.draw({ layers: this.#meta.layers, line: this.#line }, this.#meta.runs.map((run) => run.hue));
    this.#show();
    clearTimeout(this.#warming);
    if (!this.#meta.live) this.#warming = setTimeout(() => this.#warm(), WARM_MS);
  }

  /** Prepares the maps of the other layers, one at a time between other work, so that no first step is slow. */
  #warm() {
    if (this.#scene.prepareNext()) this.#warming = setTimeout(() => this.#warm());
  }

  get #line() {
    return this.#panels.length > 1 ? (this.#meta.agreement?.[this.#scene.view.classIndex] ?? null) : null;
  }

  /** Shows the layer of the state: the pictures glide there, the words are there at once. */
  #show() {
    this.#glide.to(this.#index);
    this.#drawSeen();
    this.#captions();
  }

  #draw() {
    const { position } = this.#glide;
    this.depth.place(position, this.#index, this.#order);
    this.#panels.forEach(({ canvas }, run) => this.#drawRun(canvas, run, position));
    if (position === this.#index) this.node.dataset.drawn = this.#state.layer;
  }

  #weights(run) {
    const [left, right] = this.#order;
    const fade = right === undefined || run !== left ? 0 : this.#fade;
    return fade ? [[run, 1 - fade], [right, fade]] : [[run, 1]];
  }

  /** Whose numbers stand at the panel of a run: its own, unless another's evidence alone lies there. */
  #readAt(run) {
    return this.#weights(run).find(([, weight]) => weight === 1)?.[0] ?? run;
  }

  #drawRun(canvas, run, position) {
    const weights = this.#weights(run);
    this.#scene.drawRuns(canvas, weights, position);
    const whole = weights.find(([, weight]) => weight === 1);
    const marked = this.#state.labels && whole && Number.isInteger(position);
    if (marked) this.#scene.drawStrongest(canvas, whole[0], position, this.#font);
  }

  #drawSeen() {
    const { run, channel } = this.#looked ?? {};
    this.#scene.drawSeen(this.seen.canvas, channel, this.#meta.layers[this.#index]);
    this.seen.looked(this.#meta.runs[run]?.name, channel);
    this.block.looked(run, channel);
  }

  /** What is blended into the panel of a run, as a text; null where nothing is. */
  #mix(run) {
    const weights = this.#weights(run);
    const parts = weights.map(([k, weight]) => `${this.#meta.runs[k].name} ${Math.round(100 * weight)} %`);
    return weights.length > 1 ? parts.join(" \u00b7 ") : null;
  }

  /** All words and numbers for the layer of the state, and the channels of its block. */
  #captions() {
    const { layers, runs, photo } = this.#meta;
    const { blobs, view, channelLut } = this.#scene;
    const { class: label, channels } = this.#shown;
    const { signed, classIndex } = view;
    const index = this.#index;
    const layer = layers[index];
    this.#panels.forEach((part, run) => {
      const from = this.#readAt(run);
      const reading = this.#scene.reading(from, index);
      part.read({ reading, runName: runs[from].name, label, layer, size: photo.size, signed, mix: this.#mix(run) });
    });
    const order = this.#order;
    this.block.draw({ runs, order, blobs, layer, label, classIndex, signed, count: channels, lut: channelLut });
  }

  #savePicture() {
    savePicture({
      scene: this.#scene,
      state: this.#shown,
      index: this.#index,
      order: this.#order,
      agreement: this.#line?.[this.#index],
      readAt: (run) => this.#readAt(run),
      mix: (run) => this.#mix(run),
      key: (run) => this.#panels[run].key,
      draw: (canvas, run) => this.#drawRun(canvas, run, this.#index),
      look: { ...lookOf(this.node, this.#dark), font: this.#font },
    });
  }
}
