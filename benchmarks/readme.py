"""Write the README's tables from the files that hold their numbers.

A table stands between `<!-- NAME -->` and `<!-- /NAME -->`; NAME is a function of `TABLES`.
"""

import re
from collections.abc import Callable
from pathlib import Path

from benchmarks.study import STUDIES
from models import CHECKPOINTS
from models.card import Card
from training import recipes, tables
from training import studies as study

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"(<!-- (?P<name>[\w-]+) -->\n).*?(<!-- /(?P=name) -->)", re.DOTALL)


def filled(text: str) -> str:
    """The README with every table made anew."""

    def fill(match: re.Match[str]) -> str:
        return match[1] + TABLES[match["name"]]() + match[3]

    return BLOCK.sub(fill, text)


def main() -> int:
    """Write README.md; returns the exit status."""
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{README.name} is up to date")
    return 0


def results() -> str:
    """One row for each shipped run: its optimizer, the best of its history, and what it does on the test split."""
    rows = []
    for path in sorted(CHECKPOINTS.glob("*/*/card.json"), key=lambda path: (path.parts[-3], path.parts[-2])):
        card = Card.read(path)
        best, test = card.results["best"], card.results.get("test")
        rows.append(
            [
                f"`{card.name}`",
                f"{card.optimizer['name']}, {card.optimizer['learning_rate']:g}",
                str(card.epochs),
                f"{best['accuracy']:.4f}",
                f"{best['val_accuracy']:.4f}",
                f"{best['loss']:.4f}",
                f"{best['val_loss']:.4f}",
                f"**{test['accuracy']:.4f}** (n {test['n']})" if test else "",
            ]
        )
    head = [
        "run",
        "optimizer, rate",
        "epochs",
        "best train acc.",
        "best val. acc.",
        "lowest train loss",
        "lowest val. loss",
        "test accuracy",
    ]
    return _table(head, rows)


def rates() -> str:
    """The learning rates tried for cats-vs-dogs, with what validation says after one epoch."""
    tried = tables.read(STUDIES / "cats_vs_dogs" / "rates.csv")
    tried.sort(key=lambda row: (row["optimizer"] != "SGD", float(row["learning_rate"])))
    rows = [[row["optimizer"], row["learning_rate"], row["val_accuracy"], row["val_loss"]] for row in tried]
    return _table(["optimizer", "learning rate", "validation accuracy", "validation loss"], rows)


def speed() -> str:
    """What the speed benchmark measured."""
    rows = [
        [row["what"], row["milliseconds"] or row["missing"], row["forwards"], row["tensorflow_forwards"]]
        for row in tables.read(STUDIES / "speed" / "table.csv")
    ]
    return _table(["what", "milliseconds", "in OpenVINO forwards", "in TensorFlow forwards"], rows)


def studies() -> str:
    """One row for each recipe: what it reproduces, what that reported, and the best run here by its study's table."""
    rows = []
    for task in recipes.names():
        recipe = recipes.find(task)
        trained = tables.read(STUDIES / task / "table.csv")
        alike = {one.run for one in study.comparable(recipe, study.results(recipe, CHECKPOINTS, STUDIES))}
        judged = [row for row in trained if row["run"] in alike]
        best = max(judged, key=lambda row: float(row["val_accuracy"]), default={})
        title = recipes.describe(task).splitlines()[0].rstrip(".")
        rows.append(
            [
                f"[`{task}`](assets/studies/{task}/note.md)" if trained else f"`{task}`",
                title,
                recipe.original or "",
                f"`{best['run']}`" if best else "",
                best.get("val_accuracy", ""),
                best.get("test_accuracy", ""),
                f"{len(trained)} of {len(recipe.plans)}",
            ]
        )
    head = ["study", "what it is", "the original", "best run here", "validation", "test", "runs trained"]
    return _table(head, rows)


def training() -> str:
    """What the training benchmark measured."""
    head = {
        "recipe": "recipe",
        "epochs": "epochs",
        "val_accuracy": "validation accuracy",
        "cpu_seconds": "processor, s",
        "times_ours": "times ours",
    }
    return _columns("training_speed", head)


def load() -> str:
    """What the load benchmark measured."""
    head = {
        "visitors": "visitors",
        "a_minute": "photographs a minute",
        "median_s": "median, s",
        "p95_s": "95th percentile, s",
        "cpu_s": "processor, s each",
        "errors": "errors",
        "last_place": "last place in the queue",
        "health_p95_ms": "server answers within, ms",
        "peak_first_half_mb": "peak memory, first half, MB",
        "peak_second_half_mb": "second half, MB",
    }
    return _columns("load", head)


def browser() -> str:
    """What the browser benchmark measured of the static Space."""
    rows = [[row["what"], f"{row['value']} {row['unit']}"] for row in tables.read(STUDIES / "browser" / "table.csv")]
    return _table(["in the browser", "measured"], rows)


def start() -> str:
    """What the start benchmark measured."""
    head = {
        "what": "from the command",
        "first_s": "the first time, s",
        "again_s": "later, s",
        "times": "times faster",
        "first_mb": "memory, MB",
        "again_mb": "later, MB",
    }
    return _columns("start", head)


def _columns(of: str, head: dict[str, str]) -> str:
    """Columns of a study's table, by their names there, under those that they have here."""
    rows = [[row[key] for key in head] for row in tables.read(STUDIES / of / "table.csv")]
    return _table(list(head.values()), rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


TABLES: dict[str, Callable[[], str]] = {
    "results": results,
    "rates": rates,
    "speed": speed,
    "studies": studies,
    "training": training,
    "start": start,
    "load": load,
    "browser": browser,
}
