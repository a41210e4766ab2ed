// The choices beside the pictures: class, how evidence is shown, the blend of two runs, downloads.
import { el, press, ring, segments, setText, svg, tool } from "./parts.js";
import { TEXT, classText, formatProbability, tookText } from "./words.js";

/**
 * `act`: {set(patch), swap(), labels(), png(), npz(), blend(0..1)}. `fill` puts a payload into it,
 * `show` a state.
 */
export function rail(act) {
  const head = el("div", { class: "px-class-head" });
  const took = el("span", { class: "px-took" });
  const list = el("div", { class: "px-classes", role: "group", "aria-label": "Class" });
  const groups = {
    show: segments("Sign", [["positive", TEXT.positive], ["signed", TEXT.signed]], (show) => act.set({ show })),
    scale: segments("Scale", [["own", TEXT.own], ["shared", TEXT.shared]], (scale) => act.set({ scale })),
    cells: segments("Cells", [["smooth", TEXT.smooth], ["native", TEXT.native]], (cells) => act.set({ cells })),
  };
  const blend = el("input", {
    type: "range",
    class: "px-blend-range",
    min: 0,
    max: 100,
    value: 0,
    "aria-keyshortcuts": "B",
    oninput: () => act.blend(Number(blend.value) / 100),
  });
  const [from, to] = [el("span"), el("span")];
  const blendRow = el("label", { class: "px-blend" }, el("span", { class: "px-quiet", text: TEXT.blend }), from, blend, to, el("kbd", { text: "B", "aria-hidden": "true" }));
  const swap = tool(TEXT.swap, "S", act.swap);
  const labels = tool(TEXT.labels, "L", act.labels);
  const png = tool(TEXT.png, null, act.png, "Download what is shown as PNG");
  const npz = tool(TEXT.npz, null, act.npz, "Download the numbers as npz");
  for (const button of [png, npz]) {
    button.prepend(svg("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, svg("path", { d: "M6 1v7M3 5.2 6 8.2l3-3M1.5 11h9" })));
  }
  const node = el(
    "div",
    { class: "px-rail" },
    el("div", { class: "px-pick" }, head, list),
    el("div", { class: "px-views" }, groups.show, groups.scale, groups.cells),
    blendRow,
    el("div", { class: "px-tools" }, swap, labels, png, npz),
  );
  let names = [];
  let shape = "";

  /** The rows of the classes, without their numbers. */
  function build(meta) {
    const cells = (make) => meta.runs.map((run, k) => el("span", { class: `px-cell px-hue-${run.hue}`, "data-run": k }, ...make(run)));
    const titles = cells((run) => [ring(run.hue), el("span", { title: run.name, text: run.name })]);
    for (const title of titles) title.setAttribute("aria-hidden", "true");
    head.replaceChildren(took, ...titles);
    list.replaceChildren(
      ...meta.classes.map(({ label }, c) =>
        el(
          "button",
          { type: "button", class: "px-class", "data-value": label, "aria-keyshortcuts": c < 9 ? String(c + 1) : null, onclick: () => act.set({ class: label }) },
          el("kbd", { text: c < 9 ? String(c + 1) : "", "aria-hidden": "true" }),
          el("span", { class: "px-label", text: classText(label) }),
          ...cells(() => [el("span", { class: "px-number" })]),
        ),
      ),
    );
  }

  /** Puts the classes and the runs of a payload into the rail. */
  function fill(meta, numbers) {
    names = meta.runs.map((run) => run.name);
    const wanted = JSON.stringify([meta.classes.map(({ label }) => label), meta.runs.map(({ name, hue }) => [name, hue])]);
    setText(took, tookText(meta.method, meta.seconds));
    // The same rows stay as they are: a finger or a key may be on one.
    if (wanted !== shape) build(meta);
    shape = wanted;
    list.querySelectorAll(".px-class").forEach((row, c) => {
      row.querySelectorAll(".px-number").forEach((cell, k) => setText(cell, formatProbability(meta.runs[k].probabilities?.[c])));
    });
    node.dataset.classes = meta.classes.length > 5 ? "many" : "few";
    const several = meta.runs.length > 1;
    blendRow.hidden = !several;
    swap.hidden = !several;
    groups.scale.hidden = !several;
    npz.hidden = !numbers;
  }

  /** Presses what the state says. */
  function show(state, order, fade) {
    press(list, state.class);
    const row = list.querySelector('[aria-pressed="true"]');
    if (row) {
      // Only the list scrolls, never the page.
      const top = row.offsetTop - list.offsetTop;
      list.scrollTop = Math.min(top, Math.max(list.scrollTop, top + row.offsetHeight - list.clientHeight));
    }
    for (const [key, group] of Object.entries(groups)) press(group, state[key]);
    swap.setAttribute("aria-pressed", String(state.swap));
    labels.setAttribute("aria-pressed", String(state.labels));
    for (const cell of node.querySelectorAll("[data-run]")) cell.style.order = String(1 + order.indexOf(Number(cell.dataset.run)));
    const value = String(Math.round(fade * 100));
    if (blend.value !== value) blend.value = value;
    blend.style.setProperty("--part", `${value}%`);
    const [left, right] = [names[order[0]] ?? "", names[order[1]] ?? ""];
    setText(from, left);
    setText(to, right);
    blend.setAttribute("aria-label", `Blend the evidence of ${right} over the panel of ${left}`);
    blend.setAttribute("aria-valuetext", `${value} percent ${right}`);
  }

  return { node, fill, show };
}
