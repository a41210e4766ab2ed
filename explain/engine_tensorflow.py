"""The reference engine: TensorFlow's tape over one traced function, for any Keras classifier."""

import inspect
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from explain.engine import Pass
from explain.layers import Layer, output_of

MOST_TARGETS = 10
"""Targets in one traced function; more are split into several. Tracing takes about a second for each."""


def traced(function: Callable[..., Any], *arguments: Any) -> Any:
    """A function of tensors, traced for arguments of these `tf.TensorSpec`, to be called with arrays too.

    What `tf.function` gives would be traced at its first call, and after a few networks TensorFlow takes all of them
    for one function that is traced time and again, and warns of it.
    """
    import tensorflow as tf

    return tf.function(function, input_signature=arguments).get_concrete_function()


class TensorFlowEngine:
    """Logits, activations and gradients of a flat Keras model in one traced pass.

    The function is traced once for each number of targets, up to `MOST_TARGETS`, and called under a lock: Keras models
    are neither thread-safe while tracing nor cheap to trace again.
    """

    most_targets = MOST_TARGETS

    def __init__(self, model: Any, layers: Sequence[Layer]) -> None:
        """`model` is flat and ends in logits (B, U); `layers` are layers of it."""
        import keras
        import tensorflow as tf

        self._names = [layer.name for layer in layers]
        tensors = [output_of(model, layer.keras_name) for layer in layers]
        self._gated = [layer.name for layer in layers if layer.gates]
        gated = [model.get_layer(layer.gates).output for layer in layers if layer.gates]
        self._model = keras.Model(model.input, [*tensors, *gated, model.output])
        units = model.output.shape[1]
        self._lock = threading.Lock()
        self._picture = tf.TensorSpec(model.input.shape, tf.float32)

        def both(images: Any, cotangents: Any) -> Any:
            *found, logits = self._model(images, training=False)
            activations, gates = found[: len(self._names)], found[len(self._names) :]
            # A tape begins at the images and loses every layer behind a step that has no gradient; these do not.
            gradients = [
                tf.gradients(row * logits, activations, unconnected_gradients=tf.UnconnectedGradients.ZERO)
                for row in tf.unstack(cotangents, axis=1)
            ]
            return logits, activations, [tf.stack(parts, axis=1) for parts in zip(*gradients, strict=True)], gates

        self._traced: dict[int, Any] = {}
        self._trace = lambda targets: traced(both, self._picture, tf.TensorSpec((None, targets, units), tf.float32))

    @cached_property
    def _logits(self) -> Any:
        return traced(lambda images: self._model(images, training=False)[-1], self._picture)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits (B, U) of photographs (B, S, S, 3), 0..255, without a backward pass."""
        with self._lock:
            return self._logits(images.astype("float32")).numpy()

    def __call__(self, images: np.ndarray, cotangents: np.ndarray) -> Pass:
        """Photographs (B, S, S, 3) float32 in 0..255 and cotangents (B, T, U) float32."""
        gradients = []
        with self._lock:
            for first in range(0, cotangents.shape[1], MOST_TARGETS):
                some = cotangents[:, first : first + MOST_TARGETS]
                targets = some.shape[1]
                if targets not in self._traced:
                    self._traced[targets] = self._trace(targets)
                logits, activations, found, gates = self._traced[targets](
                    images.astype("float32"), some.astype("float32")
                )
                gradients.append([values.numpy() for values in found])
        return Pass(
            logits.numpy(),
            {name: values.numpy() for name, values in zip(self._names, activations, strict=True)},
            {name: np.concatenate(parts, 1) for name, *parts in zip(self._names, *gradients, strict=True)},
            {name: values.numpy()[:, 0, 0] for name, values in zip(self._gated, gates, strict=True)},
        )


def at_rest(operation: Any) -> Callable[..., Any]:
    """An operation of a Keras graph as it acts at inference, whatever the graph says."""
    if "training" not in inspect.signature(operation.call).parameters:
        return operation
    return lambda *arguments, **options: operation(*arguments, **{**options, "training": False})


class Behind:
    """The part of a network behind one layer, as a traced function of the layer's activations.

    Paths that lead past the layer see the photograph as it is.
    """

    def __init__(self, model: Any, layer: Layer) -> None:
        """`model` is flat and ends in logits (B, U); `layer` is a layer of it."""
        import keras
        import tensorflow as tf

        # A Model would copy the connections of its layers; what leads to the layer alone is no part of this.
        behind = keras.Function([model.input, output_of(model, layer.keras_name)], model.output)

        def run(image: Any, activations: Any) -> Any:
            images = tf.repeat(image, tf.shape(activations)[0], axis=0)
            return behind._run_through_graph([images, activations], operation_fn=at_rest)

        picture = tf.TensorSpec((1, *model.input.shape[1:]), tf.float32)
        cells = tf.TensorSpec((None, *layer.shape), tf.float32)
        self._traced = traced(run, picture, cells)
        self._lock = threading.Lock()

    def __call__(self, image: np.ndarray, activations: np.ndarray) -> np.ndarray:
        """Logits (B, U) of activations (B, H, W, C) in the place of those of the photograph (1, S, S, 3)."""
        with self._lock:
            return self._traced(image.astype("float32"), activations.astype("float32")).numpy()
