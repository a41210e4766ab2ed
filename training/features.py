"""What the frozen part of a network makes of each view of each picture: computed once and kept on disk.

Where they are kept follows from the weights, the pictures and the views, so that every training with the same frozen
part (another optimizer, another rate, a resumed one) finds them again.
"""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from models.forward import forward
from training.cache import Cache, Store
from training.freeze import Cut
from training.setup import alone, twin
from training.views import Views

CHUNK = 8
"""Pictures in one run of OpenVINO: more no longer fit the caches."""


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


def _key(cut: Cut, source: Views) -> str:
    """A name for what these weights make of these views of these pictures."""
    import keras

    digest = hashlib.sha256()
    # Not the state of dropout: a frozen part drops nothing.
    for variable in cut.front.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable)).tobytes())
    digest.update(np.ascontiguousarray(source.pictures).data)
    # A version of this code, of Pillow or of OpenCV that makes other views keeps features of its own.
    digest.update(source.of(source.pictures[0], 0, 0).tobytes())
    facts = [source.augmentation.facts, source.size, source.seed, source.count, source.pictures.shape, cut.name]
    if (precision := cut.front.output.dtype) != "float32":
        # What is made in bfloat16 is for nobody who asks for float32.
        facts.append(precision)
    digest.update(json.dumps(facts).encode())
    return digest.hexdigest()[:32]


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
    front = twin(cut.front)

    def frozen(pictures: np.ndarray) -> np.ndarray:
        with alone():
            return np.asarray(forward(front, pictures.astype("float32")), np.float32)

    return frozen
