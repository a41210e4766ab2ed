"""What it takes to show a photograph, made when it is a visitor's turn and kept for as long as it may be."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

import streamlit as st
from cachetools import LRUCache

from ui import runs
from ui.turns import Turns
from ui.viewer.payload import Payload, numbers, payload, preview

MOST_MEGABYTES = 20
"""Of a photograph."""
MOST_KEPT = 3
"""Explained photographs that a visitor's session keeps, so that going back is instant; samples are kept for all."""
MOST_SHARED = 24
"""Explained samples kept for everybody, so that a room that opens the page at once waits for one explanation."""
TURNS = Turns(os.cpu_count() or 1)


@dataclass(frozen=True)
class Photograph:
    """A photograph to look at.

    Attributes:
        name: what the page calls it.
        sample: its id in the address; empty for one's own, which no address names.
        content: the file.
    """

    name: str
    sample: str
    content: bytes


@dataclass(frozen=True)
class Shown:
    """What one photograph needs to be on the page.

    Attributes:
        payload: for the viewer.
        numbers: the npz that can be downloaded; empty while networks load.
    """

    payload: Payload
    numbers: bytes


_shared: LRUCache[tuple[str, ...], Shown] = LRUCache(MOST_SHARED)
_lock = Lock()


def early(photograph: Photograph, run: str) -> Shown:
    """The photograph alone, as a run's network will see it.

    Raises:
        PhotoError: if it cannot be read.
    """
    picture = runs.read(photograph.content, photograph.name)
    size, seen = picture.info["full_size"], runs.seen(picture, run)
    return Shown(preview(photograph.name, size, seen, runs.source_size(run)), b"")


def explained(
    photograph: Photograph, names: list[str], method: str, also: str, say: Callable[[int, int], None]
) -> Shown:
    """The photograph with the evidence of usable runs by a formula.

    Args:
        also: a label that is explained however probable it is, see `runs.explain`.
        say: told the place in the queue and its length, see `Turns.turn`.

    Raises:
        ExplainError: if it cannot be read or explained.
    """
    key = (hashlib.sha256(photograph.content).hexdigest(), photograph.name, method, also, *names)
    own: LRUCache[tuple[str, ...], Shown] = st.session_state.setdefault("kept", LRUCache(MOST_KEPT))
    # One's own photograph, and one's own model, are nobody else's.
    kept = _shared if photograph.sample and not any(name in runs.guests for name in names) else own

    def look_up() -> Shown | None:
        with _lock:
            return kept.get(key)

    found = look_up()
    if found is None:
        with TURNS.turn(say):
            # Somebody before may have asked for the same sample.
            found = look_up() or _made(photograph, names, method, also)
        with _lock:
            kept[key] = found
    return found


def _made(photograph: Photograph, names: list[str], method: str, also: str) -> Shown:
    picture = runs.read(photograph.content, photograph.name)
    found = runs.explain(picture, names, method=method, also=also)
    titles = {run: runs.title(run) for run in names}
    sent = payload(photograph.name, picture.info["full_size"], found, titles, runs.source_size(names[0]))
    return Shown(sent, numbers(found))
