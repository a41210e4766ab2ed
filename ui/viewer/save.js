// What a person takes along: the picture of a layer with its words, and the numbers behind it.
import { compose } from "./compose.js";
import { verdictOf } from "./panels.js";
import { TEXT, blankText, classText, fileName, formatNumber, formatSigned } from "./words.js";

/**
 * Saves what the panels show as a PNG. `shown`: {scene, state, index (of the layer), order (of the runs),
 * agreement (of the layer, if any), readAt(run) (whose numbers its panel has), mix(run) (a text or null), key(run) (a
 * canvas), draw(canvas, run), look (as `compose` takes it)}.
 */
export async function savePicture({ scene, state, index, order, agreement, readAt, mix, key, draw, look }) {
  const { layers, runs, photo, method } = scene.meta;
  const { show, scale, class: label } = state;
  const { signed } = scene.view;
  const layer = layers[index];
  const panels = order.map((run) => {
    const { shown, full, blank } = scene.reading(readAt(run), index);
    const blended = mix(run);
    const seen = { title: runs[run].name, verdict: verdictOf(runs[run]).join(" "), draw: (canvas) => draw(canvas, run) };
    // As on the page: a key to nothing would only puzzle.
    if (blank && !blended) return { ...seen, caption: blankText(label, layer.name, { signed }) };
    return {
      ...seen,
      caption: `${TEXT[signed ? "strength" : "strengthFor"]} ${formatNumber(shown)}${blended ? ` (${blended})` : ""}`,
      key: key(run),
      ends: [signed ? formatNumber(-full) : "0", formatNumber(full)],
    };
  });
  const drawSeen = (canvas) => scene.drawSeen(canvas, null, layer);
  panels.unshift({ title: photo.name, verdict: "", caption: TEXT.seen, draw: drawSeen });
  const words = [
    ...(method ? [method] : []),
    `Evidence for ${classText(label)} at layer ${layer.name}`,
    `${layer.shape[0]} \u00d7 ${layer.shape[1]} ${TEXT.cells}`,
    TEXT[show],
    TEXT[scale],
    ...(agreement === undefined ? [] : [`${TEXT.agreement} ${formatSigned(agreement, 2)}`]),
  ];
  const canvas = compose(panels, words.join(" \u00b7 "), look);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  saveFile(blob, fileName([photo.name, layer.name, label], "png"));
}

/** Hands bytes to the person as a file. */
export function saveFile(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
