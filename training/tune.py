"""Choose a learning rate on the validation split."""

import hashlib
import json
import math
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

from models.store import sha256
from training import sources, tables
from training.job import shorten
from training.loop import train
from training.recipe import Diverged, Plan, Recipe, TrainingError
from training.setup import Setup
from training.start import weights_file

COLUMNS: tuple[str, ...] = (
    *("run", "optimizer", "learning_rate", "epochs", "steps", "val_accuracy", "val_loss"),
    *("recipe", "data"),
)


def table_of(task: str) -> Path:
    """Where the rates tried for a task are written."""
    return tables.STUDIES / task / "rates.csv"


def tune(
    recipe: Recipe,
    run: str,
    plan: Plan,
    source: str,
    weights: str,
    epochs: int,
    steps: int | None = None,
    say: Callable[[str], None] = print,
    setup: Setup | None = None,
) -> list[dict[str, str]]:
    """Train every rate of a plan for a while on the same pictures and write what validation says.

    A rate that was tried before for as long is not tried again; only trials of one length, one version of the recipe
    and the same pictures and base weights are compared.

    Args:
        recipe, run, plan, source, weights: as for `training.loop.train`.
        epochs: of a trial.
        steps: of an epoch of a trial; None for the plan's own.
        say: where a line of progress goes.
        setup: how it runs on this machine.

    Returns:
        The rows of this run, best validation loss first; a rate that diverged comes last.

    Raises:
        TrainingError: if the plan has no rates to try.
    """
    if not plan.optimizer.tried:
        raise TrainingError(f"{recipe.task}/{run} takes its study's own rate; there is nothing to choose.")
    path, version = table_of(recipe.task), version_of(recipe, plan, epochs)
    pictures = data_of(recipe.of(plan), source, weights)

    def of_this_run() -> list[dict[str, str]]:
        same = run, str(epochs), str(steps or ""), version, pictures
        names = "run", "epochs", "steps", "recipe", "data"
        return [row for row in tables.read(path) if tuple(map(row.get, names)) == same]

    for rate in plan.optimizer.tried:
        if any(float(row["learning_rate"]) == rate for row in of_this_run()):
            continue
        trial = replace(plan, optimizer=replace(plan.optimizer, rate=rate), steps=steps or plan.steps)
        say(f"{recipe.task}/{run} at {rate:g}")
        found = {"accuracy": math.nan, "loss": math.nan}
        with tempfile.TemporaryDirectory() as folder, suppress(Diverged):
            card = train(recipe, run, trial, source, weights, Path(folder), epochs=epochs, say=say, setup=setup)
            found = card.results["validation"]
        row = {
            "run": run,
            "optimizer": plan.optimizer.name,
            "learning_rate": f"{rate:g}",
            "epochs": str(epochs),
            "steps": str(steps or ""),
            "val_accuracy": f"{found['accuracy']:.4f}",
            "val_loss": f"{found['loss']:.5f}",
            "recipe": version,
            "data": pictures,
        }
        # Another run of the task may be tuned beside this one.
        tables.write(path, COLUMNS, [*tables.read(path), row])
    return sorted(of_this_run(), key=_loss)


def data_of(recipe: Recipe, source: str, weights: str) -> str:
    """Eight letters that change with the pictures of a training and with its base weights.

    Raises:
        TrainingError: if there are none.
    """
    recipe, digest = sources.with_classes(recipe, source), hashlib.sha256()
    for split in ("train", "validation"):
        for _ in sources.rows_of(source, split, recipe.labels, digest, recipe.shares, recipe.subset):
            pass
    file = weights_file(weights)
    digest.update((sha256(file) if file else weights).encode())
    return digest.hexdigest()[:8]


def version_of(recipe: Recipe, plan: Plan, epochs: int) -> str:
    """Eight letters that change with whatever a trial of so many epochs depends on, but for the rate itself."""
    recipe = recipe.of(plan)
    # Stages that a trial does not reach may change, and what was tried holds.
    stages = shorten(recipe.stages, epochs)
    alike = replace(recipe, stages=stages, plans={}, original="", search=None, columns=(), curves="", hub="")
    optimizer = replace(plan.optimizer, rate=0.0, tried=())
    said = json.dumps((alike, replace(plan, optimizer=optimizer, changes={})), default=_said, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:8]


def _said(part: Any) -> dict[str, Any]:
    """What a recipe, or a dataclass in it, says beyond its defaults.

    A field that is new changes no version until somebody uses it.
    """
    defaults = {
        one.name: one.default if one.default_factory is MISSING else one.default_factory() for one in fields(part)
    }
    return {name: value for name, value in vars(part).items() if value != defaults[name]}


def _loss(row: dict[str, str]) -> tuple[bool, float]:
    loss = float(row["val_loss"])
    return math.isnan(loss), loss
