"""The page: a photograph through two trainings. The server keeps nothing of it: each question brings all it needs."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from api import MOST_BYTES

from explain import ExplainError, PhotoError
from models import ModelError
from ui import runs, samples, warm_up
from ui.noted import noted
from ui.viewer.gradio import packed, viewer
from ui.viewer.payload import Payload, numbers, payload, preview

HERE = Path(__file__).parent
MARK = HERE / "ui" / "parallax.svg"
LOADING = "Loading the two networks"


@dataclass(frozen=True)
class Question:
    """What a page asks.

    Attributes:
        turn: its number, that the answer carries too.
        name, content: the photograph's name and file.
        sample: the id of a photograph at hand; empty for one's own.
        names: the runs.
        numbers: whether the numbers are wanted, as npz, and nothing to look at.
    """

    turn: int
    name: str
    content: bytes
    sample: str
    names: list[str]
    numbers: bool


def page(pair: list[str]) -> gr.HTML:
    """The page, with the first sample on it that can be read, and no evidence yet."""
    about = {
        "turn": 0,
        "cap": MOST_BYTES,
        "pair": pair,
        "runs": [
            {"id": name, "name": runs.title(name), "task": runs.task_title(task)}
            for task in runs.tasks()
            for name in runs.runs_of(task)
        ],
    }
    value = about | _answer(Payload.of({"key": "", "runs": []}, []), "", LOADING)
    for sample in samples.opening(pair[0].split("/")[0] if pair else ""):
        if pair and samples.thumbnail(sample) is not None:
            question = Question(0, sample.label, sample.path.read_bytes(), sample.id, pair, False)
            value = about | _answer(_preview(question), sample.id, LOADING)
            break
    html, style, script = ((HERE / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    mark = base64.b64encode(MARK.read_bytes()).decode()
    return viewer(value, html.replace("PARALLAX_MARK", f"data:image/svg+xml;base64,{mark}"), style, script)


def look(event: gr.EventData) -> Iterator[dict[str, Any]]:
    """Answer a question of the page: the photograph at once where networks are still loading, then the evidence."""
    try:
        question = _understood(event._data)
    except PhotoError as error:
        turn = event._data.get("turn") if isinstance(event._data, dict) else None
        yield {"turn": turn, "said": [str(error)]}
        return
    try:
        for answer in _look(question):
            yield {"turn": question.turn} | answer
    except (ExplainError, ModelError) as error:
        yield {"turn": question.turn, "said": [str(error)]}
    except Exception as error:
        yield {"turn": question.turn, "said": [noted(error)]}


def _look(question: Question) -> Iterator[dict[str, Any]]:
    picture = runs.read(question.content, question.name)
    if not (warm_up.over() and runs.at_hand(question.names)):
        yield _answer(_preview(question), question.sample, LOADING)
        warm_up.wait()
    fit, sentences = runs.usable(question.names)
    if not fit:
        yield {"said": sentences}
        return
    found = runs.explain(picture, fit)
    if question.numbers:
        yield {"numbers": base64.b64encode(numbers(found)).decode()}
        return
    titles = {name: runs.title(name) for name in fit}
    shown = payload(question.name, picture.info["full_size"], found, titles, runs.source_size(fit[0]))
    yield _answer(shown, question.sample, "") | {"said": sentences}


def _understood(asked: Any) -> Question:
    """A question as it came over the network, from whomever.

    Raises:
        PhotoError: if it is none, or its photograph is too large.
    """
    try:
        turn, names, sample = int(asked["turn"]), [str(name) for name in asked["runs"]], str(asked.get("sample", ""))
        known = {one.id: one for one in samples.samples()}
        if not 0 < len(names) <= 2 or not set(names) <= set(runs.cards()) or (sample and sample not in known):
            raise ValueError(asked)
        if sample:
            content = known[sample].path.read_bytes() if known[sample].path.is_file() else b""
            name = known[sample].label
        else:
            content, name = base64.b64decode(asked["content"], validate=True), str(asked["name"])
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
        raise PhotoError("The page asked for something that is not here: reload it.") from None
    if len(content) > MOST_BYTES:
        raise PhotoError(f"The file has more than {MOST_BYTES // 1_000_000} MB: make it smaller first.")
    return Question(turn, name, content, sample, list(dict.fromkeys(names)), bool(asked.get("numbers")))


def _preview(question: Question) -> Payload:
    picture = runs.read(question.content, question.name)
    first = question.names[0]
    return preview(question.name, picture.info["full_size"], runs.seen(picture, first), runs.source_size(first))


def _answer(shown: Payload, sample: str, busy: str) -> dict[str, Any]:
    strip, small = samples.strip(len(shown.blobs))
    return packed(shown.meta | {"samples": strip, "picked": sample, "busy": busy}, shown.blobs + small)
