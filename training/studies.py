"""What the runs of a study came to: its table, its curves and its note, made from the cards and histories of the runs.

`python -m training study TASK` writes these into `assets/studies/<task>/`:

table.csv
    One row for each run that is trained, in the order of the recipe; the recipe chooses among `COLUMNS`.
curves.csv (or as the recipe calls it)
    run, epoch, loss, accuracy, val_loss, val_accuracy, learning_rate, cross_entropy, l2. One row an epoch; the last
    two only where the loss has an L2 part: they add up to `loss`. The rate is that of the epoch's first step: nothing,
    where it rises from there.
curves.png
    The same, drawn.
note.md
    What the recipe says of itself, what was measured (with the trials of `search.csv` where there was a random search,
    see `training.search`), and the commands that do it again.

A run is a shipped checkpoint in `assets/checkpoints/<task>/<run>/`, or card and history alone, without weights, in
`assets/studies/<task>/runs/<run>/`, where a sweep leaves them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from models import Card
from training import recipes, tables
from training.curves import draw
from training.recipe import Recipe, TrainingError

CURVES = ("run", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "cross_entropy", "l2")
PAIR = (
    "run",
    "optimizer",
    "learning_rate",
    "schedule",
    "seed",
    "steps_per_epoch",
    "epochs",
    "accuracy",
    "val_accuracy",
    "loss",
    "val_loss",
    "test_accuracy",
    "test_n",
    "seconds",
    "cpu_seconds",
)
"""The table's columns where the recipe names none."""
MOST_COMMANDS = 12
"""Commands in a note: of a sweep, one tells how the others go."""
MOST_TRIALS = 10
"""Trials of a random search in a note."""


@dataclass(frozen=True)
class Result:
    """One trained run.

    Attributes:
        run: its name within the task.
        card: what is known about it.
        history: its epochs, as in `history.csv`.
    """

    run: str
    card: Card
    history: tuple[dict[str, float], ...]

    def split(self, name: str, value: str) -> Any:
        """A result on a split, or nothing."""
        return self.card.results.get(name, {}).get(value, "")


COLUMNS: dict[str, Callable[[Result], Any]] = {
    "run": lambda one: one.run,
    "architecture": lambda one: one.card.architecture,
    "input_size": lambda one: one.card.input_size,
    "trainable": lambda one: ", then ".join(stage["trainable"] for stage in one.card.training["stages"]),
    "optimizer": lambda one: one.card.optimizer["name"],
    "learning_rate": lambda one: one.card.optimizer["learning_rate"],
    "schedule": lambda one: one.card.optimizer["schedule"],
    "seed": lambda one: one.card.seed,
    "batch_size": lambda one: one.card.training["batch_size"],
    "steps_per_epoch": lambda one: one.card.training["steps_per_epoch"],
    "epochs": lambda one: one.card.epochs,
    "accuracy": lambda one: one.history[-1]["accuracy"],
    "loss": lambda one: one.history[-1]["loss"],
    "first_loss": lambda one: one.history[0]["loss"],
    "val_accuracy": lambda one: one.split("validation", "accuracy"),
    "val_loss": lambda one: one.split("validation", "loss"),
    "test_accuracy": lambda one: one.split("test", "accuracy"),
    "test_n": lambda one: one.split("test", "n"),
    "memory_mb": lambda one: one.card.training.get("memory_mb", ""),
    "seconds": lambda one: one.card.seconds,
    "cpu_seconds": lambda one: one.card.cpu_seconds,
}
"""What a table may say of a run: accuracy 0..1 and loss of the last epoch, memory in megabytes, time in seconds.

`accuracy` and `loss` are measured while training, on augmented pictures and with dropout; those of validation and
test on plain pictures with the weights that were kept.
"""


def places_of(task: str, run: str, checkpoints: Path, studies: Path) -> tuple[Path, Path]:
    """Where a run's card and history may lie: with its weights, or without."""
    return checkpoints / task / run, studies / task / "runs" / run


def results(recipe: Recipe, checkpoints: Path, studies: Path) -> list[Result]:
    """The trained runs of a recipe, in its order.

    Raises:
        ModelError: if a card is damaged.
        TrainingError: if a history is.
    """
    found = []
    for run in recipe.plans:
        for place in places_of(recipe.task, run, checkpoints, studies):
            if (place / "card.json").is_file():
                history = tables.numbers(place / "history.csv")
                found.append(Result(run, Card.read(place / "card.json"), tuple(history)))
                break
    return found


def comparable(recipe: Recipe, found: Sequence[Result]) -> list[Result]:
    """The runs that tell the study's own classes apart: one on a few of them, a dry run, is better for that alone."""
    if recipe.labels:
        return [one for one in found if one.card.labels == recipe.labels]
    return [one for one in found if recipe.classes in (0, len(one.card.labels))]


def write(recipe: Recipe, checkpoints: Path, studies: Path) -> Path:
    """Write table, curves and note of a study; returns their folder.

    Raises:
        TrainingError: if none of its runs is trained.
        ModelError: if a card is damaged.
    """
    found = [one for one in results(recipe, checkpoints, studies) if one.history]
    if not found:
        raise TrainingError(f"No run of {recipe.task} is trained yet: see `python -m training list`.")
    out = studies / recipe.task
    columns = recipe.columns or PAIR
    rows = table(found, columns)
    tables.write(out / "table.csv", columns, rows)
    epochs = [{"run": one.run} | _shown(row) for one in found for row in one.history]
    tables.write(out / recipe.curves, CURVES, epochs)
    draw(recipe, comparable(recipe, found) or found, out / "curves.png")
    trials = tables.read(out / "search.csv")
    (out / "note.md").write_text(note(recipe, found, rows, trials), encoding="utf-8")
    return out


def table(found: Sequence[Result], columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of table.csv, as text."""
    return [{column: _text(column, _value(column, one)) for column in columns} for one in found]


def _value(column: str, one: Result) -> Any:
    """What a run says there; nothing where its card or history, which somebody else may have written, does not."""
    try:
        return COLUMNS[column](one)
    except KeyError:
        return ""


def note(
    recipe: Recipe, found: Sequence[Result], rows: Sequence[dict[str, str]], trials: Sequence[dict[str, str]] = ()
) -> str:
    """What the recipe says of itself, what was measured, and the commands, in Markdown.

    Args:
        rows: of the table.
        trials: of the random search, best first, where there was one.
    """
    machines = dict.fromkeys(chain.from_iterable(one.card.machines for one in found))
    lines = [
        f"# {recipe.task}",
        recipes.describe(recipe.task),
        "## What was measured",
        " ".join(_findings(recipe, found)),
        _markdown(rows),
        *(
            [f"The random search, best of {len(trials)} trials first:", _markdown(trials[:MOST_TRIALS])]
            if trials
            else []
        ),
        *([f"Machine: {'; '.join(machines)}."] if machines else []),
        "## To do it again",
        "```sh\n"
        + "".join(f"{one.card.command}\n" for one in found[:MOST_COMMANDS] if one.card.command)
        + f"python -m training study {recipe.task}\n```",
    ]
    return "\n\n".join(lines) + "\n"


def _findings(recipe: Recipe, found: Sequence[Result]) -> list[str]:
    """Sentences on what was trained and how well."""
    judged = comparable(recipe, found)
    measured = [one for one in judged or found if one.split("validation", "n")]
    best = max(measured, key=lambda one: one.split("validation", "accuracy"), default=None)
    number = f"{len(found)} {'is' if len(found) == 1 else 'are'} trained"
    tested = f", and {_measured(best, 'test')} on test" if best and best.split("test", "n") else ""
    others: dict[tuple[str, ...], list[str]] = {}
    for one in found:
        if one not in judged:
            others.setdefault(one.card.labels, []).append(f"`{one.run}`")
    return [
        (f"The original reported: {recipe.original}. " if recipe.original else "")
        + f"Here, of {len(recipe.plans)} planned runs, {number}"
        + (f"; the best on validation is `{best.run}` with {_measured(best, 'validation')}{tested}." if best else "."),
        *(
            f"Of classes that are not all those of the study, and not to be compared with it: {', '.join(runs)} ("
            f"{len(labels)} classes: {', '.join(labels)})."
            for labels, runs in others.items()
        ),
    ]


def _measured(one: Result, split: str) -> str:
    return f"{one.split(split, 'accuracy'):.4f} (n {one.split(split, 'n')})"


def _markdown(rows: Sequence[dict[str, str]]) -> str:
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(row.values() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _text(column: str, value: Any) -> str:
    if column in ("seconds", "cpu_seconds", "memory_mb") and value != "":
        return f"{value:.0f}"
    if isinstance(value, float):
        return f"{value:g}" if column == "learning_rate" else f"{value:.4f}"
    return str(value)


def _shown(row: dict[str, float]) -> dict[str, str]:
    return {
        column: f"{row[column]:.0f}" if column == "epoch" else f"{row[column]:.6g}"
        for column in CURVES
        if column in row
    }
