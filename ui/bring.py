"""Bring your own: a Keras file or a repository on the Hub, beside the runs that are here."""

import html
import os
from typing import Any

import streamlit as st

from explain import ExplainError
from models import ModelError
from ui import frame, guests, runs, uploads

SETTING = "PARALLAX_BRING"
"""The environment variable that lets visitors bring models (1, as at home) or not (0, as where anybody may come)."""
MOST_MEGABYTES = 200
"""Of a file; EfficientNet-B3 with the state of its optimizer has 150."""
IDEA = "It is checked on photographs first, runs no code of its own, and is gone when this page closes."
MOST_KEPT = 2
"""Models that a visitor keeps: one for each side."""


def allowed() -> bool:
    """Whether visitors may bring models."""
    return os.environ.get(SETTING, "1") != "0"


def kept() -> dict[str, runs.Guest]:
    """The visitor's own models by name, the oldest first."""
    return st.session_state.setdefault("guests", {})


def title(name: str) -> str:
    """What the choice of runs calls one, as the rest of the page does."""
    return runs.title(name if name in runs.guests else f"task/{name}")


def full_name(task: str, name: str) -> str:
    """What the choice of runs gives, as `ui.runs` takes it."""
    return name if name in kept() else f"{task}/{name}"


def offer() -> None:
    """Draw the ways to bring a model, take in what was brought, and say what there is to say of it.

    Draws nothing where it is not allowed. A new model is then chosen on the right, and on the left too where it cannot
    stand beside what is there: so the choice of runs must be drawn after this.
    """
    if not allowed():
        return
    turn = st.session_state.setdefault("guest_turn", 0)
    with st.popover("Bring", icon=":material/add:"), st.container(key="bring"):
        st.file_uploader(
            "A Keras file of your own",
            type="keras",
            key=f"guest_file_{turn}",
            on_change=_take_file,
            args=(turn,),
            max_upload_size=MOST_MEGABYTES,
        )
        st.text_input(
            "or a model on the Hub",
            key=f"guest_hub_{turn}",
            on_change=_take_name,
            args=(turn,),
            placeholder="hf://user/repo@revision",
        )
        place = st.empty()
        if "brought" in st.session_state:
            try:
                st.session_state["guest_report"] = _take_in(place, *st.session_state["brought"])
            except Exception:
                del st.session_state["brought"]
                raise
            # Not before: a click meanwhile ends this run of the page, and the next has to take it in.
            del st.session_state["brought"]
        _say(place, *st.session_state.get("guest_report", (IDEA, ())))


def _take_file(turn: int) -> None:
    file = st.session_state.get(f"guest_file_{turn}")
    # The browser may report the field of the last model once more after that has gone.
    if file is not None and turn == st.session_state["guest_turn"]:
        _begin(file.name, guests.from_file, uploads.take(file), file.name)
        # Another field, an empty one.
        st.session_state["guest_turn"] = turn + 1


def _take_name(turn: int) -> None:
    name = st.session_state.get(f"guest_hub_{turn}", "").strip()
    if name:
        source = name if name.startswith("hf://") else f"hf://{name}"
        _begin(source, guests.from_hub, source)


def _begin(source: str, take: Any, *what: Any) -> None:
    # Written over, another that is on its way would be kept until the page has run.
    st.session_state.pop("brought", None)
    st.session_state["brought"] = (source, guests.Arrival(take, *what))


def _take_in(place: Any, source: str, arrival: guests.Arrival) -> tuple[str, tuple[str, ...]]:
    """What there is to say of it: a headline, and a sentence for each remark or reason."""

    def progress(done: float, doing: str) -> None:
        place.progress(done, text=doing)

    try:
        name, guest = arrival.wait(progress)
    except guests.GuestError as error:
        return f"{source} is not shown.", error.reasons
    taken = {other.title for other in kept().values()}
    taken |= {called for run in runs.cards() for called in (run.split("/")[1], runs.title(run))}
    # The choice of runs knows models by their titles.
    guest.title = next(one for one in (guest.title, *(f"{guest.title} {n}" for n in range(2, 9))) if one not in taken)
    kept()[name] = guest
    frame.write("right", guest.title)
    left = st.session_state["left"]
    beside = full_name(st.session_state["task"], left)
    why = _unlike(name, beside)
    if why:
        frame.write("left", guest.title)
        left = name
    for old in [other for other in kept() if other not in (name, left)][: len(kept()) - MOST_KEPT]:
        del kept()[old]
    return f"{guest.title} is shown {f'alone: {why}' if why else 'on the right'}.", guest.remarks


def _unlike(name: str, beside: str) -> str:
    try:
        why = runs.unlike(name, beside)
    except (ExplainError, ModelError):
        return f"{runs.title(beside)} cannot be shown"
    return why and f"it {why}"


def _say(place: Any, headline: str, sentences: tuple[str, ...]) -> None:
    points = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    text = f"<p>{html.escape(headline)}</p>" + (f"<ul>{points}</ul>" if points else "")
    place.html(f'<div role="status" class="parallax-report">{text}</div>')
