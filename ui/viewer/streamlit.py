"""The viewer as a Streamlit component."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import streamlit as st

from ui.viewer import bundle
from ui.viewer.payload import Payload

# Streamlit calls the default export again whenever data or theme change; mounting again updates what is there.
ADAPTER = """
let view;
let tell;
let address;
watchHash((hash) => view?.update({ state: decodeState(hash) }));

// A server that was started again knows nothing of this page, and Streamlit would wait for a click; a photograph that
// is given then would be lost, for its field is not one of the new server's.
const app = document.querySelector("[data-test-connection-state]");
let connection = app?.dataset.testConnectionState;
if (app) new MutationObserver(() => {
  const before = connection;
  connection = app.dataset.testConnectionState;
  if (connection === "CONNECTED" && before !== "CONNECTED") tell?.("back", true);
}).observe(app, { attributes: true, attributeFilter: ["data-test-connection-state"] });

export default function ({ data, parentElement, setTriggerValue }) {
  tell = setTriggerValue;
  const column = data.blobs.getChild("blob");
  const blobs = Array.from({ length: column.length }, (_, index) => column.get(index));
  const meta = { ...JSON.parse(new TextDecoder().decode(blobs.pop())), ...data.about };
  const pick = (id) => {
    view.update({ meta: { busy: "Looking at the photograph", picked: id } });
    setTriggerValue("pick", id);
  };
  address ??= keepHash();
  const on = { state: (_, hash) => address.write(hash), pick };
  const mounted = (view = mount(parentElement, { meta, blobs, state: decodeState(address.read()), on }));
  // Streamlit calls this also where newer data has overtaken these.
  return () => parentElement.isConnected || mounted.destroy();
}
"""

_component = st.components.v2.component("parallax_viewer", js=bundle.script() + ADAPTER, css=bundle.style())


def viewer(payload: Payload, about: dict[str, Any], blobs: list[bytes], on_pick: Callable[[], None]) -> Any:
    """Mount the viewer, or send it something new; the same `payload.meta["key"]` is not drawn again.

    Args:
        payload: see viewer.js; a photograph without runs is shown alone.
        about: what changes from one run of the page to the next, on top of the payload's description.
        blobs: what `about` points to, counted on from the payload's.
        on_pick: called after a sample was picked; its id is then in the result's `pick`.
    """
    # Only a first-level table carries bytes; anything nested would arrive as text. The description is one of them,
    # for Streamlit would write, read and write again what is given as JSON, at each run of the page.
    table = pa.table({"blob": pa.array([*payload.blobs, *blobs, payload.description], pa.binary())})
    # Coming back needs nothing but the run of the page that it causes.
    return _component(
        key="viewer", data={"blobs": table, "about": about}, on_pick_change=on_pick, on_back_change=lambda: None
    )
