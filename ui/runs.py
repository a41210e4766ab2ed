"""The runs that pages show, loaded once for everybody and bounded in number."""

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import streamlit as st

import models
from explain import Explainer, Explanation
from models.card import Card

MOST_LOADED = 6
"""Networks kept in memory; the one longest unused makes room."""
MOST_CLASSES = 10
"""Classes that maps are made for: the most probable ones of the runs together."""


@st.cache_data(show_spinner=False, max_entries=1, ttl=60)
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


@st.cache_resource(show_spinner=False, max_entries=MOST_LOADED)
def explainer(name: str) -> Explainer:
    """A run ready to explain.

    Raises:
        ModelError, ExplainError: if the run is missing, damaged, or cannot be explained.
    """
    run = models.load(name)
    found = Explainer(
        run.model,
        labels=run.labels,
        fit=run.card.preprocessing.get("fit", "crop"),
        source_size=run.card.preprocessing.get("source_size"),
        threads=1,
    )
    found.warm_up()
    gc.collect()
    return found


def explain(picture: Any, names: list[str]) -> dict[str, Explanation]:
    """Explain a photograph by several runs of one task, for the same classes, side by side.

    Raises:
        ModelError, ExplainError: if a run or the photograph cannot be used.
    """
    explainers = {name: explainer(name) for name in names}
    labels = next(iter(explainers.values())).labels
    targets = list(range(len(labels)))
    if len(labels) > MOST_CLASSES:
        best = np.max([one.probabilities(picture) for one in explainers.values()], axis=0)
        targets = np.argsort(-best)[:MOST_CLASSES].tolist()
    with ThreadPoolExecutor(len(names)) as pool:
        found = pool.map(lambda one: one(picture, targets=targets, keep=True), explainers.values())
        return dict(zip(names, found, strict=True))
