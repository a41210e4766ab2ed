"""The Look page: one photograph through two trainings."""

import hashlib
import html
import io
from collections import OrderedDict
from typing import Any

import streamlit as st

from explain import ExplainError, photo
from models import ModelError
from ui import runs, samples, warm_up
from ui.viewer.payload import Payload, numbers, payload
from ui.viewer.streamlit import viewer

MOST_KEPT = 6
"""Explained photographs that a visitor's session keeps, so that going back is instant."""


def page() -> None:
    """Draw the page."""
    if not runs.tasks():
        st.error("There are no checkpoints in assets/checkpoints: train a run first, see `python -m training list`.")
        return
    with st.container(horizontal=True, key="toolbar", vertical_alignment="center"):
        st.html('<h1 class="parallax-brand">Parallax</h1>', width="content")
        st.file_uploader(
            "Your photograph", key="upload", on_change=_take, args=("upload",), label_visibility="collapsed"
        )
        with st.popover("Camera", icon=":material/photo_camera:"):
            if st.toggle("Use the camera", key="camera_on"):
                st.camera_input("Take a photograph", key="camera", on_change=_take, args=("camera",))
        task, names = _choose_runs()
        download = st.empty()
        message = st.empty()
    if not warm_up.done.is_set():
        _show(None, "")
        warm_up.done.wait()
        st.rerun()
    shown, picked = _look(task, names, message)
    if shown is None:
        return
    _show(shown[0], picked)
    name = shown[0].meta["photo"]["name"].rsplit(".", 1)[0]
    download.download_button(
        "Numbers",
        shown[1],
        file_name=f"parallax-{name}.npz",
        mime="application/octet-stream",
        on_click="ignore",
        icon=":material/download:",
        help="Logits, probabilities and every map of both runs, as npz",
    )


def _choose_runs() -> tuple[str, list[str]]:
    tasks = runs.tasks()
    with st.popover("Runs", icon=":material/compare:"):
        task = st.selectbox("Task", tasks, format_func=runs.task_title, key="task", bind="query-params")
        names = [name.split("/")[1] for name in runs.runs_of(task)]
        left = st.selectbox("Left", names, 0, key="left", bind="query-params")
        right = st.selectbox("Right", names, min(1, len(names) - 1), key="right", bind="query-params")
    return task, list(dict.fromkeys(f"{task}/{name}" for name in (left, right)))


def _take(widget: str) -> None:
    """One's own photograph: the last one uploaded or taken is the one that is looked at."""
    file = st.session_state.get(widget)
    if file is not None:
        st.session_state["own"] = (file.name if widget == "upload" else "camera", file.getvalue())
        st.query_params.pop("photo", None)


def _pick() -> None:
    st.session_state.pop("own", None)
    st.query_params["photo"] = st.session_state["viewer"]["pick"]


def _look(task: str, names: list[str], message: Any) -> tuple[tuple[Payload, bytes] | None, str]:
    """The explained photograph and, for a sample, its id; what cannot be read leaves the last one standing."""
    name, picked, content = _photograph()
    try:
        found = _explained(name, content, task, names)
        st.session_state["last"] = (name, picked, content)
        return found, picked
    except (ExplainError, ModelError) as error:
        message.html(f'<p role="alert" class="parallax-message">{html.escape(str(error))}</p>')
        st.session_state.pop("own", None)
    name, picked, content = st.session_state.get("last") or _sample("")
    try:
        return _explained(name, content, task, names), picked
    except (ExplainError, ModelError):
        return None, picked


def _photograph() -> tuple[str, str, bytes]:
    """Name, id (empty for one's own) and content of the photograph to look at."""
    if "own" in st.session_state:
        name, content = st.session_state["own"]
        return name, "", content
    return _sample(st.query_params.get("photo", ""))


def _sample(asked: str) -> tuple[str, str, bytes]:
    known = {sample.id: sample for sample in samples.samples()}
    sample = known.get(asked) or samples.samples()[0]
    return sample.label, sample.id, sample.path.read_bytes()


def _explained(name: str, content: bytes, task: str, names: list[str]) -> tuple[Payload, bytes]:
    kept: OrderedDict[str, tuple[Payload, bytes]] = st.session_state.setdefault("kept", OrderedDict())
    key = "|".join([hashlib.sha256(content).hexdigest(), name, *names])
    if key not in kept:
        picture = photo.read(io.BytesIO(content))
        found = runs.explain(picture, names)
        titles = {run: runs.title(run) for run in names}
        kept[key] = payload(name, picture.size, found, titles, task), numbers(found)
        if len(kept) > MOST_KEPT:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return kept[key]


def _show(shown: Payload | None, picked: str) -> None:
    blobs = list(shown.blobs) if shown else []
    strip = []
    for sample in samples.samples():
        small = samples.thumbnail(sample)
        if small is not None:
            strip.append({"id": sample.id, "label": sample.label, "blob": len(blobs)})
            blobs.append(small)
    meta = dict(shown.meta) if shown else {"key": "", "busy": "Loading the two networks"}
    viewer(meta | {"samples": strip, "picked": picked}, blobs, on_pick=_pick)


page()
