"""The Look page: one photograph through two trainings."""

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import streamlit as st

from explain import ExplainError
from explain.formulas import FORMULAS
from explain.methods import DEFAULT, title
from ui import bring, frame, photographs, runs, samples, uploads, warm_up
from ui.shown import MOST_MEGABYTES, Photograph, Shown, early, explained
from ui.viewer.payload import Payload
from ui.viewer.streamlit import viewer

LOADING = "Loading the two networks"
PASSING = "parallax-message parallax-passing"
"""The style of what is said of one moment, not of what is shown."""


def page() -> None:
    """Draw the page."""
    if not runs.tasks():
        st.error(runs.NONE)
        return
    with frame.toolbar():
        _offer_photograph()
        task, names = _choose_runs()
        method = _choose_method()
        download = st.empty()
        message, passing = st.empty(), st.empty()
    # What was just waited for may have given way to another visitor's runs already: then it is loaded while this waits.
    waited = st.session_state.pop("waited_for", None) == names
    ready = warm_up.over() and (waited or runs.at_hand(names))
    usable, unusable = runs.usable(names) if ready else ([], [])
    # Without networks there is still the photograph as they will see it.
    photograph, shown, refused = _look(task, usable, names[0], method, passing)
    _say(message, unusable)
    _say(passing, [*st.session_state["strange"], refused], PASSING)
    if ready:
        st.session_state["strange"] = []
    _download(download, photograph, shown)
    _show(photograph, shown, "" if ready else LOADING)
    if not ready:
        warm_up.wait()
        runs.usable(names)
        st.session_state["waited_for"] = names
        st.rerun()


# -- What is looked at ---------------------------------------------------------------------------------------


def _offer_photograph() -> None:
    st.session_state.setdefault("turn", 0)
    upload, camera = _field("upload"), _field("camera")
    with st.container(key="upload", width="content"):
        st.file_uploader(
            "Your photograph",
            key=upload,
            on_change=_take,
            args=("upload", upload),
            label_visibility="collapsed",
            max_upload_size=MOST_MEGABYTES,
        )
    with st.popover("Camera", icon=":material/photo_camera:", key="camera_open", on_change="rerun") as panel:
        # Open means asked for; closed, the camera is off.
        if panel.open:
            st.camera_input(
                "Take a photograph",
                key=camera,
                on_change=_take,
                args=("camera", camera),
                label_visibility="collapsed",
                width=400,
            )


def _field(kind: str) -> str:
    """A widget's key, another one for each photograph: so it is empty again."""
    return f"{kind}-{st.session_state['turn']}"


def _take(kind: str, field: str) -> None:
    file = st.session_state.get(field)
    # The browser may report the field of the last photograph once more after that has gone.
    if file is None or field != _field(kind):
        return
    st.session_state["offered"] = Photograph("camera" if kind == "camera" else file.name, "", uploads.take(file))
    st.session_state["turn"] += 1
    if kind == "camera":
        st.session_state["camera_open"] = False


def _pick() -> None:
    st.query_params["photo"] = st.session_state["viewer"]["pick"]
    _forget("class")
    st.session_state.pop("offered", None)
    st.session_state["turn"] += 1


def _forget(*words: str) -> None:
    for word in words:
        st.query_params.pop(word, None)


def _look(
    task: str, names: list[str], first: str, method: str, place: Any
) -> tuple[Photograph | None, Shown | None, str]:
    """The first photograph that can be read, what it needs to be shown, and why a better one was refused."""

    def say(number: int, length: int) -> None:
        # Writing is also where Streamlit ends the run of somebody who has gone, or wants something else by now.
        place.html(f'<p role="status" class="{PASSING}">Number {number} of {length} in the queue</p>')

    refused = ""
    asked = st.query_params.get("photo") or None
    for photograph in _photographs(task):
        # An address that names a photograph may name a class that is asked of it, and of no other.
        meant = asked in (None, photograph.sample)
        also = st.query_params.get("class", "") if photograph.sample and meant else ""
        try:
            shown = explained(photograph, names, method, also, say) if names else early(photograph, first)
        except ExplainError as error:
            refused = refused or str(error)
            continue
        if not meant and photograph is not st.session_state.get("offered"):
            refused = refused or f"The photograph that the address names is not here: this is {photograph.name}."
            if names:
                _forget("photo", "class")
        st.session_state.pop("offered", None)
        if not photograph.sample:
            st.session_state["own"] = photograph
            _forget("photo", "class")
        st.session_state["last"] = photograph
        return photograph, shown, refused
    return None, None, refused


def _photographs(task: str) -> Iterator[Photograph]:
    """What to look at, best first: a new one of one's own, what the address names, the last one, any sample."""
    offered = st.session_state.get("offered")
    if offered is not None:
        # Not taken out before: another choice made while it waits for its turn must not lose it.
        yield offered
        st.session_state.pop("offered", None)
    asked = st.query_params.get("photo")
    known = {sample.id: sample for sample in samples.samples()}
    if asked in known:
        yield _sample(known[asked])
    elif asked and (found := photographs.find(asked)) is not None:
        yield Photograph(found[0], asked, found[1])
    elif "own" in st.session_state:
        yield st.session_state["own"]
    if "last" in st.session_state:
        yield st.session_state["last"]
    for sample in samples.opening(task):
        yield _sample(sample)


def _sample(sample: samples.Sample) -> Photograph:
    content = sample.path.read_bytes() if sample.path.is_file() else b""
    return Photograph(sample.label, sample.id, content)


def _choose_runs() -> tuple[str, list[str]]:
    choice = st.popover("Runs", icon=":material/compare:")
    bring.offer()
    with choice:
        task = frame.choose_task(label_visibility="visible", width="stretch")
        names = [name.split("/")[1] for name in runs.runs_of(task)] + list(bring.kept())
        _keep_both()
        st.session_state.setdefault("strange", _strange(names))
        left = frame.choose("left", "Left", names, named=bring.title)
        right = frame.choose("right", "Right", names, min(1, len(names) - 1), named=bring.title)
        st.session_state["sides"] = {"left": left, "right": right}
    return task, list(dict.fromkeys(bring.full_name(task, name) for name in (left, right)))


def _strange(names: list[str]) -> list[str]:
    """A sentence about each run that the address names and that is not here."""
    known = {*names, *map(bring.title, names)}
    asked = dict.fromkeys(st.query_params.get(side, "") for side in ("left", "right"))
    again = " A model of your own has to be brought again." if bring.allowed() else ""
    return [f"The run that the address names is not here: {run}.{again}" for run in asked if run and run not in known]


def _keep_both() -> None:
    """Who chooses for one side the run of the other changes the two: one of them alone is nothing to compare."""
    before: dict[str, str] = st.session_state.get("sides", {})
    now = {side: st.session_state.get(side) for side in before}
    changed = [side for side in before if now[side] != before[side]]
    if len(changed) == 1 and now["left"] == now["right"]:
        other = "left" if changed == ["right"] else "right"
        frame.write(other, bring.title(before[changed[0]]))


def _choose_method() -> str:
    """One of the formulas that cost no more than a pass."""
    names = list(FORMULAS)
    return frame.choose("method", "Method", names, names.index(DEFAULT), title, label_visibility="collapsed", width=160)


# -- What is drawn -------------------------------------------------------------------------------------------


def _say(place: Any, sentences: list[str], kind: str = "parallax-message") -> None:
    text = " ".join(html.escape(sentence) for sentence in sentences if sentence)
    if text:
        # The turn tells the page that the same was said once more, of the next file.
        turn = st.session_state["turn"]
        place.html(f'<p role="alert" class="{kind}" data-turn="{turn}">{text}</p>')
    else:
        place.empty()


def _download(place: Any, photograph: Photograph | None, shown: Shown | None) -> None:
    content = shown.numbers if shown else b""
    place.download_button(
        "Numbers",
        content,
        file_name=f"parallax-{Path(photograph.name).stem if photograph else ''}.npz",
        mime="application/octet-stream",
        on_click="ignore",
        icon=":material/download:",
        help="Logits, probabilities and every map of both runs, as npz",
        disabled=not content,
    )


def _show(photograph: Photograph | None, shown: Shown | None, busy: str) -> None:
    payload = shown.payload if shown else Payload.of({"key": "", "runs": []}, [])
    strip, small = samples.strip(len(payload.blobs))
    # The turn makes the answer to a click differ from what was there, even where the same photograph stays.
    about = {"samples": strip, "picked": photograph.sample if photograph else "", "turn": st.session_state["turn"]}
    viewer(payload, about | {"busy": busy}, small, on_pick=_pick)


page()
