"""The runs that pages show, loaded once for everybody and bounded in number."""

import gc
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Condition
from typing import Any

import numpy as np
from cachetools import LRUCache, TTLCache, cached
from PIL import Image

import models
from explain import Explainer, ExplainError, Explanation, photo
from models import ModelError
from models.card import Card

MOST_LOADED = 6
"""Networks kept in memory; the one longest unused makes room."""
MOST_CLASSES = 10
"""Classes that maps are made for: the most probable ones of the runs together."""


@cached(TTLCache(1, ttl=60), condition=Condition())
def cards() -> dict[str, Card]:
    """The cards of all runs, by name; a damaged one is left out."""
    found = {}
    for name in models.names():
        try:
            found[name] = Card.read(models.CHECKPOINTS / name / "card.json")
        except models.ModelError:
            continue
    return found


def tasks() -> list[str]:
    """Tasks that have runs, cats-vs-dogs first."""
    return sorted({card.task for card in cards().values()}, key=lambda task: (task != "cats_vs_dogs", task))


def runs_of(task: str) -> list[str]:
    """A task's runs, SGD first, the pair on an equal footing before other seeds and settings."""
    names = [name for name, card in cards().items() if card.task == task]
    return sorted(names, key=lambda name: (name.count("-"), "sgd" not in name, name))


def title(name: str) -> str:
    """What a run is called on the page: `SGD`, `Adam`, `Adam seed 1`."""
    optimizer, *rest = name.split("/")[1].split("-")
    words = [{"sgd": "SGD", "adam": "Adam"}.get(optimizer, optimizer), *rest]
    return " ".join(words).replace("seed", "seed ")


def task_title(task: str) -> str:
    """What a task is called on the page."""
    return {"cats_vs_dogs": "Cats and dogs", "food101": "Food-101", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}.get(
        task, task
    )


def _view(card: Card) -> dict[str, Any]:
    """How a run's photographs become squares: arguments of Explainer and of photo.see."""
    return {"fit": card.preprocessing.get("fit", "crop"), "source_size": card.preprocessing.get("source_size")}


@cached(LRUCache(MOST_LOADED), condition=Condition())
def explainer(name: str) -> Explainer:
    """A run ready to explain.

    Raises:
        ModelError, ExplainError: if the run is missing, damaged, or cannot be explained.
    """
    run = models.load(name)
    found = Explainer(run.model, labels=run.labels, threads=1, **_view(run.card))
    # The very calls that a page makes, so that what they need is compiled already.
    blank = np.zeros((found.size, found.size, 3), np.uint8)
    found(blank, targets=range(min(len(found.labels), MOST_CLASSES)), keep=True)
    if len(found.labels) > MOST_CLASSES:
        found.probabilities(blank)
    gc.collect()
    return found


_tried: set[str] = set()


def tried(names: list[str]) -> bool:
    """Whether somebody has asked for these runs before, so that they need no more loading."""
    return _tried.issuperset(names)


def usable(names: list[str]) -> tuple[list[str], list[str]]:
    """The runs that can be shown side by side, and a sentence about each that cannot.

    The first that loads sets the measure: maps lie side by side only for one architecture, one size and one list of
    classes.
    """
    fit: list[str] = []
    sentences = []
    _tried.update(names)
    for name in dict.fromkeys(names):
        try:
            explainer(name)
        except (ExplainError, ModelError) as error:
            sentences.append(f"{title(name)} cannot be shown. {error}")
            continue
        if fit and _measure(cards()[name]) != _measure(cards()[fit[0]]):
            sentences.append(f"{title(name)} is another network than {title(fit[0])}, or one of other classes.")
            continue
        fit.append(name)
    return fit, sentences


def _measure(card: Card) -> tuple[Any, ...]:
    return card.architecture, card.input_size, card.labels


def read(content: bytes, name: str) -> Image.Image:
    """A photograph from the bytes of a file.

    Raises:
        PhotoError: if it cannot be read; the message names the file.
    """
    file = io.BytesIO(content)
    file.name = name
    # Without the file's notes: turned upright already, it must not be turned again by its EXIF.
    return Image.fromarray(np.asarray(photo.read(file)))


def seen(picture: Image.Image, name: str) -> np.ndarray:
    """What a run's network will see of a photograph, (S, S, 3) uint8; needs its card alone."""
    card = cards()[name]
    return photo.see(picture, card.input_size, **_view(card))


def explain(
    picture: Image.Image,
    names: list[str],
    targets: Sequence[str | int] | None = None,
    method: str = "grad_cam",
) -> dict[str, Explanation]:
    """Explain a photograph by several usable runs of one task, for the same classes, side by side.

    Args:
        picture: from `explain.photo.read`.
        names: runs that `usable` gave.
        targets: labels or their numbers; by default the most probable ones of the runs together.
        method: the name of a formula, see `explain.formulas.FORMULAS`.

    Raises:
        TargetError: if a target is not one of the labels.
    """
    explainers = {name: explainer(name) for name in names}
    labels = explainers[names[0]].labels
    if targets is None:
        targets = list(range(len(labels)))
        if len(labels) > MOST_CLASSES:
            best = np.max([one.probabilities(picture) for one in explainers.values()], axis=0)
            targets = np.argsort(-best)[:MOST_CLASSES].tolist()
    with ThreadPoolExecutor(len(names)) as pool:
        found = pool.map(lambda one: one(picture, targets, [method], keep=True), explainers.values())
        return dict(zip(names, found, strict=True))
