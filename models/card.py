"""`card.json`: everything that is known about one run."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from models.disk import replace_text
from models.errors import ModelError

MOST_BYTES = 1 << 20
"""Of a card; a thousand labels take 20 kB."""


@dataclass(frozen=True)
class Card:
    """One training of one task, as its folder describes it.

    Attributes:
        task: for example `cats_vs_dogs`.
        run: for example `adam`.
        architecture: the network's name in `keras.applications`.
        labels: class names, in the order of the outputs; two labels and one unit mean (negative, positive).
        input_size: side of the square the network sees, in pixels.
        units: number of logits.
        head: arguments of the head (`dropout`, `head_norm`).
        preprocessing: `fit` (crop or squash), `source_size` (pixels, or None), `pixels` (their range).
        base_weights: what the training started from, with its sha256.
        optimizer: name and every hyperparameter.
        training: batch size, stages, schedule, augmentation, steps an epoch, and why the rate is what it is.
        data: where the photographs came from, sha256 and counts of the splits.
        seed: the seed of order, augmentation, dropout and head.
        epochs: epochs trained.
        seconds, cpu_seconds: wall-clock and processor time of the training.
        machine: what it ran on; machines one after the other stand between semicolons.
        results: for each split accuracy, loss and n; and the best of the history.
        sha256: of `model.weights.h5`.
        fingerprint: logits of the fixed picture of `models.fingerprint`.
        command: the command that makes this run again.
    """

    task: str
    run: str
    architecture: str
    labels: tuple[str, ...]
    input_size: int
    units: int
    head: dict[str, Any] = field(default_factory=dict)
    preprocessing: dict[str, Any] = field(default_factory=dict)
    base_weights: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    epochs: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    machine: str = ""
    results: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""
    fingerprint: tuple[float, ...] = ()
    command: str = ""

    @property
    def name(self) -> str:
        """`<task>/<run>`."""
        return f"{self.task}/{self.run}"

    @property
    def view(self) -> dict[str, Any]:
        """How photographs become squares: arguments of `explain.Explainer` and `explain.photo.see`."""
        return {"fit": self.preprocessing.get("fit", "crop"), "source_size": self.preprocessing.get("source_size")}

    @property
    def machines(self) -> list[str]:
        """What it ran on, one machine each, in order."""
        return self.machine.split("; ") if self.machine else []

    def write(self, path: Path) -> None:
        """Write the card as JSON, in place of one that is there.

        Raises:
            OSError: if it cannot be written; the one before stays.
        """
        replace_text(path, json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Card":
        """Read a card.

        Raises:
            ModelError: if the file is missing, is not JSON, or lacks what a run needs.
        """
        try:
            if path.stat().st_size > MOST_BYTES:
                raise ModelError(f"{path} is no card: it is larger than 1 MB.")
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ModelError(f"{path.parent} holds no card.json, so nothing says what its weights are.") from None
        except (OSError, ValueError, RecursionError):
            raise ModelError(f"{path} cannot be read: it is damaged or not JSON.") from None
        known = cls.__dataclass_fields__
        try:
            card = cls(**{key: value for key, value in content.items() if key in known})
            kinds = [(part, dict) for name, part in vars(card).items() if known[name].default_factory is dict]
            kinds += [(found, dict) for found in card.results.values()]
            kinds += [(stage, dict) for stage in card.training.get("stages", ())]
            kinds += [(card.training.get("augmentation", {}), dict), (card.preprocessing.get("fit", "crop"), str)]
            if not all(isinstance(part, kind) for part, kind in kinds):
                raise TypeError
            return replace(
                card,
                labels=tuple(map(str, card.labels)),
                fingerprint=tuple(map(float, card.fingerprint)),
                input_size=int(card.input_size),
                units=int(card.units),
                seconds=float(card.seconds),
                cpu_seconds=float(card.cpu_seconds),
            )
        except (TypeError, ValueError, AttributeError, OverflowError):
            raise ModelError(
                f"{path} lacks what a run needs (task, run, architecture, labels, input_size, units), "
                "or something in it is of another kind."
            ) from None
