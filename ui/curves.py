"""The Curves page: how the runs of a task learned."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import models
from models.card import Card
from ui import frame, runs
from ui.charts.streamlit import curves
from ui.viewer.payload import own_hue

STUDIES = Path(__file__).parents[1] / "assets" / "studies"
MEASURES = ("loss", "accuracy", "val_loss", "val_accuracy", "cross_entropy", "l2")


def page() -> None:
    """Draw the page."""
    if task := frame.toolbar_of_tasks():
        curves(meta(task))


def meta(task: str) -> dict[str, Any]:
    """Everything that the page shows of a task, for curves.js."""
    told = [(name, runs.cards()[name], history(name)) for name in runs.runs_of(task)]
    told = [one for one in told if one[2]]
    names = [name for name, _, _ in told]
    whose = [name for name in names if _of_the_pair(name)] or names[:1]
    cards = {runs.title(name) if len(whose) > 1 else "": runs.cards()[name] for name in whose}
    hues = [own_hue(name) for name, _, _ in told]
    facts = [*recipes(cards), ("optimizers", optimizers(cards)), ("took", took(cards))] if cards else []
    return {
        "key": "|".join(f"{name} {card.sha256}" for name, card, _ in told),
        "task": task,
        "classes": max(2, runs.cards()[runs.runs_of(task)[0]].units),
        "runs": [
            _run(name, card, rows) | {"first": name in whose, "hue": hue, "nth": hues[:place].count(hue)}
            for place, (hue, (name, card, rows)) in enumerate(zip(hues, told, strict=True))
        ],
        "whose": " and ".join(runs.title(name) for name in whose),
        "recipe": [(name, text) for name, text in facts if text],
        "note": _note(task),
    }


def history(name: str) -> list[dict[str, float]]:
    """A run's history.csv as numbers, one row an epoch; empty where there is none that can be read."""
    try:
        with (models.CHECKPOINTS / name / "history.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        return [{key: float(row[key]) for key in MEASURES if row.get(key)} for row in rows]
    except (OSError, ValueError):
        return []


def recipes(cards: Mapping[str, Card]) -> list[tuple[str, str]]:
    """What the runs of these titles have in common, in words; where they differ, whose is what."""
    told = {title: dict(recipe(card)) for title, card in cards.items()}
    rows = {name: {title: one[name] for title, one in told.items()} for name in next(iter(told.values()))}
    return [
        (name, "; ".join(f"{title}: {text}" for title, text in texts.items() if text))
        if len(set(texts.values())) > 1
        else (name, next(iter(texts.values())))
        for name, texts in rows.items()
    ]


def recipe(card: Card) -> list[tuple[str, str]]:
    """How a run was trained, in words."""
    training, data = card.training, card.data
    augmentation = training.get("augmentation", {})
    views = [
        f"turned up to {augmentation['rotation']:g}°" if augmentation.get("rotation") else "",
        *(f"{name} {augmentation[name]:g}" for name in ("shear", "zoom", "shift", "erase") if augmentation.get(name)),
        "mirrored" if augmentation.get("flip") else "",
    ]
    seen = f"{card.input_size} x {card.input_size} px"
    source = card.view["source_size"]
    schedule, warmup = str(card.optimizer.get("schedule", "")), training.get("warmup")
    # A constant rate is held from the first step on, whatever the recipe says of warming up.
    rise = f", after a rise in the first {100 * warmup:g} % of a stage" if warmup and schedule == "cosine" else ""
    return [
        ("network", f"{card.architecture}, {card.units} {'logit' if card.units == 1 else 'logits'}"),
        ("first weights", card.base_weights.get("name", "")),
        ("sees", f"{seen}, from {source} px" if source else seen),
        ("trained on", f"{data['train']['n']:,} photographs"),
        ("validated on", f"{data['validation']['n']:,}"),
        ("batch", f"{training['batch_size']}, {training['steps_per_epoch']} steps an epoch"),
        ("schedule", schedule + rise),
        ("loss", _smoothed(training.get("label_smoothing", 0.0), max(2, card.units))),
        ("trained", "; ".join(_stage(stage) for stage in training.get("stages", []))),
        ("precision", str(training.get("precision") or "")),
        ("BatchNorm", str(training.get("batch_norm", ""))),
        ("views", ", ".join(view for view in views if view) or "as they are"),
    ]


def optimizers(cards: Mapping[str, Card]) -> str:
    """What the optimizers of these titles' runs do beside following the schedule."""
    words = {
        "momentum": "momentum {:g}",
        "clipnorm": "each variable's gradient cut at a norm of {:g}",
        "global_clipnorm": "the whole gradient cut at a norm of {:g}",
    }
    told = {
        title: ", ".join(said.format(card.optimizer[key]) for key, said in words.items() if card.optimizer.get(key))
        for title, card in cards.items()
    }
    return "; ".join(f"{title}: {text}" if title else text for title, text in told.items() if text)


def took(cards: Mapping[str, Card]) -> str:
    """How long the runs of these titles took, and on which machines."""
    times = ", ".join(f"{title} {card.seconds / 60:.0f} min".strip() for title, card in cards.items())
    places = dict.fromkeys(_place(machine) for card in cards.values() for machine in card.machines)
    return f"{times} on {' and '.join(places)}"


def _place(machine: str) -> str:
    """The accelerator of a card's machine, which stands behind Keras; its cores where there is none."""
    device = machine.partition(", keras ")[2].partition(", ")[2]
    return device or machine.split(",")[0]


def _smoothed(share: float, classes: int) -> str:
    """Why a training loss stays above the validation loss, which `training.evaluate` has without smoothing."""
    if not share:
        return ""
    other = share / classes
    right = 1 - share + other
    least = -right * math.log(right) - (classes - 1) * other * math.log(other)
    return f"labels smoothed by {share:g} in training, whose loss is never below {least:.2g} for it; not in validation"


def _stage(stage: dict[str, Any]) -> str:
    part = {"all": "all blocks", "head": "the head"}.get(stage["trainable"], f"blocks from {stage['trainable']} on")
    return f"{part}, {stage['epochs']} epochs"


def _of_the_pair(name: str) -> bool:
    return name.split("/")[1] in ("sgd", "adam")


def _run(name: str, card: Card, rows: list[dict[str, float]]) -> dict[str, Any]:
    test = card.results.get("test", {})
    own = name.split("/")[1]
    return {
        "id": own,
        "name": runs.title(name),
        "rate": f"{card.optimizer.get('learning_rate', ''):g}",
        "test": test.get("accuracy"),
        "photographs": f"{test.get('n', 0):,}",
        "best": {key: card.results["best"][key] for key in MEASURES[:4]},
        "history": rows,
    }


def _note(task: str) -> list[tuple[str, str]]:
    """The study's own words on what differs from the original, where it has been written: ("p" or "pre", text)."""
    path = STUDIES / task / "note.md"
    if not path.is_file():
        return []
    # The tables and commands below the first heading are for those who read files.
    own = path.read_text(encoding="utf-8").partition("\n## ")[0]
    blocks = (block.strip("\n") for block in own.split("\n\n"))
    return [
        ("pre", dedent(block).strip()) if block.startswith("    ") else ("p", " ".join(block.replace("`", "").split()))
        for block in blocks
        if block.strip() and not block.startswith(("#", "|", "!"))
    ]


page()
