"""The Errors page: where the pair of runs of a task is wrong, from the files that `python -m training errors` wrote."""

import csv
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from ui import frame, photographs, runs
from ui.charts.streamlit import errors
from ui.samples import small

STUDIES = Path(__file__).parents[1] / "assets" / "studies"
SIDE = 240
"""Side of a picture in the gallery, in pixels."""
WITHOUT = (
    f"The pictures are not part of Parallax. Name a folder with the task's data in {photographs.FOLDER} to see them "
    "here, and to open each on Look with a click."
)


def page() -> None:
    """Draw the page."""
    task = frame.toolbar_of_tasks()
    if not task:
        return
    folder = STUDIES / f"{task}_errors"
    if not (folder / "summary.json").is_file():
        st.info(
            f"There is no error analysis of {runs.task_title(task)} yet: `python -m training errors {task}` makes it."
        )
        return
    errors(*contents(task, folder))


def contents(task: str, folder: Path) -> tuple[dict[str, Any], list[bytes]]:
    """`meta` and `blobs` of errors.js from the files of an error analysis.

    Raises:
        OSError, KeyError, ValueError: if the files are not those that the command writes.
    """
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    pair, labels = summary["pair"], summary["labels"]
    wrong, one = _rows(folder / "wrong.csv"), _rows(folder / "one_wrong.csv")
    wanted = tuple(sorted({row["sha256"] for row in (*wrong, *one)}))
    found = photographs.pictures(task, summary["split"], wanted)
    places: dict[str, int] = {}
    blobs = []
    for digest, (_, content) in found.items():
        if square := small(content, SIDE):
            places[digest] = len(blobs)
            blobs.append(square)

    def picture(row: dict[str, str], layer: str = "") -> dict[str, Any]:
        photo = photographs.address(task, row["sha256"])
        words = {"task": runs.task_title(task), "photo": photo, "class": row["label"]}
        hash_ = urlencode({"class": row["label"]} | ({"layer": layer} if layer else {}))
        return {
            "name": row["name"],
            "label": row["label"],
            "href": f"./?{urlencode(words)}#{hash_}",
            "blob": places.get(row["sha256"]),
            "note": f"they part at {layer}" if layer else "",
            "answers": [
                {
                    "label": row[run],
                    "probability": float(row[f"{run}_probability"]),
                    "right": row[run] == row["label"],
                }
                for run in pair
            ],
        }

    parting = {row["sha256"]: row["layer"] for row in one}
    meta = {
        "key": "|".join([task, *(summary["runs"][run]["sha256"] for run in pair), str(len(blobs))]),
        "task": task,
        "labels": labels,
        "n": summary["n"],
        "split": summary["split"],
        "both_wrong": summary["both_wrong"],
        "one_wrong": summary["one_wrong"],
        "without": "" if found or not wanted else WITHOUT,
        "runs": [
            {
                "id": run,
                "name": runs.title(f"{task}/{run}"),
                "hue": hue,
                "accuracy": summary["runs"][run]["accuracy"],
                "confusion": [[int(row[label]) for label in labels] for row in _rows(folder / f"confusion-{run}.csv")],
            }
            for run, hue in zip(pair, "ab", strict=True)
        ],
        "classes": _classes(_rows(folder / "per_class.csv"), pair, labels),
        "groups": [
            {
                "id": "wrong",
                "title": "Most confidently wrong",
                "of": summary["both_wrong"] + summary["one_wrong"],
                "pictures": [picture(row, parting.get(row["sha256"], "")) for row in wrong],
            },
            {
                "id": "one",
                "title": "Exactly one wrong",
                "of": summary["one_wrong"],
                "pictures": [picture(row, row["layer"]) for row in one],
            },
        ],
    }
    return meta, blobs


def _classes(rows: list[dict[str, str]], pair: list[str], labels: list[str]) -> list[dict[str, Any]]:
    by = {(row["run"], row["label"]): row for row in rows}
    return [
        {
            "label": label,
            "support": int(by[pair[0], label]["support"]),
            **{key: [float(by[run, label][key]) for run in pair] for key in ("precision", "recall", "f1")},
        }
        for label in labels
    ]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


page()
