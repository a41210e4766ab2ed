"""Where the shipped runs of a task are wrong, as files that a page can show.

`python -m training errors TASK --data DIR` writes these into `assets/studies/<task>_errors/`. Runs go by their own
names (`sgd`, `adam-seed1`); *the pair* is `sgd` and `adam`; probabilities are 0..1.

summary.json
    task, split, n (pictures), data_sha256 (of all that the split was read from), skipped (unreadable pictures),
    labels, pair, runs (for each run accuracy, loss, n, wrong and the sha256 of its weights), both_wrong and one_wrong
    (pictures that both runs of the pair, or exactly one of them, get wrong), versions.
per_class.csv
    run, label, precision, recall, f1, support. Every run, every class; support is the number of the split's
    pictures of that class. A class that a run never names has precision 0.
confusion-<run>.csv
    label, then one column for each class: how many pictures of the row's class the run took for the column's.
wrong.csv
    name, index, sha256, label, then for each run of the pair `<run>` (the label it gives) and `<run>_probability`
    (that label's). The pictures that at least one run of the pair gets wrong, those with the most probable wrong
    answer first; at most 100. `sha256` is that of the picture's bytes in the data, `index` its place in the split
    (unreadable pictures not counted), `label` its true class.
one_wrong.csv
    The columns of wrong.csv, then wrong (the run that is), layer, agreement. The pictures that exactly one run of the
    pair gets wrong, in the order of wrong.csv; at most 100. `layer` is the layer where the two runs part: of all
    layers that both have, the one where their HiResCAM maps for the true class agree least; `agreement` is the maps'
    correlation there (see `explain.agreement`). Both are empty where no layer's maps can be compared.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import models
from explain import Explainer
from explain.agreement import agreement
from explain.methods import DEFAULT
from models.versions import versions
from training import data, tables, views
from training.evaluate import Evaluation, evaluate, load_for, seen_by
from training.recipe import TrainingError

PAIR = ("sgd", "adam")
MOST = 100
"""Rows of wrong.csv and of one_wrong.csv."""
PER_CLASS = ("run", "label", "precision", "recall", "f1", "support")
WRONG = ("name", "index", "sha256", "label", *(f"{run}{suffix}" for run in PAIR for suffix in ("", "_probability")))


def analyse(
    task: str,
    source: str,
    split: str | None,
    out: Path,
    checkpoints: Path = models.CHECKPOINTS,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Evaluate every shipped run of a task and write what it gets wrong.

    Args:
        source, split: the pictures, see `training.data.load`.
        out: the folder for the files above.

    Returns:
        The content of summary.json.

    Raises:
        TrainingError: if the task has no shipped pair, its runs have different labels or other pictures of the split,
            or the data cannot be used.
        ModelError: if a run cannot be loaded.
    """
    answers = _answers(task, source, split, checkpoints, say)
    pair = {name: answers[name] for name in PAIR}
    found = {name: one.found for name, one in answers.items()}
    labels, pictures = pair["sgd"].run.labels, pair["sgd"].pictures
    order = most_confidently_wrong([one.found for one in pair.values()])
    wrong = {name: one.found.wrong for name, one in pair.items()}
    single = [index for index in order if wrong["sgd"][index] != wrong["adam"][index]]

    out.mkdir(parents=True, exist_ok=True)
    tables.write(out / "per_class.csv", PER_CLASS, per_class(found, labels))
    for name, one in found.items():
        tables.write(out / f"confusion-{name}.csv", ("label", *labels), confusion(one, labels))
    tables.write(out / "wrong.csv", WRONG, (_row(index, pair) for index in order[:MOST]))
    say(f"explaining {len(single[:MOST])} of the {len(single)} pictures that exactly one run of the pair gets wrong")
    tables.write(out / "one_wrong.csv", (*WRONG, "wrong", "layer", "agreement"), _parted(pair, single[:MOST]))
    summary = {
        "task": task,
        "split": split,
        "n": len(pictures),
        "data_sha256": pictures.sha256,
        "skipped": len(pictures.skipped),
        "labels": labels,
        "pair": PAIR,
        "runs": {
            name: one.found.summary() | {"wrong": int(one.found.wrong.sum()), "sha256": one.run.card.sha256}
            for name, one in answers.items()
        },
        "both_wrong": len(order) - len(single),
        "one_wrong": len(single),
        "versions": versions("keras", "numpy", "openvino", "scikit-learn"),
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return summary


def per_class(found: Mapping[str, Evaluation], labels: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of per_class.csv, run by run."""
    from sklearn.metrics import precision_recall_fscore_support

    classes = range(len(labels))
    for name, one in found.items():
        scores = precision_recall_fscore_support(one.labels, one.predicted, labels=classes, zero_division=0)
        for label, precision, recall, f1, support in zip(labels, *map(np.asarray, scores), strict=True):
            yield {
                "run": name,
                "label": label,
                "precision": f"{precision:.6f}",
                "recall": f"{recall:.6f}",
                "f1": f"{f1:.6f}",
                "support": int(support),
            }


def confusion(found: Evaluation, labels: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of confusion-<run>.csv, in the order of the labels."""
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(found.labels, found.predicted, labels=range(len(labels)))
    for label, row in zip(labels, counts, strict=True):
        yield {"label": label} | dict(zip(labels, row.tolist(), strict=True))


def most_confidently_wrong(found: Sequence[Evaluation]) -> list[int]:
    """The pictures that at least one run gets wrong, by the probability of the most probable wrong answer, falling."""
    confidence = np.max([one.probabilities.max(axis=1) * one.wrong for one in found], axis=0)
    # Stable, so that pictures of one probability stay in the order of the split.
    order = np.argsort(-confidence, kind="stable")
    return [int(index) for index in order if confidence[index] > 0]


def parting(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> tuple[str, float] | None:
    """The layer where two runs' maps (H, W) agree least, and how much; None where none can be compared."""
    values = {layer: agreement(map, other[layer]) for layer, map in one.items() if layer in other}
    values = {layer: value for layer, value in values.items() if not np.isnan(value)}
    return min(values.items(), key=lambda item: item[1], default=None)


@dataclass(frozen=True)
class _Answers:
    """What one run says of every picture of a split."""

    run: models.Run
    pictures: data.Split
    found: Evaluation


def _answers(
    task: str, source: str, split: str | None, checkpoints: Path, say: Callable[[str], None]
) -> dict[str, _Answers]:
    names = [name.split("/")[1] for name in models.names(checkpoints) if name.startswith(f"{task}/")]
    if missing := [run for run in PAIR if run not in names]:
        raise TrainingError(f"{task} has no trained run called {' and none called '.join(missing)}: there is no pair.")
    names = [*PAIR, *(run for run in names if run not in PAIR)]
    answers: dict[str, _Answers] = {}
    splits: dict[str, data.Split] = {}
    for name in names:
        run = models.load(f"{task}/{name}", checkpoints)
        if answers and run.labels != next(iter(answers.values())).run.labels:
            raise TrainingError(f"The runs {names[0]} and {name} of {task} have different labels.")
        seen = json.dumps(seen_by(run.card), sort_keys=True)
        if seen not in splits:
            splits[seen] = load_for(run.card, source, split)
        pictures = splits[seen]
        if answers and pictures.sha256 != next(iter(splits.values())).sha256:
            raise TrainingError(f"The runs {names[0]} and {name} of {task} have different shares of the pictures.")
        answers[name] = _Answers(run, pictures, evaluate(run.model, pictures, run.card))
        say(f"{task}/{name}: accuracy {answers[name].found.accuracy:.4f} (n {len(pictures)})")
    return answers


def _row(index: int, pair: Mapping[str, _Answers]) -> dict[str, Any]:
    first = pair["sgd"]
    labels, pictures = first.run.labels, first.pictures
    row: dict[str, Any] = {
        "name": pictures.names[index],
        "index": index,
        "sha256": pictures.digests[index],
        "label": labels[pictures.labels[index]],
    }
    for name, one in pair.items():
        row[name] = labels[one.found.predicted[index]]
        row[f"{name}_probability"] = f"{one.found.probabilities[index].max():.6f}"
    return row


def _parted(pair: Mapping[str, _Answers], chosen: Sequence[int]) -> Iterator[dict[str, Any]]:
    explainers = {name: Explainer(one.run.model, one.run.labels) for name, one in pair.items()}
    for index in chosen:
        maps = []
        for name, one in pair.items():
            # What the evaluation saw, so that the maps belong to the answer that was wrong.
            seen = views.views(one.pictures.pictures, [index], views.PLAIN, one.run.input_size, 0, 0)[0]
            explained = explainers[name](seen, targets=[int(one.pictures.labels[index])])
            maps.append({layer: values[0] for layer, values in explained.maps[DEFAULT].items()})
        least = parting(*maps)
        row = _row(index, pair) | {"wrong": next(name for name, one in pair.items() if one.found.wrong[index])}
        yield row | ({"layer": least[0], "agreement": f"{least[1]:.4f}"} if least else {})
