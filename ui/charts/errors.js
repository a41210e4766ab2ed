// Where the pair of runs of a task is wrong: confusion matrices, classes, pictures.
//
// mountErrors(root, {meta, blobs, state, on}) -> {update({meta, blobs, state})}
//
//   meta = {key, task, labels, n, split, both_wrong, one_wrong, without: why there are no pictures or "",
//     runs: [{id, name, hue, accuracy, confusion: [true class][answer]}],   two of them
//     classes: [{label, support, precision: [run], recall: [run], f1: [run]}],
//     groups: [{id, title, of: how many there are, pictures: [{name, label, href, blob: number | null, note,
//       answers: [{label, probability, right}]}]}]}
//   state = {group: id of the pictures, order: of the classes}, from readErrors(); on.state(hash) is told of every change.
import { wordsOf } from "../viewer/address.js";
import { tableBytes } from "../viewer/draw.js";
import { el, press, ring, segments, setText, svg } from "../viewer/parts.js";
import { darkBehind, watchTheme } from "../viewer/theme.js";
import { classText, formatProbability } from "../viewer/words.js";

const ERRORS = Symbol.for("parallax.errors");
/** More classes than these are drawn as cells without numbers. */
const MOST_NUMBERS = 12;
/** More classes than these leave a cell no room for more than two or three letters. */
const FEW = 4;
const COLUMNS = [
  ["precision", "precision"],
  ["recall", "recall"],
  ["f1", "F1"],
];

const ORDERS = [
  ["f1", "hardest first"],
  ["apart", "most apart first"],
  ["label", "by name"],
];

/** `meta` with its classes as people write them. */
export function worded(meta) {
  const spaced = (one) => ({ ...one, label: classText(one.label) });
  const picture = (one) => ({ ...spaced(one), answers: one.answers.map(spaced) });
  return {
    ...meta,
    labels: meta.labels.map(classText),
    classes: meta.classes.map(spaced),
    groups: meta.groups.map((group) => ({ ...group, pictures: group.pictures.map(picture) })),
  };
}

/** Each row as shares of its class. */
export function shares(confusion) {
  return confusion.map((row) => {
    const all = row.reduce((sum, count) => sum + count, 0) || 1;
    return row.map((count) => count / all);
  });
}

/** The pairs of classes that runs take for each other most often: [{from, to, counts: [run]}]. */
export function confused(confusions, most) {
  const found = [];
  confusions[0].forEach((row, from) =>
    row.forEach((_, to) => {
      const counts = confusions.map((one) => one[from][to]);
      if (from !== to && Math.max(...counts) > 0) found.push({ from, to, counts });
    }),
  );
  const total = ({ counts }) => counts.reduce((sum, count) => sum + count, 0);
  return found.sort((a, b) => total(b) - total(a)).slice(0, most);
}

/** Classes in order: by name, or the lowest value of a measure first. */
export function sorted(classes, column) {
  if (column === "label") return [...classes].sort((a, b) => a.label.localeCompare(b.label));
  if (column === "apart") return [...classes].sort((a, b) => apart(b) - apart(a));
  return [...classes].sort((a, b) => Math.min(...a[column]) - Math.min(...b[column]));
}

/** Where the scale of F1 begins: at whole tenths, so that what lies between two runs can be seen. */
export function scaleStart(classes) {
  return Math.min(9, Math.floor(10 * Math.min(...classes.flatMap(({ f1 }) => f1)))) / 10;
}

/** A group with the number of its pictures, and of how many they are the first. */
export function groupText({ title, of, pictures }) {
  const shown = pictures.length;
  return `${title} (${shown < of ? `${shown} of ${of.toLocaleString("en")}` : shown})`;
}

/** A difference where there is room for two or three letters: whole points, a tenth below one, and below half of one nothing. */
export function shortPoints(share) {
  const size = Math.abs(100 * share);
  if (size < 0.5) return "";
  return `${share > 0 ? "+" : "\u2212"}${size < 0.95 ? size.toFixed(1).slice(1) : Math.round(size)}`;
}

/** Black or white, whichever has the higher contrast on a colour: 4.58 : 1 or more, and WCAG AA asks for 4.5. */
export function inkOn(colour) {
  const [r, g, b] = colour.map((value) => (value <= 10 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  const light = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return (light + 0.05) ** 2 > 0.05 * 1.05 ? "#000" : "#fff";
}

const apart = ({ f1 }) => Math.abs(f1[1] - f1[0]);
const percentOf = (share) => (100 * share).toFixed(1).replace("-", "\u2212");

/** The pictures and the order of classes that an address names, by default the page's. */
export function readErrors(hash) {
  const words = wordsOf(hash);
  const order = words.get("order");
  return { group: words.get("pictures"), order: ORDERS.some(([name]) => name === order) ? order : null };
}

/** Mounts the errors, or updates those that are there. */
export function mountErrors(root, { meta, blobs, state, on } = {}) {
  root[ERRORS] ??= new Errors(root, state ?? {}, on ?? {});
  root[ERRORS].update({ meta, blobs });
  return root[ERRORS];
}

class Errors {
  #meta = null;
  #blobs = [];
  #urls = [];
  #state;
  #on;
  #node = el("section", { class: "parallax pe", "aria-label": "Errors" });

  constructor(root, state, on) {
    this.#state = state;
    this.#on = on;
    root.append(this.#node);
    const theme = () => {
      const dark = darkBehind(root.host ?? this.#node) ? "dark" : "light";
      if (this.#node.dataset.theme === dark) return;
      this.#node.dataset.theme = dark;
      if (this.#meta) this.#build();
    };
    watchTheme(this.#node, theme);
    theme();
  }

  update({ meta, blobs, state }) {
    const other = meta && meta.key !== this.#meta?.key;
    if (!other && !state) return;
    if (other) {
      this.#meta = worded(meta);
      this.#blobs = blobs ?? [];
      this.#urls.forEach((url) => URL.revokeObjectURL(url));
      this.#urls = this.#blobs.map((bytes) => URL.createObjectURL(new Blob([bytes])));
    }
    const { groups } = this.#meta;
    const { group, order } = state ?? this.#state;
    const shown = groups.find(({ id }) => id === group) ?? groups.find(({ pictures }) => pictures.length) ?? groups[0];
    this.#state = { group: shown.id, order: order ?? ORDERS[0][0] };
    this.#build();
  }

  #choose(change) {
    Object.assign(this.#state, change);
    const { group, order } = this.#state;
    this.#on.state?.(new URLSearchParams({ pictures: group, order }).toString());
  }

  #build() {
    this.#node.replaceChildren(
      el("div", { class: "pe-left" }, this.#summary(), this.#matrices(), this.#pairs()),
      el("div", { class: "pe-right" }, this.#pictures()),
      el("div", { class: "pe-below" }, this.#classes()),
    );
  }

  #summary() {
    const { runs, n, split, both_wrong: both, one_wrong: one } = this.#meta;
    const told = runs.map((run) =>
      el("span", { class: `pe-score px-hue-${run.hue}` }, ring(run.hue), el("span", { text: run.name }), el("b", { text: `${percentOf(run.accuracy)} %` })),
    );
    const text = `of ${n.toLocaleString("en")} ${split} photographs; ${both} wrong in both, ${one} in exactly one.`;
    return el("p", { class: "pe-summary" }, ...told, el("span", { class: "px-quiet", text }));
  }

  // -- Confusion ---------------------------------------------------------------------------------------------

  #matrices() {
    const { runs } = this.#meta;
    const [first, second] = runs.map((run) => shares(run.confusion));
    const difference = second.map((row, from) => row.map((share, to) => share - first[from][to]));
    const largest = Math.max(1e-9, ...difference.flat().map(Math.abs));
    return el(
      "div",
      { class: "pe-matrices", "data-classes": this.#meta.labels.length > FEW ? "many" : "few" },
      ...runs.map((run) => this.#matrix(run.name, run.hue, shares(run.confusion), run.confusion, false, 1)),
      this.#matrix(`${runs[1].name} less ${runs[0].name}`, null, difference, null, true, largest),
    );
  }

  #matrix(title, hue, values, counts, signed, largest) {
    const { labels } = this.#meta;
    const readout = el("figcaption", { class: "pe-readout", "aria-live": "polite" });
    const tell = (from, to) => {
      const share = values[from][to];
      const what = `${labels[from]} taken for ${labels[to]}`;
      const much = signed ? `${share > 0 ? "+" : ""}${percentOf(share)} points` : `${percentOf(share)} %`;
      setText(readout, `${what}: ${much}${counts ? ` (${counts[from][to]})` : ""}`);
    };
    if (!signed) setText(readout, "rows: true class; columns: answer");
    const colour = this.#colours(signed);
    const shade = (value) => colour(signed ? 0.5 + (0.5 * value) / largest : Math.sqrt(value));
    const few = labels.length <= MOST_NUMBERS;
    const picture = few
      ? this.#grid(title, values, counts, signed, shade, tell)
      : this.#cells(title, values, shade, tell);
    const head = el("div", { class: `pe-name${hue ? ` px-hue-${hue}` : ""}` }, hue ? ring(hue) : null, el("span", { text: title }));
    return el("figure", { class: "pe-matrix" }, head, picture, signed ? this.#key(largest) : null, readout);
  }

  /** The colours of the difference, and which run each end is for. */
  #key(largest) {
    const [first, second] = this.#meta.runs;
    const colour = this.#colours(true);
    const stops = Array.from({ length: 17 }, (_, step) => `rgb(${colour(step / 16).join(" ")})`);
    const points = percentOf(largest);
    return el(
      "div",
      { class: "pe-key" },
      el("i", { style: `background: linear-gradient(90deg, ${stops.join(", ")})` }),
      el("span", { text: `\u2212${points} points: more by ${first.name}` }),
      el("span", { text: `+${points} points: more by ${second.name}` }),
    );
  }

  #colours(signed) {
    const dark = this.#node.dataset.theme === "dark";
    const bytes = tableBytes(signed ? (dark ? "signedDark" : "signedLight") : "sequential");
    // The lightest sequential colours stand for nothing on paper, the darkest on black.
    const flip = !signed && !dark;
    return (t) => {
      const at = 3 * Math.round(255 * Math.min(1, Math.max(0, flip ? 1 - t : t)));
      return [bytes[at], bytes[at + 1], bytes[at + 2]];
    };
  }

  /** A table with a number in each cell. */
  #grid(title, values, counts, signed, shade, tell) {
    const { labels } = this.#meta;
    const cell = (value, from, to) => {
      const [r, g, b] = shade(value);
      const ink = inkOn([r, g, b]);
      const exact = `${value > 0 ? "+" : ""}${percentOf(value)}`;
      const text = counts ? String(counts[from][to]) : labels.length <= FEW ? exact : shortPoints(value);
      return el("td", { style: `background: rgb(${r} ${g} ${b}); color: ${ink}`, title: exact, text, onpointerenter: () => tell(from, to) });
    };
    const short = (label) => (labels.length > FEW ? label.slice(0, 3) : label);
    return el(
      "table",
      { class: "pe-grid", "data-classes": labels.length > FEW ? "many" : "few" },
      el("caption", { class: "px-live", text: `Confusion of ${title}: rows are true classes, columns answers${signed ? ", in points" : ""}` }),
      el("thead", {}, el("tr", {}, el("td"), ...labels.map((label) => el("th", { scope: "col", title: label, text: short(label) })))),
      el("tbody", {}, ...values.map((row, from) => el("tr", {}, el("th", { scope: "row", title: labels[from], text: short(labels[from]) }), ...row.map((value, to) => cell(value, from, to))))),
    );
  }

  /** Many classes: one pixel a cell. */
  #cells(title, values, shade, tell) {
    const size = values.length;
    const canvas = el("canvas", { class: "pe-cells", width: size, height: size, role: "img", "aria-label": `Confusion of ${title}; the pairs taken for each other most often are listed below` });
    const image = new ImageData(size, size);
    values.forEach((row, from) => row.forEach((value, to) => image.data.set([...shade(value), 255], 4 * (from * size + to))));
    canvas.getContext("2d").putImageData(image, 0, 0);
    const point = (event) => {
      const box = canvas.getBoundingClientRect();
      const at = (place, start, length) => Math.min(size - 1, Math.max(0, Math.floor(((place - start) / length) * size)));
      tell(at(event.clientY, box.top, box.height), at(event.clientX, box.left, box.width));
    };
    // A finger that taps never moves.
    for (const kind of ["pointermove", "pointerdown"]) canvas.addEventListener(kind, point);
    return canvas;
  }

  #pairs() {
    const { labels, runs } = this.#meta;
    if (labels.length < 3) return null;
    const found = confused(runs.map((run) => run.confusion), 8);
    return el(
      "ol",
      { class: "pe-pairs", "aria-label": "Taken for each other most often" },
      ...found.map(({ from, to, counts }) =>
        el("li", {}, el("span", { text: `${labels[from]} taken for ${labels[to]}` }), ...runs.map((run, index) => el("span", { class: `pe-count px-hue-${run.hue}` }, ring(run.hue), String(counts[index])))),
      ),
    );
  }

  // -- Classes -----------------------------------------------------------------------------------------------

  #classes() {
    const { runs, classes } = this.#meta;
    const start = scaleStart(classes);
    const body = el("tbody");
    const fill = () => {
      body.replaceChildren(
        ...sorted(classes, this.#state.order).map((one) =>
          el(
            "tr",
            {},
            el("th", { scope: "row", text: one.label }),
            el("td", { text: one.support }),
            ...COLUMNS.flatMap(([key]) => runs.map((run, index) => el("td", { class: index ? null : "pc-group", text: percentOf(one[key][index]) }))),
            el("td", { class: "pc-group" }, bar(one.f1, runs, start)),
          ),
        ),
      );
    };
    const order = segments("Order of classes", ORDERS, (name) => {
      this.#choose({ order: name });
      press(order, name);
      fill();
    });
    press(order, this.#state.order);
    fill();
    const heads = COLUMNS.map(([, text]) => el("th", { colspan: 2, scope: "colgroup", class: "pc-group", text: `${text}, %` }));
    const names = COLUMNS.flatMap(() => runs.map((run, index) => el("th", { scope: "col", class: `px-hue-${run.hue}${index ? "" : " pc-group"}` }, ring(run.hue), el("span", { class: "px-live", text: run.name }))));
    return el(
      "div",
      {},
      el("div", { class: "pe-head" }, el("h2", { text: "Classes" }), classes.length > 2 ? order : null),
      el(
        "div",
        { class: "pc-scroll pe-classes", tabindex: 0, role: "group", "aria-label": "Measures of each class" },
        el(
          "table",
          { class: "pc-table" },
          el("caption", { class: "px-live", text: "Precision, recall and F1 of each class in both runs" }),
          el("thead", {}, el("tr", {}, el("th", { rowspan: 2, scope: "col", text: "class" }), el("th", { rowspan: 2, scope: "col", text: "photographs" }), ...heads, el("th", { rowspan: 2, scope: "col", class: "pc-group", text: `F1, ${Math.round(100 * start)} to 100 %` })), el("tr", {}, ...names)),
          body,
        ),
      ),
    );
  }

  // -- Pictures ----------------------------------------------------------------------------------------------

  #pictures() {
    const { groups, without } = this.#meta;
    const list = el("ul", { class: "pe-gallery", tabindex: 0, "aria-label": "Pictures" });
    const show = (id) => {
      press(tabs, id);
      const { pictures } = groups.find((group) => group.id === id);
      list.replaceChildren(...pictures.map((picture) => this.#card(picture)));
      if (!pictures.length) list.append(el("li", { class: "px-quiet", text: "None." }));
    };
    const choose = (id) => {
      this.#choose({ group: id });
      show(id);
    };
    const tabs = segments("Pictures", groups.map((group) => [group.id, groupText(group)]), choose);
    show(this.#state.group);
    return el("div", {}, tabs, without ? el("p", { class: "pe-without", text: without }) : null, list);
  }

  #card({ name, label, href, blob, note, answers }) {
    const { runs } = this.#meta;
    const picture =
      blob === null
        ? el("span", { class: "pe-none", text: name })
        : el("img", { src: this.#urls[blob], alt: `${name}: ${label}`, loading: "lazy" });
    const said = answers.map((answer, index) =>
      el(
        "span",
        { class: `pe-answer px-hue-${runs[index].hue}`, "data-right": answer.right ? "1" : "0" },
        ring(runs[index].hue),
        el("span", { class: "px-live", text: runs[index].name }),
        el("span", { class: "pe-said", text: answer.label }),
        el("span", { text: formatProbability(answer.probability) }),
      ),
    );
    const body = [picture, el("span", { class: "pe-truth", text: label }), ...said, note ? el("span", { class: "pe-note", text: note }) : null];
    return el("li", {}, blob === null ? el("div", { class: "pe-card" }, ...body) : el("a", { class: "pe-card", href, target: "_self" }, ...body));
  }
}

/** F1 of both runs on one line, from `start` to 1. */
function bar(f1, runs, start) {
  const x = (value) => `${3 + (94 * (value - start)) / (1 - start)}%`;
  return svg(
    "svg",
    { class: "pe-bar", "aria-hidden": "true" },
    svg("line", { class: "pc-grid", x1: x(start), x2: x(1), y1: 7, y2: 7 }),
    svg("line", { class: "pe-between", x1: x(f1[0]), x2: x(f1[1]), y1: 7, y2: 7 }),
    ...runs.map((run, index) => svg("circle", { class: `px-eye px-hue-${run.hue}`, cx: x(f1[index]), cy: 7, r: 4, pathLength: 100 })),
  );
}
