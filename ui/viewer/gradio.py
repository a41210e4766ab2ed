"""The viewer as a Gradio component, inside of a page's own HTML."""

import base64
import json
import re
from typing import Any

import gradio as gr

from ui.viewer import bundle

ADAPTER = """
// In a shadow root no style of Gradio's reaches the viewer.
const root = element.querySelector(".parallax-viewer").attachShadow({ mode: "open" });
const sheet = new CSSStyleSheet();
sheet.replaceSync(STYLE);
root.adoptedStyleSheets = [sheet];
let view;
watchHash((hash) => view?.update({ state: decodeState(hash) }));

function unpack(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** Mounts the viewer, or gives it something new; `on` as in viewer.js. */
function show({ meta, blobs }, on) {
  const telling = { state: (_, hash) => writeHash(hash), ...on };
  view = mount(root, { meta, blobs: blobs.map(unpack), state: decodeState(), on: telling });
}
"""


def viewer(value: dict[str, Any], html: str, style: str, script: str) -> gr.HTML:
    """The viewer, and a page around it.

    Args:
        value: what is there at first, see `packed`.
        html: the page; the viewer fills its element of class `parallax-viewer`.
        style: its style sheet, scoped to the component.
        script: runs once, with Gradio's `element`, `props`, `trigger` and `watch` and the adapter's `show` and `view`.
            What it triggers as `submit` is the page's question; what comes back is `props.value`.
    """
    # Gradio runs one function body, not a module.
    modules = re.sub(r"^export ", "", bundle.script(), flags=re.MULTILINE)
    style_sheet = f"const STYLE = {json.dumps(bundle.style())};"
    # In blocks of their own, adapter and page may use names that a module has for itself.
    parts = ['"use strict";', modules, "{", style_sheet, ADAPTER, "{", script, "}", "}"]
    return gr.HTML(
        value,  # type: ignore[arg-type]
        html_template=html,
        css_template=style,
        js_on_load="\n".join(parts),
        apply_default_css=False,
    )


def packed(meta: dict[str, Any], blobs: list[bytes]) -> dict[str, Any]:
    """A payload for the script's `show`: as JSON, for that is all that an HTML component's value can be."""
    return {"meta": meta, "blobs": [base64.b64encode(blob).decode() for blob in blobs]}
