"""Build the Keras graph that a card describes, always without weights.

`weights="imagenet"` would add a second Rescaling layer to an EfficientNet, so that the same weights gave other
logits. Every graph here is built with `weights=None` and loaded afterwards: where weights came from never
changes the graph.
"""

import sys
from typing import Any

import numpy as np

from models.errors import ModelError
from models.nets import NETWORKS


def build(architecture: str, input_size: int, units: int, dropout: float = 0.2, head_norm: bool = False) -> Any:
    """A classifier over one of `keras.applications`' networks, or of `models.nets`.

    Pixels are 0..255 whatever the network: what its `preprocess_input` does is the first layer of the graph. The head
    is global average pooling, BatchNorm where `head_norm` says so (the Food-101 study), dropout, and one dense layer
    named `logits` without an activation, which computes in float32 where others compute in bfloat16.

    Args:
        architecture: the name of a network, such as `EfficientNetB0`.
        input_size: side of the square picture, in pixels, 0..255 per channel.
        units: number of logits; 1 for two classes told apart by one sigmoid.
        dropout: share of pooled features dropped in training.
        head_norm: whether BatchNorm stands between pooling and dropout.

    Returns:
        A `keras.Model` from (B, input_size, input_size, 3) to (B, units).

    Raises:
        ModelError: if there is no such network, or it wants its channels in another order than RGB.
    """
    import keras

    network = NETWORKS.get(architecture) or getattr(keras.applications, architecture, None)
    if network is None:
        raise ModelError(f"Keras has no network called {architecture!r}.")
    shape = (input_size, input_size, 3)
    rescaling = _rescaling(network, architecture)
    if rescaling is None:
        backbone = network(include_top=False, weights=None, input_shape=shape)
    else:
        backbone = network(include_top=False, weights=None, input_tensor=rescaling(keras.Input(shape)))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(backbone.output)
    if head_norm:
        x = keras.layers.BatchNormalization(name="head_norm")(x)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    # In bfloat16 classes that are less than a hundredth apart would be a tie.
    logits = keras.layers.Dense(units, dtype="float32", name="logits")(x)
    return keras.Model(backbone.input, logits, name=architecture.lower())


def _rescaling(network: Any, architecture: str) -> Any:
    """A layer that does what the network's `preprocess_input` does; None where that does nothing."""
    import keras

    preprocess = getattr(sys.modules[network.__module__], "preprocess_input", None)
    if preprocess is None:
        return None
    # It is one factor and one offset for each channel, so three pixels tell all of it.
    pixels = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0]], "float32")
    black, white, red = preprocess(pixels.copy()[:, None, None]).reshape(3, 3)
    if np.array_equal((black, white, red), pixels):
        return None
    if not np.array_equal(red[1:], black[1:]):
        raise ModelError(f"{architecture} wants its channels in the order BGR, and pictures here are RGB.")
    return keras.layers.Rescaling(((white - black) / 255).tolist(), offset=black.tolist(), name="rescaling")


def backbone_of(model: Any) -> Any:
    """The part of a graph made by `build` that lies before the pooling, sharing its layers and weights."""
    import keras

    return keras.Model(model.input, model.get_layer("pool").input)


def copy_weights(source: Any, target: Any) -> None:
    """Give a graph all weights of another of the same kind, so that both compute the same.

    `set_weights` alone is not enough: a `Normalization` computes with what it derived from its weights when they came.
    """
    import keras

    target.set_weights(source.get_weights())
    for layer in target.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.built:
            layer.finalize_state()
