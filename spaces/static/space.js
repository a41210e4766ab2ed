// The page: samples that are there at once, and photographs of the visitor's own, explained in this browser.
import { mount } from "./viewer/viewer.js";
import { watchHash, writeHash } from "./viewer/address.js";
import { decodeState } from "./viewer/state.js";
import { Camera } from "./camera.js";
import { Crew } from "./crew.js";
import { payload } from "./evidence.js";

const part = (name) => document.querySelector(name);
const [main, message, now, bar, cameraButton, keepButton] = [".viewer", ".message", ".now", ".fetched", ".camera", ".keep"].map(part);
const NO_PAGE = "The page could not be fetched whole: check the connection and reload it.";
const NO_NETWORKS = "The two networks could not be fetched: check the connection and try again.";
const STOPPED = "The two networks stopped: reload the page, and close others if memory is short.";
const NO_PHOTO = "The photograph that the address names is not here.";
const NO_CAMERA = "There is no camera that this page may use.";
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

const on = { state: (_, hash) => writeHash(hash), pick };
const view = mount(main, { meta: { key: "", busy: "Getting the photograph" }, state: decodeState(), on });
const space = await json("space.json").catch((error) => {
  view.update({ meta: { busy: "" } });
  say(NO_PAGE);
  throw error;
});
const crew = new Crew(space, fetching);
const camera = new Camera();
const samples = space.samples.map(({ id, label }, blob) => ({ id, label, blob }));
const thumbnails = space.samples.map(({ thumbnail }) => Uint8Array.from(atob(thumbnail), (letter) => letter.charCodeAt(0)));

let turn = 0;
let count = 0;
/** What is on the page: the id of a sample, or the payload of a photograph of one's own. */
let shown = { sample: null, own: null };
/** What the address has named of late: a sample, or null for a photograph of one's own. */
let addressed = asked();

// -- What is shown ---------------------------------------------------------------------------------------------

async function json(file) {
  const response = await fetch(file);
  if (!response.ok) throw new Error(`${file}: ${response.status}`);
  return response.json();
}

function show({ meta, blobs }, picked = "") {
  const strip = samples.map((sample) => ({ ...sample, blob: sample.blob + blobs.length }));
  view.update({ meta: { ...meta, samples: strip, picked }, blobs: [...blobs, ...thumbnails] });
}

function busy(words) {
  view.update({ meta: { busy: words, picked: shown.sample ?? "" } });
}

function say(words) {
  message.textContent = words;
}

async function sampleOf(id) {
  const { file } = space.samples.find((sample) => sample.id === id);
  const [meta, response] = await Promise.all([json(`${file}.json`), fetch(`${file}.bin`)]);
  const bytes = await response.arrayBuffer();
  let at = 0;
  const blobs = meta.lengths.map((length) => new Uint8Array(bytes, (at += length) - length, length));
  return { meta, blobs };
}

async function showSample(id) {
  const mine = begin("Getting the photograph");
  try {
    const found = await sampleOf(id);
    if (mine !== turn) return false;
    shown = { ...shown, sample: id };
    show(found, id);
    return true;
  } catch {
    if (mine === turn) say(`The sample "${id}" could not be fetched: check the connection and try again.`);
    return false;
  } finally {
    if (mine === turn) busy("");
  }
}

/** Something new is wanted: what was under way before is not shown any more, and the camera goes off. */
function begin(words) {
  stopCamera();
  say("");
  turn += 1;
  busy(words);
  return turn;
}

async function pick(id) {
  if (await showSample(id)) address(id);
}

/** Names what is shown in the address: a sample, or nothing for a photograph of one's own. Every step back shows another. */
function address(id = null) {
  const place = (id ? `?photo=${encodeURIComponent(id)}` : location.pathname) + location.hash;
  if (id === addressed) history.replaceState({ own: !id }, "", place);
  else history.pushState({ own: !id }, "", place);
  addressed = id;
}

/** Looks at the first of the files that a person gives. */
async function take([file]) {
  if (!file) return;
  const mine = begin("Looking at the photograph");
  const seen = await crew.see(file, file.name).catch((error) => failed(STOPPED, error, mine));
  if (mine === turn && seen) {
    if (seen.refused) say(seen.refused);
    else await explain({ name: file.name, ...seen }, mine);
  }
  if (mine === turn) busy("");
}

async function explain(photo, mine) {
  const answers = (await prepared(mine)) && (await crew.look(photo.pixels).catch((error) => failed(STOPPED, error, mine)));
  if (!answers || mine !== turn) return;
  const found = payload(space, photo, answers, { key: `own ${(count += 1)}` });
  shown = { sample: null, own: found };
  show(found);
  address();
}

// -- The camera ------------------------------------------------------------------------------------------------

/**
 * What the networks are looking at, the frame that is shown, and per run the last map and gates of every layer, so that a
 * step to another depth is never empty and nothing moves where a layer has no gates.
 */
let live = null;

async function startCamera() {
  const mine = begin("Opening the camera");
  watching(true);
  if (await prepared(mine)) {
    live = { looking: null, photo: null, last: space.runs.map(() => ({ maps: {}, gates: {} })) };
    const take = (bitmap) => frame(bitmap, mine).catch((error) => failed(STOPPED, error, mine));
    await camera.start(space.view.source_size ?? space.size, take, stopCamera).catch((error) => failed(NO_CAMERA, error, mine));
  }
  if (mine === turn) busy("");
}

function stopCamera() {
  camera.stop();
  live = null;
  watching(false);
  ready();
}

function watching(on) {
  cameraButton.setAttribute("aria-pressed", String(on));
  keepButton.hidden = !on;
  // There is nothing to keep before the first frame.
  keepButton.disabled = true;
}

/** While the networks look at one frame, the one before is drawn and the next is scaled. */
async function frame(bitmap, mine) {
  const seen = await crew.see(bitmap, "camera");
  await live?.looking;
  if (mine !== turn || !live) return;
  // The first one whole, so that there is something at every depth.
  live.looking = crew.look(seen.pixels, live.looking ? view.state().layer : null);
  const draw = (answers) => requestAnimationFrame(() => mine === turn && live && drawFrame(seen, answers));
  // What goes wrong is told by the next frame, which waits for this one.
  live.looking.then(draw, () => {});
}

function drawFrame(seen, answers) {
  live.photo = { name: "camera", ...seen };
  answers.forEach((answer, k) => {
    for (const [part, last] of Object.entries(live.last[k])) answer[part] = Object.assign(last, answer[part]);
  });
  shown = { ...shown, sample: null };
  show(payload(space, live.photo, answers, { key: `live ${(count += 1)}`, live: true, seconds: null }));
  keepButton.disabled = false;
  if (camera.rate) now.textContent = `${camera.rate.toFixed(1)} frames a second, both runs`;
}

async function keep() {
  const { photo } = live;
  const mine = begin("Looking at the photograph");
  await explain(photo, mine);
  if (mine === turn) busy("");
}

// -- The networks ----------------------------------------------------------------------------------------------

function fetching(come, all) {
  bar.setAttribute("aria-valuenow", String(Math.floor((100 * come) / all)));
  bar.style.setProperty("--part", String(come / all));
  now.textContent = come < all ? `The two networks: ${megabytes(come)} of ${megabytes(all)} MB` : "Starting the two networks";
  document.body.dataset.networks = "coming";
}

function ready() {
  if (document.body.dataset.networks === "ready") now.textContent = "Both networks are here, with or without a connection.";
}

/** True once the networks are there; a sentence where they do not come. */
async function prepared(mine) {
  try {
    await crew.ready();
  } catch (error) {
    now.textContent = "";
    bar.style.setProperty("--part", "0");
    failed(NO_NETWORKS, error, mine);
    return false;
  }
  document.body.dataset.networks = "ready";
  if (!camera.on) ready();
  return mine === turn;
}

function failed(words, error, mine) {
  console.warn(error);
  if (mine !== turn) return;
  stopCamera();
  say(words);
}

// -- What a person does ----------------------------------------------------------------------------------------

part(".upload").addEventListener("change", ({ target }) => {
  take(target.files);
  // The same file may be chosen again.
  target.value = "";
});

const isOver = (over) => document.body.classList.toggle("is-over", over);
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  isOver(true);
});
document.addEventListener("dragleave", (event) => event.relatedTarget || isOver(false));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  isOver(false);
  take(event.dataTransfer.files);
});
document.addEventListener("paste", ({ clipboardData }) => take(clipboardData.files));

cameraButton.addEventListener("click", () => {
  if (cameraButton.getAttribute("aria-pressed") === "true") {
    turn += 1;
    stopCamera();
    busy("");
  } else startCamera();
});
keepButton.addEventListener("click", keep);

watchHash((hash) => view.update({ state: decodeState(hash) }));
addEventListener("popstate", () => {
  const id = asked();
  // Another hash is another view of what is there.
  if (id === addressed) return;
  addressed = id;
  if (id) showSample(id);
  else {
    begin("");
    shown = { ...shown, sample: null };
    show(shown.own);
  }
});

/** The sample that the address names, or the first; null where it stands for a photograph of one's own. */
function asked() {
  if (history.state?.own && shown.own) return null;
  const id = new URLSearchParams(location.search).get("photo");
  return (samples.find((sample) => sample.id === id) ?? samples[0]).id;
}

const named = new URLSearchParams(location.search).get("photo");
if ((await showSample(addressed)) && named && named !== addressed) {
  address(addressed);
  say(NO_PHOTO);
}
await prepared(turn);
// From here on the page needs nobody. Without HTTPS there is no such worker.
await navigator.serviceWorker?.register("service-worker.js").catch(() => null);
