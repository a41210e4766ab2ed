"""What the frozen part of a network makes of each view of each picture: computed once and kept on disk.

Features are stored as float16 in a memory-mapped file whose name follows from the weights, the pictures and the views,
so that every training with the same frozen part (another optimizer, another rate, a resumed one) finds them again.
A file may be removed at any time; it is then computed anew.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from training.freeze import Cut
from training.views import Views

FOLDER = Path(os.environ.get("PARALLAX_FEATURES", Path.home() / ".cache" / "parallax" / "features"))
GIGABYTE = 1_000_000_000
MOST = 20 * GIGABYTE
"""Bytes that all features together may take."""
CHUNK = 8
"""Pictures in one run of OpenVINO: more no longer fit the caches."""


@dataclass(frozen=True)
class Cache:
    """Where features are kept, and how many bytes they may take together; 0 keeps none."""

    folder: Path = FOLDER
    most: int = MOST


class Features:
    """Features of pictures in place of the pictures: `features(indices, epoch)`, (B, ...) float32.

    Args:
        cut: the network.
        source: the views of the pictures; where it bounds their number, features are kept.
        cache: where they are kept.
        forward: the frozen part, from `forward_of`.
        say: told, in a sentence, why they are not kept where they should be.
    """

    def __init__(self, cut: Cut, source: Views, cache: Cache, forward: "Forward", say: Callable[[str], None]):
        self._source, self._forward, self._say = source, forward, say
        self._store = None
        if source.count and cache.most:
            shape = (source.count, len(source.pictures), *cut.front.output.shape[1:])
            try:
                self._store = Store(cache, _key(cut, source), shape)
            except OSError as error:
                self._give_up(error.strerror or str(error))

    def __call__(self, indices: Sequence[int] | np.ndarray, epoch: int) -> np.ndarray:
        if self._store is None:
            return self._compute(indices, epoch)
        indices = np.asarray(indices)
        view = self._source.view(epoch)
        # A batch may hold a picture twice.
        missing = np.unique(indices[~self._store.known[view, indices]])
        if len(missing):
            found = self._compute(missing, epoch)
            if not self._store.put(view, missing, found):
                self._store = None
                self._give_up("they are too large for 16 bits")
                return self._compute(indices, epoch)
        return self._store.values[view, indices].astype("float32")

    def keep(self) -> None:
        """Make what was computed last: what a power cut may lose is only what came after."""
        if self._store is not None:
            self._store.keep()

    def _compute(self, indices: Sequence[int] | np.ndarray, epoch: int) -> np.ndarray:
        return self._forward(self._source(indices, epoch))

    def _give_up(self, why: str) -> None:
        self._say(f"What the frozen layers make of the pictures is not kept, but computed in every epoch: {why}.")


class Store:
    """A memory-mapped file of features, (views, pictures, ...) float16, and which of them are `known`.

    Raises:
        OSError: if it would take more than the cache may or the disk has.
    """

    def __init__(self, cache: Cache, key: str, shape: tuple[int, ...]):
        self._file, self._index = cache.folder / f"{key}.features", cache.folder / f"{key}.known.npy"
        size = 2 * int(np.prod(shape))
        cache.folder.mkdir(parents=True, exist_ok=True)
        if not self._file.is_file() or self._file.stat().st_size != size:
            _make_room(cache, size)
            _reserve(self._file, size)
            self._index.unlink(missing_ok=True)
        os.utime(self._file)
        self.values = np.memmap(self._file, np.float16, "r+", shape=shape)
        self.known = np.zeros(shape[:2], bool)
        if self._index.is_file():
            self.known |= np.load(self._index)
        self._kept = int(self.known.sum())

    def put(self, view: int, indices: np.ndarray, features: np.ndarray) -> bool:
        """Store features; False if they are too large for float16."""
        if np.abs(features).max() > np.finfo(np.float16).max:
            return False
        self.values[view, indices] = features
        self.known[view, indices] = True
        return True

    def keep(self) -> None:
        """Write the features to disk and then, only then, that they are there."""
        if self.known.sum() == self._kept:
            return
        self.values.flush()
        unfinished = self._index.with_suffix(f".{os.getpid()}.npy")
        np.save(unfinished, self.known)
        unfinished.replace(self._index)
        self._kept = int(self.known.sum())


def _key(cut: Cut, source: Views) -> str:
    """A name for what these weights make of these views of these pictures."""
    digest = hashlib.sha256()
    for variable in cut.front.variables:
        digest.update(np.ascontiguousarray(variable).tobytes())
    digest.update(np.ascontiguousarray(source.pictures).data)
    facts = [vars(source.augmentation), source.size, source.seed, source.count, source.pictures.shape, cut.name]
    digest.update(json.dumps(facts).encode())
    return digest.hexdigest()[:32]


def _make_room(cache: Cache, size: int) -> None:
    """Remove the features that were not used for longest until `size` bytes more may be taken."""
    if size > cache.most:
        raise OSError(f"they would take {size / GIGABYTE:.1f} GB, and {cache.most / GIGABYTE:.1f} GB are allowed")
    files = sorted(cache.folder.glob("*.features"), key=lambda file: file.stat().st_mtime)
    taken = sum(file.stat().st_size for file in files)
    for file in files:
        free = shutil.disk_usage(cache.folder).free
        if taken + size <= cache.most and size <= free:
            break
        taken -= file.stat().st_size
        file.with_suffix(".known.npy").unlink(missing_ok=True)
        file.unlink()


def _reserve(file: Path, size: int) -> None:
    """Give a new file its place on the disk: a memory map that meets a full disk would end the process."""
    file.unlink(missing_ok=True)
    with file.open("wb") as content:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(content.fileno(), 0, size)
            else:
                content.truncate(size)
        except OSError:
            file.unlink()
            raise


Forward = Callable[[np.ndarray], np.ndarray]


def forward_of(model: Any, cut: Cut) -> Forward:
    """The frozen part as a function from pictures (B, S, S, 3), 0..255, to float32 features.

    In OpenVINO where it is installed and the network is an EfficientNet (two to four times as fast on a processor);
    in Keras otherwise.
    """
    return _openvino(model, cut) or _keras(cut)


def _openvino(model: Any, cut: Cut) -> Forward | None:
    try:
        # By name: the type checker does not follow how OpenVINO builds its Model.
        openvino: Any = import_module("openvino")

        from explain import graph
        from explain.errors import EngineError
    except ImportError:
        return None
    import keras

    block = re.match(r"block(\d+[a-z])_", cut.name)
    layer = block[1] if block else {"pool": "top", "stem_activation": "stem"}.get(cut.name)
    if layer is None:
        return None
    # The graph's writer wants a classifier; what its head says is not asked for.
    pool = model.get_layer("pool")
    head = keras.layers.Dense(1, kernel_initializer="zeros", name="nothing")(pool.output)
    try:
        written = graph.write(keras.Model(model.input, head), outputs="all", layers=[layer])
    except EngineError:
        return None
    core = openvino.Core()
    network = core.read_model(written.SerializeToString())
    network = openvino.Model([network.output(f"activation/{layer}")], network.get_parameters()[:1])
    size = cut.front.input.shape[1]
    network.reshape([CHUNK, size, size, 3])
    # The plugin's own choice of precision is bfloat16 where the processor can.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT"}
    compiled = core.compile_model(network, "CPU", settings)
    queue = openvino.AsyncInferQueue(compiled)
    pooled = cut.name == "pool"

    def forward(pictures: np.ndarray) -> np.ndarray:
        found = np.empty((len(pictures), *cut.front.output.shape[1:]), np.float32)

        def take(request: Any, first: int) -> None:
            made = request.get_output_tensor().data[: len(pictures) - first]
            found[first : first + CHUNK] = made.mean((1, 2)) if pooled else made

        queue.set_callback(take)
        for first in range(0, len(pictures), CHUNK):
            chunk = np.zeros((CHUNK, size, size, 3), np.float32)
            some = pictures[first : first + CHUNK]
            chunk[: len(some)] = some
            queue.start_async([chunk], first)
        queue.wait_all()
        return found

    return forward


def _keras(cut: Cut) -> Forward:
    def forward(pictures: np.ndarray) -> np.ndarray:
        return np.asarray(cut.front.predict_on_batch(pictures.astype("float32")), np.float32)

    return forward
