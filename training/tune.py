"""Choose a learning rate on the validation split."""

import csv
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from training.loop import train
from training.recipe import Plan, Recipe, TrainingError

STUDIES = Path(__file__).parents[1] / "assets" / "studies"
COLUMNS: tuple[str, ...] = ("run", "optimizer", "learning_rate", "epochs", "val_accuracy", "val_loss")


def table_of(task: str) -> Path:
    """Where the rates tried for a task are written."""
    return STUDIES / task / "rates.csv"


def tune(
    recipe: Recipe, run: str, plan: Plan, source: str, weights: str, epochs: int, say: Callable[[str], None] = print
) -> list[dict[str, str]]:
    """Train every rate of a plan for a few epochs on the same pictures and write what validation says.

    A rate that was tried before is not tried again.

    Returns:
        The rows of this run, best validation loss first.

    Raises:
        TrainingError: if the plan has no rates to try.
    """
    if not plan.optimizer.tried:
        raise TrainingError(f"{recipe.task}/{run} takes its study's own rate; there is nothing to choose.")
    path = table_of(recipe.task)
    rows: list[dict[str, str]] = []
    if path.is_file():
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    for rate in plan.optimizer.tried:
        if any(row["run"] == run and float(row["learning_rate"]) == rate for row in rows):
            continue
        trial = replace(plan, optimizer=replace(plan.optimizer, rate=rate))
        say(f"{recipe.task}/{run} at {rate:g}")
        with tempfile.TemporaryDirectory() as folder:
            card = train(recipe, run, trial, source, weights, Path(folder), epochs=epochs, say=say)
        found = card.results["validation"]
        rows.append(
            {
                "run": run,
                "optimizer": plan.optimizer.name,
                "learning_rate": f"{rate:g}",
                "epochs": str(epochs),
                "val_accuracy": f"{found['accuracy']:.4f}",
                "val_loss": f"{found['loss']:.5f}",
            }
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    return sorted((row for row in rows if row["run"] == run), key=lambda row: float(row["val_loss"]))
