"""The fast engine: an EfficientNet's written-out pass (`graph.py`) in OpenVINO, on the processor, in float32.

Measured on B0 at 224 px: a batch of photographs in one run costs half as much again per photograph as one run after
another (what one photograph needs fits the caches), while targets of one photograph that share its forward pass cost
two thirds of a run each. So photographs go through one by one, and their targets together.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from explain import graph
from explain.engine import Pass
from explain.errors import EngineError

# Targets in one run; more are split into several. Bounds the memory: about 5 MB a target for B0 at 224 px.
MOST_TARGETS = 16
# Compiled graphs kept, one for each number of targets; about 60 MB each for B0.
MOST_COMPILED = 4


class OpenVinoEngine:
    """`engine(images, cotangents) -> Pass` for a Keras EfficientNet; safe to call from several threads.

    `layers` are names as in `graph.write`, `size` the side of the photographs in pixels. `threads` bounds the processor
    threads of one call (default: OpenVINO's choice for low latency); two engines side by side on two cores are fastest
    with one each. In `cache`, a folder, OpenVINO keeps what it has compiled, for a faster start of the next process.

    Changing the model's weights afterwards changes nothing here. Raises EngineError where OpenVINO is not installed or
    the network is none that `graph.write` knows: TensorFlow's engine is for those.
    """

    def __init__(
        self,
        model: keras.Model,
        layers: Sequence[str],
        size: int,
        *,
        threads: int | None = None,
        cache: Path | None = None,
    ):
        try:
            import openvino
        except ImportError:
            message = "OpenVINO is not installed: pip install openvino, or use the tensorflow engine."
            raise EngineError(message) from None
        self._layers, self._size = tuple(layers), size
        network = graph.write(model, size, layers=layers)
        self._units = network.graph.output[0].type.tensor_type.shape.dim[1].dim_value
        self._openvino, self._core = openvino, openvino.Core()
        self._network = self._core.read_model(network.SerializeToString())
        # The plugin's own choice is bfloat16 where the processor can: maps 4 to 13 % off.
        self._settings: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            self._settings["INFERENCE_NUM_THREADS"] = threads
        if cache is not None:
            self._settings["CACHE_DIR"] = str(cache)
        self._compiled: OrderedDict[int, tuple[Any, threading.Lock]] = OrderedDict()
        self._lock = threading.Lock()

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits (B, U) of photographs (B, S, S, 3), 0..255, without a backward pass."""
        self._check(images)
        request, lock = self._request(0)
        with lock:
            return np.concatenate([request.infer({"image": image[None]})["logits"] for image in images])

    def __call__(self, images: np.ndarray, cotangents: np.ndarray) -> Pass:
        """Photographs (B, S, S, 3) float32 in 0..255, cotangents (B, T, U) float32; the caller owns what comes back."""
        self._check(images)
        photos, targets = len(images), cotangents.shape[1]
        if cotangents.shape != (photos, targets, self._units) or not targets:
            raise EngineError(f"{photos} photographs need as many rows of cotangents for {self._units} units.")
        logits = np.empty((photos, self._units), np.float32)
        activations: dict[str, np.ndarray] = {}
        gradients: dict[str, np.ndarray] = {}
        for name in self._layers:
            shape = self._network.output(f"activation/{name}").shape[1:]
            activations[name] = np.empty((photos, *shape), np.float32)
            gradients[name] = np.empty((photos, targets, *shape), np.float32)
        for photo in range(photos):
            for first in range(0, targets, MOST_TARGETS):
                rows = slice(first, min(first + MOST_TARGETS, targets))
                request, lock = self._request(rows.stop - rows.start)
                with lock:
                    request.infer({"image": images[photo : photo + 1], "cotangent": cotangents[photo, rows]})
                    logits[photo] = request.get_tensor("logits").data[0]
                    for name in self._layers:
                        activations[name][photo] = request.get_tensor(f"activation/{name}").data[0]
                        gradients[name][photo, rows] = request.get_tensor(f"gradient/{name}").data
        return Pass(logits, activations, gradients)

    def _check(self, images: np.ndarray) -> None:
        if images.shape[1:] != (self._size, self._size, 3):
            raise EngineError(f"This engine takes photographs of {self._size} x {self._size} pixels with 3 channels.")

    def _request(self, targets: int) -> tuple[Any, threading.Lock]:
        """The run for so many targets, or for the logits alone, and the lock of whoever uses it.

        Each number of targets is compiled by itself: a graph open for any number would be a third slower.
        """
        with self._lock:
            if targets not in self._compiled:
                network = self._network.clone()
                if targets:
                    network.reshape({"cotangent": [targets, self._units]})
                else:
                    network = self._openvino.Model([network.output("logits")], network.get_parameters()[:1])
                compiled = self._core.compile_model(network, "CPU", self._settings)
                self._compiled[targets] = compiled.create_infer_request(), threading.Lock()
                if len(self._compiled) > MOST_COMPILED:
                    self._compiled.popitem(last=False)
            self._compiled.move_to_end(targets)
            return self._compiled[targets]
