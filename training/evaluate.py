"""How well a model does on a split."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from models import Card
from training import data, views
from training.recipe import Recipe, TrainingError
from training.records import Records
from training.setup import threads
from training.sources import find, rows_of


@dataclass(frozen=True)
class Evaluation:
    """Logits of a model for every picture of a split, and what follows from them.

    Attributes:
        logits: (N, units) float32.
        labels: (N,) int64.
    """

    logits: np.ndarray
    labels: np.ndarray

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(N, classes) float64; one logit gives (negative, positive)."""
        return np.exp(self._log_probabilities)

    @property
    def _log_probabilities(self) -> np.ndarray:
        logits = self.logits.astype("float64")
        if logits.shape[1] == 1:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
        # Of a training that diverged they are no numbers, and its loss says so.
        with np.errstate(invalid="ignore"):
            return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)

    @property
    def predicted(self) -> np.ndarray:
        """(N,) the most probable class of each picture."""
        return self.probabilities.argmax(axis=1)

    @property
    def wrong(self) -> np.ndarray:
        """(N,) bool: whether that is another class than the picture's."""
        return self.predicted != self.labels

    @property
    def accuracy(self) -> float:
        """Share of pictures whose most probable class is theirs (top-1)."""
        return float(np.mean(~self.wrong))

    @property
    def loss(self) -> float:
        """Mean cross-entropy, in nats."""
        return float(-np.mean(self._log_probabilities[np.arange(len(self.labels)), self.labels]))

    def top(self, k: int) -> float:
        """Share of pictures whose class is among the k most probable."""
        best = np.argsort(-self.probabilities, axis=1)[:, :k]
        return float(np.mean((best == self.labels[:, None]).any(axis=1)))

    def summary(self) -> dict[str, float]:
        """Accuracy, top-5 where there are more than five classes, loss and n."""
        found = {"accuracy": self.accuracy, "loss": round(self.loss, 6), "n": len(self.labels)}
        if self.probabilities.shape[1] > 5:
            found["top5"] = self.top(5)
        return found


def seen_by(card: Card) -> dict[str, Any]:
    """How a run has learned to see pictures, for `training.data.load`; shares of the training pictures are its own."""
    return {
        "labels": card.labels,
        "size": card.view["source_size"] or card.input_size,
        "fit": card.view["fit"],
        "shares": card.data.get("shares"),
        "subset": card.data.get("subset", False),
    }


def load_for(card: Card, source: str, split: str | None) -> data.Split:
    """A split as a run has learned to see it; tells how many of its pictures the run was trained on.

    Raises:
        TrainingError: as `training.data.load`.
    """
    pictures = data.load(source, split, **seen_by(card))
    if split != "train":
        data.warn_of_known(pictures, _trained_on(card, source))
    return pictures


def _trained_on(card: Card, source: str) -> frozenset[str]:
    """The sha256 of each picture's bytes that a run was trained on; empty where the source has other such pictures."""
    seen, place, digest = seen_by(card), find(source), hashlib.sha256()
    found, whole = frozenset[str](), ""
    with suppress(TrainingError):
        if isinstance(place, Records):
            facts = place.facts("train")
            found, whole = frozenset(facts["digests"]), facts["sha256"]
        else:
            rows = rows_of(source, "train", seen["labels"], digest, seen["shares"] or {}, seen["subset"])
            found = frozenset(hashlib.sha256(content).hexdigest() for _, content, _ in rows)
            whole = digest.hexdigest()
    return found if whole == card.data.get("train", {}).get("sha256") else frozenset()


def evaluate(model: Any, split: data.Split, recipe: Recipe | Card, batch: int = 64) -> Evaluation:
    """Run a model over a split, without augmentation; of the recipe or card only the input size counts."""
    return evaluate_views(model, views.plain(split.pictures, recipe.input_size), split.labels, batch, threads())


def evaluate_views(
    model: Any, source: views.Source, labels: np.ndarray, batch: int = 64, beside: int = 1
) -> Evaluation:
    """Run a model, or the rest of one, over one view of every picture; `beside` threads make the views."""
    import keras

    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return -(-len(labels) // batch)

        def __getitem__(self, index: int) -> tuple[np.ndarray]:
            chosen = range(index * batch, min((index + 1) * batch, len(labels)))
            return (source(chosen, 0),)

    logits = np.asarray(model.predict(Batches(workers=beside), verbose=0))
    return Evaluation(logits.reshape(len(labels), -1), labels)
