"""Save a run to its folder and load it again, checked."""

import hashlib
import json
import math
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from models import foreign, graphs
from models.card import Card
from models.disk import require_room
from models.errors import ModelError
from models.fingerprint import fingerprint, same
from models.quiet import import_keras

CHECKPOINTS = Path(os.environ.get("PARALLAX_CHECKPOINTS", Path(__file__).parents[1] / "assets" / "checkpoints"))
WEIGHTS = "model.weights.h5"
HDF5 = (".h5", ".hdf5")
"""What Keras 2 called its models."""
MOST_LABELS = 1 << 20
"""Bytes of a stranger's `labels.json`."""


@dataclass(frozen=True)
class Run:
    """A run that was found, its model built when first asked for.

    Attributes:
        name: `<task>/<run>`, or the file it came from.
        card: what is known about it.
        build: gives `model`.
        identity: says all that decides what the model computes, the same in every process; empty where nothing but the
            model itself can tell.
        labels: class names.
        input_size: side of the square the network sees, in pixels.
    """

    name: str
    card: Card = field(repr=False)
    build: Callable[[], Any] = field(repr=False)
    identity: str = field(default="", repr=False)

    @cached_property
    def model(self) -> Any:
        """The Keras model, in inference mode."""
        return self.build()

    @property
    def labels(self) -> tuple[str, ...]:
        return self.card.labels

    @property
    def numbered(self) -> bool:
        """Whether its classes have no names, only their numbers."""
        return self.labels == tuple(map(str, range(len(self.labels))))

    @property
    def input_size(self) -> int:
        return self.card.input_size


def names(checkpoints: Path = CHECKPOINTS) -> list[str]:
    """The runs that lie in the checkpoint folder, as `<task>/<run>`, sorted."""
    return sorted(f"{card.parent.parent.name}/{card.parent.name}" for card in checkpoints.glob("*/*/card.json"))


def folder_of(name: str, checkpoints: Path = CHECKPOINTS) -> Path:
    """The folder of a run named `<task>/<run>`, or `name` itself where it is a folder.

    Raises:
        ModelError: if there is neither, or the folder is an export without layers.
    """
    folder = Path(name)
    if (checkpoints / name / "card.json").is_file() and len(folder.parts) == 2:
        return checkpoints / name
    held = {part for part in ("saved_model.pb", "card.json", "config.json") if (folder / part).is_file()}
    if held == {"saved_model.pb"}:
        raise ModelError(
            f"{name} is a SavedModel, which TensorFlow runs but nobody can look into: "
            'save the model that it was exported from with model.save("model.keras").'
        )
    if folder.is_dir():
        return folder
    if folder.is_file():
        cure = ': load it in Keras and save it with model.save("model.keras")' if folder.suffix in HDF5 else ""
        raise ModelError(f"{name} is neither a folder with a card.json nor a .keras file{cure}.")
    known = ", ".join(names(checkpoints)) or "none"
    raise ModelError(f"There is no run or folder called {name!r}; the runs here are: {known}.")


def resolve(name: str, checkpoints: Path = CHECKPOINTS) -> Path:
    """The folder or `.keras` file behind any name that `load` takes, fetched first if it is on the Hub.

    Raises:
        ModelError: if there is none.
    """
    if name.startswith("hf://"):
        from models import hub

        return hub.snapshot(name)
    if name.endswith(".keras") and not Path(name).is_dir():
        return Path(name)
    return folder_of(name, checkpoints)


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save(model: Any, card: Card, folder: Path, measure: Callable[[Any], dict[str, Any]] | None = None) -> Card:
    """Write weights (float16, no optimizer state) and card.

    Fingerprint and results are those of the weights as stored: rounded to float16 and loaded again into a fresh graph.

    Args:
        measure: what finds results of that graph, to stand before those that the card has.

    Returns:
        The card with sha256, fingerprint and results filled in.

    Raises:
        OSError: if the disk is full; what was there before stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fresh = graphs.build(card.architecture, card.input_size, card.units, **card.head)
    graphs.copy_weights(model, fresh)
    unfinished = folder / f"unfinished.{WEIGHTS}"
    # In float32 first, and beside that in float16.
    require_room(folder, 6 * sum(math.prod(variable.shape) for variable in fresh.variables))
    fresh.save_weights(unfinished)
    _halve(unfinished)
    fresh.load_weights(unfinished)
    results = (measure(fresh) if measure else {}) | card.results
    found = fingerprint(fresh, card.input_size)
    card = replace(card, sha256=sha256(unfinished), fingerprint=found, results=results)
    unfinished.replace(folder / WEIGHTS)
    card.write(folder / "card.json")
    return card


def load(name: str | os.PathLike[str], checkpoints: Path = CHECKPOINTS) -> Run:
    """Load a run and check that it is what its card says.

    Args:
        name: as for `find`.

    Raises:
        ModelError: if the run is missing, damaged, or its logits are not those of its card.
    """
    run = find(name, checkpoints)
    _ = run.model
    return run


def find(name: str | os.PathLike[str], checkpoints: Path = CHECKPOINTS) -> Run:
    """Find a run whose weights are those of its card; what else may be wrong is told when its model is built.

    Args:
        name: `<task>/<run>`, a folder with `card.json` and weights, a `.keras` file, a folder that Keras wrote, or
            `hf://user/repo[@revision]`.

    Raises:
        ModelError: if the run is missing or damaged.
    """
    text = os.fspath(name)
    folder = resolve(text, checkpoints)
    weights = folder / WEIGHTS
    if text.startswith("hf://") and weights.is_file():
        foreign.weigh(text, weights)
    if folder.suffix == ".keras" or (not (folder / "card.json").is_file() and (folder / "config.json").is_file()):
        run = _load_keras(folder)
    else:
        card = Card.read(folder / "card.json")
        if not weights.is_file():
            raise ModelError(f"{folder} has a card but no {WEIGHTS}.")
        if card.sha256 and sha256(weights) != card.sha256:
            raise ModelError(f"The weights in {folder} are not those of its card: the file is damaged or was replaced.")
        run = Run(card.name, card, lambda: _loaded(card, weights), _identity(card))
    return replace(run, name=text) if text.startswith("hf://") else run


def _identity(card: Card) -> str:
    if not card.sha256:
        return ""
    facts = [card.sha256, card.architecture, card.input_size, card.units, card.head, version("keras")]
    builders = [sha256(Path(__file__).with_name(name)) for name in ("graphs.py", "nets.py")]
    return json.dumps(facts + builders, sort_keys=True)


def _loaded(card: Card, weights: Path) -> Any:
    import_keras()
    model = _build(card)
    try:
        model.load_weights(weights)
    except Exception as error:
        raise ModelError(
            f"The weights in {weights.parent} do not fit {card.architecture}: "
            "the file is damaged or belongs to another graph."
        ) from error
    model.trainable = False
    check(model, card)
    return model


def _build(card: Card) -> Any:
    if not (1 <= card.input_size <= foreign.MOST_SIDE and 1 <= card.units <= foreign.MOST_UNITS):
        raise ModelError(f"{card.name} cannot be built: {card.input_size:,} px and {card.units:,} logits are absurd.")
    try:
        return graphs.build(card.architecture, card.input_size, card.units, **card.head)
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelError(f"{card.name} cannot be built: its card describes no network of Keras.") from error


def check(model: Any, card: Card) -> None:
    """Compare a model's fingerprint with its card's.

    Raises:
        ModelError: if the logits differ: other weights, or another graph around the same weights.
    """
    if card.fingerprint and not same(card.fingerprint, found := fingerprint(model, card.input_size)):
        raise ModelError(
            f"{card.name} does not give the logits of its card on the fixed picture "
            f"({found[0]:.4f} instead of {card.fingerprint[0]:.4f}): other weights or another graph."
        )


def _load_keras(path: Path) -> Run:
    """A model without a card: a `.keras` file, or a folder as Keras writes it."""
    if not path.exists():
        raise ModelError(f"There is no file {path}.")
    import_keras()
    model = foreign.load(path)
    seen: Any = getattr(model, "input_shape", None)
    given: Any = getattr(model, "output_shape", None)
    picture = isinstance(seen, tuple) and len(seen) == 4 and seen[3] == 3 and seen[1] == seen[2]
    if not picture or not isinstance(given, tuple) or len(given) != 2 or not given[1]:
        raise ModelError(
            f"{path.name} is no classifier: it must take one square colour picture and give one row of numbers."
        )
    size, units = seen[1] or 224, int(given[1])
    model.trainable = False
    labels, weights = _labels(path, max(2, units)), path / WEIGHTS if path.is_dir() else path
    card = Card("yours", path.stem, model.name, labels, input_size=size, units=units, sha256=sha256(weights))
    return Run(path.stem, card, lambda: model)


def _labels(path: Path, count: int) -> tuple[str, ...]:
    """The names in `labels.json`, where a folder has one for each class; otherwise numbers."""
    file = path / "labels.json"
    if file.is_file() and file.stat().st_size < MOST_LABELS:
        with suppress(ValueError):
            found = json.loads(file.read_text(encoding="utf-8"))
            if isinstance(found, list) and len(found) == count and all(isinstance(label, str) for label in found):
                return tuple(found)
    return tuple(map(str, range(count)))


def _halve(path: Path) -> None:
    """Rewrite a weights file with every float32 array whose numbers fit as float16, compressed."""
    import h5py

    half = path.with_suffix(".half")
    # Compact, and of a version that every HDF5 in use reads: what the latest writes, the one before it may not open.
    with h5py.File(path, "r") as source, h5py.File(half, "w", libver=("v110", "v110")) as target:

        def copy(place: str, item: Any) -> None:
            if isinstance(item, h5py.Group):
                target.require_group(place)
                return
            array = item[()]
            packing = {"compression": "gzip", "compression_opts": 9, "shuffle": True} if array.size > 1000 else {}
            fits = array.dtype == "float32" and not np.abs(array).max(initial=0) > np.finfo("float16").max
            target.create_dataset(place, data=array.astype("float16") if fits else array, **packing)

        source.visititems(copy)
    half.replace(path)
