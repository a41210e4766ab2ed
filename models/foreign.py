"""A stranger's Keras model: looked at first, then loaded without running anything of its own.

Keras' safe mode refuses code. What it does not refuse is size: a file of a few kilobytes may unpack to gigabytes, or
describe layers of terabytes. So the archive is measured before it is unpacked, its description before it is built, and
the network, built without its weights, before those are read.
"""

import io
import json
import math
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.errors import ModelError

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
MOST_BYTES = 1 << 30
"""Of a model, unpacked. EfficientNet-B7 with the state of an Adam has 0.8 GB."""
MOST_CONFIG = 8 << 20
"""Bytes of the description; the longest of `keras.applications` has less than 1 MB."""
MOST_OBJECTS = 20_000
"""Layers and what they are described by, each counted as often as it is called; B7 has 3,739."""
MOST_PARAMETERS = 150_000_000
"""B7 has 66 million, EfficientNetV2-L 119."""
MOST_CELLS = 1 << 25
"""Of one layer's output for one picture; B7 at 600 px has 17 million."""
MOST_SIDE = 1024
"""Of the picture a network takes, and of every map, in pixels."""
MOST_UNITS = 100_000
"""Logits; ImageNet-21k has 21,843 classes."""

CODE = {"Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"}
"""Layers that hold a program, or name one that lies elsewhere."""
FILES = {"StringLookup", "IntegerLookup", "TextVectorization"}
"""Layers that may name a file to read, and that no picture goes through."""


def load(path: Path) -> Any:
    """Load a `.keras` file, or a folder with the same three files.

    Returns:
        The `keras.Model`, not compiled.

    Raises:
        ModelError: if it is no Keras model, is too large, or would run code.
    """
    import keras

    with _parts(path) as (config, weights):
        _describe(path.name, config)
        weigh(path.name, weights)
    try:
        _alone(lambda: _measure(path.name, config))
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except ModelError:
        raise
    except Exception as error:
        raise _not_safe(path.name) from error


def _not_safe(name: str, why: str = "") -> ModelError:
    return ModelError(f"{name} is not a Keras model that can be loaded without running its code{why}.")


# -- The file ------------------------------------------------------------------------------------------------


@contextmanager
def _parts(path: Path) -> Iterator[tuple[dict[str, Any], Any]]:
    """The description and the open weights of a model whose size is bearable."""
    try:
        if path.is_dir():
            sizes = {file.name: file.stat().st_size for file in path.iterdir() if file.name in (CONFIG, WEIGHTS)}
            _fits(path.name, sizes)
            with (path / WEIGHTS).open("rb") as weights:
                yield _parsed(path.name, (path / CONFIG).read_bytes()), weights
            return
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            strange = sorted(sizes.keys() - {CONFIG, METADATA, WEIGHTS})
            if strange or len(sizes) < len(archive.infolist()):
                raise ModelError(f"{path.name} holds more than a network: {', '.join(strange) or 'files twice'}.")
            _fits(path.name, sizes)
            yield _parsed(path.name, archive.read(CONFIG)), io.BytesIO(archive.read(WEIGHTS))
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        # Encrypted, cut short, or packed as nobody knows.
        raise ModelError(
            f'{path.name} is damaged, or was not written by Keras: save the model again with model.save("model.keras").'
        ) from error


def _fits(name: str, sizes: dict[str, int]) -> None:
    missing = {CONFIG, WEIGHTS} - sizes.keys()
    if missing:
        raise ModelError(f"{name} is not a Keras model: it holds no {' and no '.join(sorted(missing))}.")
    if sizes[CONFIG] > MOST_CONFIG:
        raise ModelError(f"{name} is described by {_size(sizes[CONFIG])}; no network needs more than 8 MB.")
    if sum(sizes.values()) > MOST_BYTES:
        raise ModelError(f"{name} would unpack to {_size(sum(sizes.values()))}; 1 GB is the most that is loaded.")


def _parsed(name: str, config: bytes) -> dict[str, Any]:
    try:
        found = json.loads(config)
    except (ValueError, RecursionError) as error:
        raise _not_safe(name) from error
    if not isinstance(found, dict):
        raise _not_safe(name)
    return found


def weigh(name: str, weights: Any) -> None:
    """Refuse weights that would not fit in memory: a few packed bytes may stand for gigabytes.

    Args:
        name: of the model, for the message.
        weights: a path, or an open binary file.

    Raises:
        ModelError: if they are damaged or too large.
    """
    import h5py

    total = 0

    def add(_: str, item: Any) -> None:
        nonlocal total
        if isinstance(item, h5py.Dataset):
            total += item.size * item.dtype.itemsize

    try:
        with h5py.File(weights, "r") as file:
            file.visititems(add)
    except Exception as error:
        raise ModelError(f"The weights in {name} are damaged.") from error
    if total > MOST_BYTES:
        raise ModelError(f"The weights in {name} would unpack to {_size(total)}; 1 GB is the most that is loaded.")


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"


# -- Its description -----------------------------------------------------------------------------------------


def _describe(name: str, config: dict[str, Any]) -> None:
    """Refuse what is no layer of Keras' own, and what would take for ever to build."""
    try:
        objects = _count(name, config)
    except RecursionError as error:
        raise _not_safe(name) from error
    if objects > MOST_OBJECTS:
        raise ModelError(f"{name} describes a network of {objects:,} parts; {MOST_OBJECTS:,} are the most.")


def _count(name: str, part: Any) -> int:
    """Objects below a part, those of a model that is called twice counted twice."""
    if isinstance(part, list):
        return sum(_count(name, one) for one in part)
    if not isinstance(part, dict):
        return 0
    if "class_name" in part:
        _allow(name, part)
    below = int("class_name" in part) + sum(_count(name, one) for one in part.values())
    calls = part.get("inbound_nodes")
    return below * max(1, len(calls)) if isinstance(calls, list) else below


def _allow(name: str, part: dict[str, Any]) -> None:
    kind, module = str(part["class_name"]), part.get("module")
    if kind in CODE:
        raise _not_safe(name, f": its {kind.strip('_')} is a program; write it as layers")
    if kind in FILES:
        raise ModelError(f"{name} has a {kind}, which reads files and sees no pictures.")
    own = module not in (None, "builtins", "keras") and not str(module).startswith("keras.")
    # Keras writes what is registered as its own as `Package>Name`.
    if own or ">" in str(part.get("registered_name") or ""):
        raise _not_safe(name, f": its {kind} is not of Keras; build it of Keras' own layers")


# -- The network ---------------------------------------------------------------------------------------------


def _alone(work: Any) -> None:
    """Do something in a thread of its own: Keras keeps variables without values for the thread that made them."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def _measure(name: str, config: dict[str, Any]) -> None:
    """Build the network without its weights, and see how large it is."""
    import keras

    with keras.StatelessScope(initialize_variables=False):
        model: Any = keras.saving.deserialize_keras_object(config | {"compile_config": None}, safe_mode=True)
    if not isinstance(model, keras.Model):
        raise _not_safe(name)
    parameters = model.count_params() if model.built else 0
    if parameters > MOST_PARAMETERS:
        raise ModelError(f"{name} has {parameters:,} weights; {MOST_PARAMETERS:,} are the most that is loaded.")
    for shape in _shapes(model):
        if len(shape) == 3 and max(shape[:2]) > MOST_SIDE:
            raise ModelError(f"{name} has maps of {shape[0]:,} x {shape[1]:,}; {MOST_SIDE:,} is the most.")
        if math.prod(shape) > MOST_CELLS:
            raise ModelError(f"{name} has a layer of {math.prod(shape):,} numbers; {MOST_CELLS:,} are the most.")


def _shapes(model: Any) -> Iterator[tuple[int, ...]]:
    """Shapes of what flows through a network for one picture, open sides taken as 224."""
    import keras

    # Not its layers alone: keras.ops.tile is none.
    for layer in getattr(model, "operations", model.layers):
        if isinstance(layer, keras.Model):
            yield from _shapes(layer)
        for tensor in keras.tree.flatten(getattr(layer, "output", None)):
            if tensor is not None:
                yield tuple(int(side or 224) for side in tensor.shape[1:])
