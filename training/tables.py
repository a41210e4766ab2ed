"""Tables as CSV files, written whole or not at all."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.recipe import TrainingError

STUDIES = Path(__file__).parents[1] / "assets" / "studies"


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a table; none where the file is missing.

    Raises:
        TrainingError: if it is no table.
    """
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file, strict=True))
    except (ValueError, csv.Error) as error:
        raise _damaged(path) from error


def numbers(path: Path) -> list[dict[str, float]]:
    """The rows of a table of numbers; what is empty is left out.

    Raises:
        TrainingError: if there is anything else in it.
    """
    try:
        return [{key: float(value) for key, value in row.items() if value} for row in read(path)]
    except (ValueError, TypeError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> TrainingError:
    return TrainingError(f"{path} is damaged: it is not the table that it should be.")


def write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table; a kill leaves the one before. What a row does not have stays empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    unfinished.replace(path)
