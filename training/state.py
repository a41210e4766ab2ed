"""What a training leaves on disk after each epoch, so that a kill loses at most the epoch under way.

A state is one file with weights, optimizer, the settings of its training and where that has run so far; it gets its
name when it is whole.
The history is written first, so that it never lacks an epoch that a state has. It becomes `history.csv` when the
training is done: until then that of a run that was there before stays beside its card.
"""

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.disk import require_room
from training.recipe import TrainingError

SO_FAR = "history-so-far.csv"
HISTORY = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds", "cpu_seconds")


def last(out: Path) -> int:
    """The epoch of the newest whole state, 0 where there is none."""
    names = (re.fullmatch(r"state-(\d+)\.weights\.h5", file.name) for file in out.glob("state-*.weights.h5"))
    return max((int(name[1]) for name in names if name), default=0)


def clear(out: Path) -> None:
    """Remove every state, and the history that is none yet."""
    for file in out.glob("state-*.weights.h5"):
        file.unlink()
    (out / SO_FAR).unlink(missing_ok=True)


def finish(out: Path) -> None:
    """Give the history its name, and remove every state: the training is done and its card written."""
    if (out / SO_FAR).is_file():
        (out / SO_FAR).replace(out / "history.csv")
    clear(out)


def clear_unfinished(out: Path) -> None:
    """Remove what a write that failed has left."""
    for file in out.glob("unfinished*"):
        file.unlink()


def save(
    model: Any, out: Path, epoch: int, settings: Mapping[str, Any], stretches: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Write the state after an epoch, then remove the one before.

    Args:
        settings: what must be the same for the training to go on, see `check`.
        stretches: where it has run so far, see `training.stretches.lengthen`.

    Raises:
        OSError: if the disk is full; the state before is kept.
    """
    import h5py

    require_room(out, sum(4 * math.prod(variable.shape) for variable in (*model.variables, *model.optimizer.variables)))
    unfinished = out / "unfinished.weights.h5"
    model.save_weights(unfinished)
    with h5py.File(unfinished, "r+") as file:
        file.attrs["settings"] = json.dumps(settings)
        file.attrs["stretches"] = json.dumps(stretches)
    unfinished.replace(_state(out, epoch))
    if epoch > 1:
        _state(out, epoch - 1).unlink(missing_ok=True)


def load(model: Any, out: Path, epoch: int, weights_only: bool = False) -> None:
    """Load the state after an epoch into a model of the same graph and stage.

    Args:
        weights_only: leave the optimizer as it is: at the beginning of a stage, or after the last.

    Raises:
        TrainingError: if the file is damaged.
    """
    optimizer = getattr(model, "optimizer", None)
    try:
        if weights_only:
            model.optimizer = None
        model.load_weights(_state(out, epoch))
    except Exception as error:
        raise _damaged(out, epoch) from error
    finally:
        model.optimizer = optimizer


def check(out: Path, epoch: int, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Compare the settings of a state with those asked for now.

    Returns:
        Where the training has run so far, as it was saved.

    Raises:
        TrainingError: if they differ, so that the result would be neither training's; or if the file is damaged.
    """
    import h5py

    try:
        with h5py.File(_state(out, epoch)) as file:
            found = json.loads(str(file.attrs["settings"]))
            stretches = json.loads(str(file.attrs["stretches"]))
    except (OSError, KeyError, ValueError) as error:
        raise _damaged(out, epoch) from error
    asked = json.loads(json.dumps(settings))
    other = [name for name in found | asked if found.get(name) != asked.get(name)]
    if other:
        raise TrainingError(
            f"The training in {out} was begun with another {' and another '.join(other)}; "
            "ask for the same as then, or train again without --resume."
        )
    return stretches


def read_history(out: Path, epochs: int) -> list[dict[str, float]]:
    """The rows of the first epochs.

    Raises:
        TrainingError: if the file is damaged or has fewer.
    """
    if not epochs:
        return []
    # A kill in the last moment leaves it under its last name.
    file = out / (SO_FAR if (out / SO_FAR).is_file() else "history.csv")
    try:
        with file.open(newline="") as rows:
            table = csv.DictReader(rows)
            columns = [*HISTORY, *(name for name in table.fieldnames or () if name not in HISTORY)]
            history = [{key: float(row[key]) for key in columns} for row in table][:epochs]
    except (OSError, KeyError, TypeError, ValueError):
        history = []
    if [row["epoch"] for row in history] != list(range(1, epochs + 1)):
        raise TrainingError(f"{file} is missing or damaged; train again without --resume.")
    return history


def write_history(out: Path, history: list[dict[str, float]]) -> None:
    """Write the rows as CSV, six digits each; with L2 they have two columns more, into which the loss is split."""
    unfinished = out / "unfinished.csv"
    with unfinished.open("w", newline="") as file:
        columns = list(history[0])
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for row in history:
            writer.writerow({key: int(row[key]) if key == "epoch" else f"{row[key]:.6g}" for key in columns})
    unfinished.replace(out / SO_FAR)


def _state(out: Path, epoch: int) -> Path:
    return out / f"state-{epoch:03d}.weights.h5"


def _damaged(out: Path, epoch: int) -> TrainingError:
    return TrainingError(f"{_state(out, epoch)} is damaged; train again without --resume.")
