"""The charts as Streamlit components."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import streamlit as st

from ui.viewer import bundle

HERE = Path(__file__).parent
STYLE = bundle.style() + (HERE / "charts.css").read_text(encoding="utf-8")

CURVES = """
let view;
watchHash((hash) => view?.update({ state: readCurves(hash) }));

export default function ({ data, parentElement }) {
  view = mountCurves(parentElement, { meta: data, state: readCurves(), on: { state: writeHash } });
}
"""

ERRORS = """
let view;
watchHash((hash) => view?.update({ state: readErrors(hash) }));

export default function ({ data, parentElement }) {
  const column = data.blobs.getChild("blob");
  const blobs = Array.from({ length: column.length }, (_, index) => column.get(index));
  view = mountErrors(parentElement, { meta: data.meta, blobs, state: readErrors(), on: { state: writeHash } });
}
"""

_curves = st.components.v2.component("parallax_curves", js=bundle.script(HERE / "curves.js") + CURVES, css=STYLE)


def curves(meta: dict[str, Any]) -> None:
    """Mount the curves of a task's runs; `meta` as in curves.js."""
    _curves(key=f"curves-{meta['task']}", data=meta)


_errors = st.components.v2.component("parallax_errors", js=bundle.script(HERE / "errors.js") + ERRORS, css=STYLE)


def errors(meta: dict[str, Any], blobs: list[bytes]) -> None:
    """Mount the errors of a task's pair of runs; `meta` and `blobs` as in errors.js."""
    # Only a first-level table carries bytes; anything nested would arrive as text.
    table = pa.table({"blob": pa.array(blobs, pa.binary())})
    _errors(key=f"errors-{meta['task']}", data={"blobs": table, "meta": meta})
