// The page's side: what it asks of the server, and what it does with the answers. A photograph of one's own stays in
// this tab; each question carries it, and the server keeps nothing.
const { cap, pair, runs } = props.value;
const pictures = props.value.meta.samples;
const part = (name) => element.querySelector(name);
const [left, right, message, camera] = [".left", ".right", ".message", ".camera"].map(part);
const LOOKING = "Looking at the photograph";
const TROUBLE = "There was no answer: there may be too many visitors at once, so try again in a moment.";
const OFFLINE = "There is no connection: try again when it is back.";
const GONE = "The server does not answer: this page begins anew when it does.";

let turn = 0;
let waiting = false;
let asked = { sample: props.value.meta.picked, runs: pair };
let good = null;

// -- Questions and answers -------------------------------------------------------------------------------------

/** Asks about another photograph or other runs: `{sample}`, `{name, content}`, `{runs}`. */
function ask(change, said = "") {
  turn += 1;
  asked = { ...asked, ...change };
  waiting = true;
  say(said);
  busy(LOOKING);
  put({ turn, ...asked });
}

/** Gradio waits for ever where there is no connection. */
async function put(question) {
  if (gone) failed(GONE);
  else if (await connected()) trigger("submit", question);
  else failed(OFFLINE);
}

/** A server on this machine needs no network. */
async function connected() {
  return navigator.onLine || fetch(globalThis.location.href, { method: "HEAD" }).then(() => true, () => false);
}

function answered() {
  const answer = props.value;
  if (answer.turn !== turn) return;
  if (!answer.meta?.busy) waiting = false;
  if (answer.numbers) save(answer.numbers);
  else if (answer.said?.length) say(answer.said.join(" "));
  if (answer.meta) {
    show(answer, on);
    if (!waiting) settle();
  } else if (!answer.numbers) giveUp();
  if (!waiting) busy("");
}

/** What was asked is now on the page: the address says so, and a later refusal comes back to it. */
function settle() {
  good = asked;
  choose(asked.runs);
  const query = new URLSearchParams(globalThis.location.search);
  const words = { photo: asked.sample, left: asked.runs[0], right: asked.runs.at(-1) };
  if (asked.runs.join() === pair.join()) delete words.left, delete words.right;
  for (const name of ["photo", "left", "right"]) {
    if (words[name]) query.set(name, words[name]);
    else query.delete(name);
  }
  const { pathname, hash } = globalThis.location;
  globalThis.history.replaceState(globalThis.history.state, "", `${pathname}${query.size ? `?${query}` : ""}${hash}`);
}

/** What was asked cannot be had: the last good photograph stays, or the first sample comes. */
function giveUp() {
  const [first] = pictures;
  if (good) {
    asked = good;
    choose(asked.runs);
  } else if (first && asked.sample !== first.id) ask({ sample: first.id, runs: pair }, message.textContent);
}

function failed(words) {
  if (!waiting) return;
  waiting = false;
  if (good) asked = good;
  say(words);
  busy("");
}

function say(words) {
  message.textContent = words;
  message.hidden = !words;
}

function busy(words) {
  view?.update({ meta: { busy: words, picked: asked.sample ?? "" } });
}

// -- Photographs -----------------------------------------------------------------------------------------------

async function take(file, name = file?.name) {
  if (!file) return;
  if (file.size > cap) {
    say(`"${name}" has more than ${cap / 1e6} MB: make it smaller first.`);
    return;
  }
  const reader = new FileReader();
  await new Promise((done) => {
    reader.onloadend = done;
    reader.readAsDataURL(file);
  });
  if (reader.error) say(`"${name}" cannot be opened: choose another file.`);
  else ask({ sample: "", name, content: reader.result.split(",")[1] ?? "" });
}

part(".upload").addEventListener("change", (event) => {
  take(event.target.files[0]);
  // The same file may be chosen again.
  event.target.value = "";
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => take(event.clipboardData.files[0]));

part(".open").addEventListener("click", async () => {
  const video = camera.querySelector("video");
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    say("There is no camera that this page may use.");
    return;
  }
  camera.returnValue = "";
  camera.showModal();
});
camera.addEventListener("close", () => {
  const video = camera.querySelector("video");
  if (camera.returnValue === "take" && video.videoWidth) {
    const still = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
    still.getContext("2d").drawImage(video, 0, 0);
    still.toBlob((blob) => take(blob, "camera"), "image/jpeg", 0.95);
  }
  for (const track of video.srcObject.getTracks()) track.stop();
  video.srcObject = null;
});

// -- Runs ------------------------------------------------------------------------------------------------------

for (const select of [left, right]) {
  for (const task of new Set(runs.map((run) => run.task))) {
    const group = Object.assign(document.createElement("optgroup"), { label: task });
    group.append(...runs.filter((run) => run.task === task).map(({ name, id }) => new Option(name, id)));
    select.append(group);
  }
  select.addEventListener("change", () => {
    const other = select === left ? right : left;
    // Runs lie side by side only within one task.
    if (taskOf(other.value) !== taskOf(select.value)) {
      other.value = runs.find(({ id, task }) => task === taskOf(select.value) && id !== select.value)?.id ?? select.value;
    } else if (other.value === select.value) {
      // One run alone is nothing to compare: the two change places.
      other.value = select === left ? asked.runs[0] : asked.runs.at(-1);
    }
    ask({ runs: [left.value, right.value] });
  });
}

function taskOf(id) {
  return runs.find((run) => run.id === id)?.task;
}

function choose(names) {
  [left.value, right.value] = [names[0], names.at(-1)];
}

// -- The rest --------------------------------------------------------------------------------------------------

/** The numbers of what is on the page come when somebody wants them. */
function getNumbers() {
  if (!good) return;
  turn += 1;
  waiting = true;
  busy("Getting the numbers");
  put({ turn, ...good, numbers: true });
}

function save(content) {
  const name = good.sample || good.name;
  saveFile(new Blob([unpack(content)], { type: "application/octet-stream" }), fileName([name], "npz"));
}

const on = { pick: (sample) => ask({ sample, name: undefined, content: undefined }), numbers: getNumbers };

// Gradio writes the place in its queue into an element of its own, which is not shown.
const block = element.closest(".block");
let place = "";
new MutationObserver(() => {
  const words = block.querySelector(".progress-text")?.textContent ?? "";
  const [, number, length] = /queue: (\d+)\/(\d+)/.exec(words) ?? [];
  const now = number ? `Number ${number} of ${length} in the queue` : "";
  if (now === place) return;
  place = now;
  if (waiting) busy(place || LOOKING);
}).observe(block, { childList: true, subtree: true, characterData: true });

// Of a server that is gone Gradio asks nothing more. It says so where nobody sees it, and reloads the page later.
let gone = false;
new MutationObserver(() => {
  gone = document.querySelector(".toast-wrap")?.textContent.includes("Connection to the server was lost") ?? false;
  if (gone) failed(GONE);
}).observe(document.body, { childList: true, subtree: true });

part(".program").addEventListener("click", () => document.querySelector("footer .show-api").click());
watch("value", answered);
document.addEventListener("parallax:failed", () => failed(TROUBLE));
globalThis.addEventListener("offline", async () => (await connected()) || failed(OFFLINE));
choose(pair);
show(props.value, on);
if (pair.length) {
  const query = new URLSearchParams(globalThis.location.search);
  const known = (name) => runs.find(({ id }) => id === query.get(name))?.id;
  const names = [known("left") ?? pair[0], known("right") ?? pair.at(-1)];
  const sample = pictures.find(({ id }) => id === query.get("photo"))?.id;
  const missing = ["left", "right"].map((side) => query.get(side)).filter((name) => name && !names.includes(name));
  const said = [...new Set(missing)].map((name) => `The run that the address names is not here: ${name}.`);
  if (query.get("photo") && !sample) said.unshift("The photograph that the address names is not here.");
  ask({ sample: sample ?? asked.sample, runs: names }, said.join(" "));
} else {
  say("There are no checkpoints: train a run first, see python -m training list.");
  busy("");
}
