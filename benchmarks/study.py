"""Where the numbers go, and the network and photograph that every figure of the speed study is about."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training import tables

STUDIES = Path(__file__).parents[1] / "assets" / "studies"
STUDY = STUDIES / "speed"
RUN = "cats_vs_dogs/adam"
TARGET = "cat"


def load() -> Any:
    """The run, without TensorFlow's start-up lines among the numbers."""
    import models
    from models.quiet import import_keras

    import_keras()
    return models.load(RUN)


def keep(study: Path, rows: list[dict[str, str]], about: Mapping[str, object]) -> None:
    """Store a study's table and what it was measured on, and print the table."""
    write(study / "table.csv", rows)
    (study / "machine.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def write(file: Path, rows: list[dict[str, str]]) -> None:
    """Store a table as CSV and print it, the first column wide."""
    tables.write(file, list(rows[0]), rows)
    print()
    for first, *others in (list(rows[0]), *(row.values() for row in rows)):
        print(f"{first:<58}" + "".join(f"{value:>14}" for value in others))
