// The curves of a task's runs over their epochs, under one cursor.
//
// mountCurves(root, {meta, state, on}) -> {update({meta, state})}
//
//   meta = {task, classes, runs: [{id, name, hue: "a" | "b" | "c", nth, first, optimizer, rate, epochs, test: number | null,
//     photographs, best: {accuracy, loss, val_accuracy, val_loss}, history: [{epoch, loss, accuracy, val_loss,
//     val_accuracy, cross_entropy?, l2?}]}], whose, recipe: [[name, text]], note: [["p" | "pre", text]]}
//   `first` says whether a run is shown to begin with, `nth` how many runs before it have its hue; `whose` names those
//   that the recipe is of.
//   state = {epoch, runs: [id]}, from readCurves(); on.state(hash) is told of every change.
import { wordsOf } from "../viewer/address.js";
import { el, ring, setText, svg } from "../viewer/parts.js";
import { darkBehind, watchTheme } from "../viewer/theme.js";
import { plot, shape } from "./plot.js";

const INSTANCE = Symbol.for("parallax.curves");
const KINDS = [
  ["accuracy", "training accuracy"],
  ["val_accuracy", "validation accuracy"],
  ["loss", "training loss"],
  ["val_loss", "validation loss"],
];

/** A share of one as per cent; `short` for the axis. */
export function percent(value, short = false) {
  return `${(100 * value).toFixed(short ? 0 : 2)}${short ? "" : " %"}`;
}

/** A loss with three significant digits, zeros too; on the axis, `short`, without those that say nothing. */
export function nats(value, short = false) {
  if (value >= 100) return value.toFixed(0);
  return short ? String(Number(value.toPrecision(3))) : value.toPrecision(3);
}

/** What the first loss is made of, in a sentence; empty where the training had no L2. */
export function firstLoss({ name, history }, classes) {
  const [{ cross_entropy, l2 } = {}] = history;
  if (!Number.isFinite(l2)) return "";
  return (
    `${name}: the loss of the first epoch, ${nats(cross_entropy + l2)}, is ${nats(cross_entropy)} of cross-entropy ` +
    `(a guess among ${classes} classes has ${nats(Math.log(classes))}) and ${nats(l2)} of L2, ` +
    "the size of the weights themselves."
  );
}

/** Low and high end of what is drawn. */
export function ends(values, log) {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const room = (high - low) * 0.08 || Math.abs(high) * 0.05 || 1;
  return log ? [low / 1.25, high * 1.25] : [low - room, high + room];
}

/** The epoch and the runs that an address names, by default the page's. */
export function readCurves(hash) {
  const words = wordsOf(hash);
  const epoch = Number(words.get("epoch"));
  return {
    epoch: Number.isInteger(epoch) && epoch > 0 ? epoch : null,
    runs: words.get("runs") ? words.get("runs").split(",") : null,
  };
}

/** Mounts the curves, or updates those that are there. */
export function mountCurves(root, { meta, state, on } = {}) {
  root[INSTANCE] ??= new Curves(root, state ?? {}, on ?? {});
  root[INSTANCE].update({ meta });
  return root[INSTANCE];
}

class Curves {
  #meta = null;
  #state;
  #on;
  #node;
  #accuracy = svg("svg", { class: "pc-plot", role: "img" });
  #loss = svg("svg", { class: "pc-plot", role: "img" });
  #range = el("input", { type: "range", class: "px-blend-range", min: 1, step: 1, "aria-label": "Epoch" });
  #where = el("span", { class: "pc-epoch" });
  #table = el("table", { class: "pc-table" });
  #whose = el("h2", { class: "pc-whose" });
  #recipe = el("dl", { class: "pc-recipe" });
  #note = el("div", { class: "pc-note" });

  constructor(root, state, on) {
    this.#state = state;
    this.#on = on;
    this.#range.addEventListener("input", () => this.#go(Number(this.#range.value)));
    const charts = el("div", { class: "pc-charts" }, this.#accuracy, this.#loss);
    const cursor = el("div", { class: "pc-cursor-row" }, this.#where, this.#range);
    const key = el("p", { class: "pc-key" }, mark("validation"), " validation ", mark("train"), " training");
    const left = el("div", { class: "pc-left" }, charts, cursor, key, el("div", { class: "pc-scroll", tabindex: 0, role: "group", "aria-label": "Results" }, this.#table), this.#note);
    this.#node = el("section", { class: "parallax pc", "aria-label": "Curves" }, left, el("aside", { "aria-label": "Recipe" }, this.#whose, this.#recipe));
    root.append(this.#node);
    const theme = () => this.#node.setAttribute("data-theme", darkBehind(root.host ?? this.#node) ? "dark" : "light");
    watchTheme(this.#node, theme);
    theme();
    new ResizeObserver(() => this.#draw()).observe(charts);
  }

  update({ meta, state }) {
    const other = meta && meta.key !== this.#meta?.key;
    if (!other && !state) return;
    if (other) this.#meta = meta;
    if (state) this.#state = state;
    const { runs } = this.#meta;
    const known = runs.map((run) => run.id);
    const asked = this.#state.runs?.filter((id) => known.includes(id));
    this.#state.runs = asked?.length ? asked : runs.filter((run) => run.first).map((run) => run.id);
    this.#state.epoch = Math.min(this.#state.epoch ?? this.#epochs, this.#epochs);
    if (other) this.#build();
    this.#draw();
  }

  get #shown() {
    return this.#meta.runs.filter((run) => this.#state.runs.includes(run.id));
  }

  get #epochs() {
    return Math.max(1, ...this.#shown.map((run) => run.history.length));
  }

  #go(epoch) {
    this.#state.epoch = epoch;
    this.#draw();
    this.#tell();
  }

  #toggle(id) {
    const { runs } = this.#state;
    const left = runs.includes(id) ? runs.filter((one) => one !== id) : [...runs, id];
    if (!left.length) return;
    this.#state.runs = left;
    this.#state.epoch = Math.min(this.#state.epoch, this.#epochs);
    this.#draw();
    this.#tell();
  }

  #tell() {
    this.#on.state?.(`epoch=${this.#state.epoch}&runs=${this.#state.runs.map(encodeURIComponent).join(",")}`);
  }

  /** What stands still for a task. */
  #build() {
    const splits = Array.from({ length: 4 }, () => ["training", "validation"]).flat();
    this.#table.replaceChildren(
      el("caption", { class: "px-live", text: "Results of each run, at the chosen epoch and at its best" }),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { rowspan: 2, scope: "col", text: "run" }),
          el("th", { rowspan: 2, scope: "col", text: "rate" }),
          el("th", { colspan: 2, scope: "colgroup", class: "pc-now", text: "accuracy" }),
          el("th", { colspan: 2, scope: "colgroup", text: "loss" }),
          el("th", { colspan: 2, scope: "colgroup", class: "pc-group", text: "highest accuracy" }),
          el("th", { colspan: 2, scope: "colgroup", text: "lowest loss" }),
          el("th", { rowspan: 2, scope: "col", class: "pc-group", text: "test accuracy" }),
        ),
        el("tr", {}, ...splits.map((text) => el("th", { scope: "col", text }))),
      ),
      el("tbody", {}, ...this.#meta.runs.map((run) => this.#row(run))),
    );
    setText(this.#whose, `Recipe of ${this.#meta.whose}`);
    this.#whose.hidden = !this.#meta.whose;
    this.#recipe.replaceChildren(
      ...this.#meta.recipe.flatMap(([name, text]) => [el("dt", { text: name }), el("dd", { text })]),
    );
    const sentences = this.#meta.runs.map((run) => firstLoss(run, this.#meta.classes)).filter(Boolean);
    const blocks = [...(sentences.length ? [["p", sentences.join(" ")]] : []), ...this.#meta.note];
    // Lines of commands are elements of their own, so that on a phone one sees where each begins.
    const lines = (name, text) => (name === "pre" ? text.split("\n").map((line) => el("code", { text: line })) : [text]);
    this.#note.replaceChildren(...blocks.map(([name, text]) => el(name, {}, ...lines(name, text))));
  }

  #row(run) {
    const mark = ring(run.hue);
    mark.append(...shape(run.nth, 10, 10, 3.8));
    const cell = (key, text, name) => el("td", { "data-key": key, class: name, text });
    const best = KINDS.map(([key], index) =>
      cell(`best ${key}`, key.includes("accuracy") ? percent(run.best[key]) : nats(run.best[key]), index ? null : "pc-group"),
    );
    const test = run.test === null ? "" : `${percent(run.test)} of ${run.photographs}`;
    return el(
      "tr",
      { "data-run": run.id, class: `px-hue-${run.hue}` },
      el(
        "th",
        { scope: "row" },
        el("button", { type: "button", class: "pc-run", onclick: () => this.#toggle(run.id) }, mark, el("span", { text: run.name })),
      ),
      el("td", { text: run.rate }),
      ...KINDS.map(([key]) => cell(key, "")),
      ...best,
      cell("test", test, "pc-group"),
    );
  }

  #draw() {
    const width = this.#accuracy.clientWidth;
    if (!this.#meta || !width) return;
    const shown = this.#shown;
    const [epochs, epoch] = [this.#epochs, this.#state.epoch];
    this.#range.max = String(epochs);
    this.#range.value = String(epoch);
    this.#range.setAttribute("aria-valuetext", this.#spoken(shown, epoch));
    setText(this.#where, `epoch ${epoch} of ${epochs}`);
    const height = this.#accuracy.clientHeight;
    const line = (run, key, kind) => ({
      name: run.name,
      hue: run.hue,
      nth: run.nth,
      kind,
      faint: !run.first,
      values: run.history.map((row) => row[key] ?? null),
    });
    const chart = (node, key, title, log, format, levels, parts = []) => {
      const lines = shown.flatMap((run) => [
        line(run, key, "train"),
        ...parts.filter((part) => Number.isFinite(run.history[0]?.[part])).map((part) => line(run, part, "part")),
        line(run, `val_${key}`, "validation"),
      ]);
      const values = lines.flatMap((one) => one.values).filter((value) => value !== null && (!log || value > 0));
      plot(node, { title, lines, epochs, epoch, range: ends(values, log), log, levels, format, width, height });
    };
    const guess = Math.log(this.#meta.classes);
    const losses = shown.flatMap((run) => run.history.flatMap((row) => [row.loss, row.val_loss]));
    const log = Math.max(...losses) > 8 * Math.min(...losses);
    chart(this.#accuracy, "accuracy", "Accuracy, %", false, percent, [
      { value: 1 / this.#meta.classes, text: "a guess" },
    ]);
    chart(this.#loss, "loss", "Loss, nats", log, nats, [{ value: guess, text: `a guess: ln ${this.#meta.classes}` }], ["cross_entropy"]);
    this.#accuracy.setAttribute("aria-label", `Accuracy over ${epochs} epochs. ${this.#spoken(shown, epoch)}`);
    this.#loss.setAttribute("aria-label", `Loss over ${epochs} epochs. ${this.#spoken(shown, epoch, "loss", nats)}`);
    this.#fill(epoch);
  }

  #fill(epoch) {
    for (const run of this.#meta.runs) {
      const row = this.#table.querySelector(`[data-run="${CSS.escape(run.id)}"]`);
      const pressed = this.#state.runs.includes(run.id);
      row.querySelector("button").setAttribute("aria-pressed", String(pressed));
      const found = run.history[epoch - 1];
      for (const [key] of KINDS) {
        const value = found?.[key];
        const text = value === undefined ? "" : key.includes("accuracy") ? percent(value) : nats(value);
        setText(row.querySelector(`[data-key="${key}"]`), text);
      }
    }
  }

  #spoken(shown, epoch, measure = "accuracy", format = percent) {
    const told = shown.filter((run) => run.history[epoch - 1]);
    const words = told.map((run) => `${run.name} ${format(run.history[epoch - 1][`val_${measure}`])}`);
    return `Epoch ${epoch}, validation ${measure}: ${words.join(", ")}`;
  }
}

function mark(kind) {
  return svg(
    "svg",
    { class: "pc-mark", viewBox: "0 0 28 10", "aria-hidden": "true" },
    svg("polyline", { class: `pc-line pc-${kind}`, points: "0,5 28,5" }),
  );
}
