"""The runs that pages show, loaded once for everybody and bounded in number."""

import gc
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Condition
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from cachetools import LRUCache, TTLCache, cached
from PIL import Image

import models
from explain import Explainer, ExplainError, Explanation, photo, remember
from explain.compiled import Graphs
from explain.methods import DEFAULT
from models import ModelError
from models.card import Card

NONE = "There are no checkpoints in assets/checkpoints: train a run first, see `python -m training list`."
"""What a page says where there is no run."""
MOST_LOADED = 6
"""Networks kept in memory; the one longest unused makes room."""
MOST_CLASSES = 10
"""Classes that maps are made for: the most probable ones of the runs together."""


@dataclass(eq=False)
class Guest:
    """A model that a visitor has brought, see `ui.guests`.

    Attributes:
        title: what the page calls it.
        card: what is known about it.
        explainer: ready to explain.
        weights: how many it has.
        labelled: whether its classes have names of their own, or are only numbered.
        remarks: sentences that its visitor should know.
    """

    title: str
    card: Card
    explainer: Explainer
    weights: int
    labelled: bool
    remarks: tuple[str, ...] = ()


guests: WeakValueDictionary[str, Guest] = WeakValueDictionary()
"""The models of all visitors by name, for as long as their visitors keep them."""


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
    """What a run is called on the page: `SGD`, `Adam seed 1`, `CNN3`; a guest as its visitor calls it."""
    if name in guests:
        return guests[name].title
    first, *rest = name.split("/")[1].split("-")
    called = {"sgd": "SGD", "adam": "Adam", "cnn1": "CNN1", "cnn2": "CNN2", "cnn3": "CNN3"}
    words = [called.get(first, first), *rest]
    return " ".join(words).replace("seed", "seed ")


def task_title(task: str) -> str:
    """What a task is called on the page."""
    return {"cats_vs_dogs": "Cats and dogs", "food101": "Food-101", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}.get(
        task, task
    )


def called(name: str, beside: str) -> str:
    """What a run is called beside another: by its title, or with its task where both have one title."""
    return title(name) if title(name) != title(beside) else name


def explainer(name: str) -> Explainer:
    """A run ready to explain.

    Raises:
        ModelError, ExplainError: if the run is missing, damaged, or cannot be explained.
    """
    return guests[name].explainer if name in guests else _shipped(name)


@cached(LRUCache(MOST_LOADED), condition=Condition())
def _shipped(name: str) -> Explainer:
    run = models.find(name)
    found = prepare(remember(run), run.card)
    # Streamlit collects garbage after every run of a page, and stops all threads while it looks through TensorFlow and
    # the networks: they stay out of that from now on, until another load looks for what was given up meanwhile.
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    return found


def prepare(network: Any, card: Card, graphs: Graphs | None = None) -> Explainer:
    """Make the very calls that a page makes, so that what they need is compiled already.

    Args:
        network: a Keras model, or what `explain.remembered` knows of one.
        card: what is known about it.
        graphs: where compiled graphs are kept, as for `Explainer`.

    Raises:
        ExplainError: if the network cannot be explained.
    """
    found = Explainer(network, labels=card.labels, threads=1, graphs=graphs, **card.view)
    blank = np.zeros((found.size, found.size, 3), np.uint8)
    found(blank, targets=range(min(len(found.labels), MOST_CLASSES)), keep=True)
    if len(found.labels) > MOST_CLASSES:
        found.probabilities(blank)
    return found


_refused: set[str] = set()


def at_hand(names: list[str]) -> bool:
    """Whether these runs need no loading: they are in memory, or known not to be usable."""
    return all(name in guests or name in _refused or _shipped.cache_key(name) in _shipped.cache for name in names)


def usable(names: list[str]) -> tuple[list[str], list[str]]:
    """The runs that can be shown side by side, and a sentence about each that cannot.

    The first that loads sets the measure: maps lie side by side only for one architecture, one size and one list of
    classes.
    """
    fit: list[str] = []
    sentences = []
    for name in dict.fromkeys(names):
        try:
            explainer(name)
        except (ExplainError, ModelError) as error:
            _refused.add(name)
            sentences.append(f"{title(name)} cannot be shown. {error}")
            continue
        if fit and (why := unlike(name, fit[0])):
            sentences.append(f"{called(name, fit[0])} {why}: their maps cannot lie side by side.")
            continue
        fit.append(name)
    return fit, sentences


def unlike(one: str, other: str) -> str:
    """What keeps the maps of two loaded runs from lying side by side, said of the first; nothing where they can."""
    if one not in guests and other not in guests:
        mine, theirs = ((card.input_size, card.architecture, card.labels) for card in (cards()[one], cards()[other]))
    else:
        mine, theirs = (
            (found.size, [(layer.name, layer.shape) for layer in found.layers], found.labels)
            for found in (explainer(one), explainer(other))
        )
    (size, layers, labels), (their_size, their_layers, their_labels) = mine, theirs
    if size != their_size:
        return f"takes pictures of {size} px and {called(other, one)} of {their_size} px"
    if layers != their_layers:
        return f"has other layers than {called(other, one)}"
    if len(labels) != len(their_labels):
        return f"tells {len(labels)} classes apart and {called(other, one)} {len(their_labels)}"
    named = all(name not in guests or guests[name].labelled for name in (one, other))
    return f"tells other classes apart than {called(other, one)}" if named and labels != their_labels else ""


def read(content: bytes, name: str) -> Image.Image:
    """A photograph from the bytes of a file.

    Raises:
        PhotoError: if it cannot be read; the message names the file.
    """
    file = io.BytesIO(content)
    file.name = name
    return photo.read(file)


def seen(picture: Image.Image, name: str) -> np.ndarray:
    """What a run's network will see of a photograph, (S, S, 3) uint8; needs its card alone."""
    card = _card(name)
    return photo.see(picture, card.input_size, **card.view)


def source_size(name: str) -> int | None:
    """What a run's photographs are first brought to, see `explain.photo.see`."""
    return _card(name).view["source_size"]


def _card(name: str) -> Card:
    return guests[name].card if name in guests else cards()[name]


def explain(
    picture: Image.Image,
    names: list[str],
    targets: Sequence[str | int] | None = None,
    method: str = DEFAULT,
    also: str = "",
) -> dict[str, Explanation]:
    """Explain a photograph by several usable runs of one task, for the same classes, side by side.

    Args:
        picture: from `explain.photo.read`.
        names: runs that `usable` gave.
        targets: labels or their numbers; by default the most probable ones of the runs together.
        method: the name of a formula, see `explain.formulas.FORMULAS`.
        also: a label to be explained beside the most probable ones; one that is none of the labels is left out.

    Raises:
        TargetError: if a target is not one of the labels.
    """
    explainers = {name: explainer(name) for name in names}
    labels = explainers[_best_named(names)].labels
    if targets is None:
        likeliest = list(range(len(labels)))
        if len(labels) > MOST_CLASSES:
            best = np.max([one.probabilities(picture) for one in explainers.values()], axis=0)
            likeliest = np.argsort(-best)[:MOST_CLASSES].tolist()
            if also in labels and labels.index(also) not in likeliest:
                likeliest[-1] = labels.index(also)
        targets = likeliest
    with ThreadPoolExecutor(len(names)) as pool:
        found = list(pool.map(lambda one: one(picture, targets, [method], keep=True), explainers.values()))
    # Classes that are only numbered take the names that stand beside them.
    called = tuple(labels[found[0].labels.index(target)] for target in found[0].targets)
    return {name: replace(one, labels=labels, targets=called) for name, one in zip(names, found, strict=True)}


def _best_named(names: list[str]) -> str:
    """The first run whose classes have names, or the first of all."""
    return next((name for name in names if name not in guests or guests[name].labelled), names[0])
