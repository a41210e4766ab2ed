"""The network and photograph that every figure of the speed study is about, and where its numbers go."""

from pathlib import Path
from typing import Any

from training import tables

STUDY = Path(__file__).parents[1] / "assets" / "studies" / "speed"
RUN = "cats_vs_dogs/adam"
TARGET = "cat"


def load() -> Any:
    """The run, without TensorFlow's start-up lines among the numbers."""
    import models
    from models.quiet import import_keras

    import_keras()
    return models.load(RUN)


def write(file: Path, rows: list[dict[str, str]]) -> None:
    """Store a table as CSV and print it, the first column wide."""
    tables.write(file, list(rows[0]), rows)
    print()
    for first, *others in (list(rows[0]), *(row.values() for row in rows)):
        print(f"{first:<58}" + "".join(f"{value:>14}" for value in others))
