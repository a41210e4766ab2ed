"""Build the Keras graph that a card describes, always without weights.

`weights="imagenet"` would add a second Rescaling layer to an EfficientNet, so that the same weights gave other
logits. Every graph here is built with `weights=None` and loaded afterwards: where weights came from never
changes the graph.
"""

from typing import Any

from models.errors import ModelError


def build(architecture: str, input_size: int, units: int, dropout: float = 0.2, head_norm: bool = False) -> Any:
    """A classifier over one of `keras.applications`' networks.

    The head is global average pooling, BatchNorm where `head_norm` says so (the Food-101 study), dropout, and
    one dense layer named `logits` without an activation.

    Args:
        architecture: the name of a network in `keras.applications`, such as `EfficientNetB0`.
        input_size: side of the square picture, in pixels, 0..255 per channel.
        units: number of logits; 1 for two classes told apart by one sigmoid.
        dropout: share of pooled features dropped in training.
        head_norm: whether BatchNorm stands between pooling and dropout.

    Returns:
        A `keras.Model` from (B, input_size, input_size, 3) to (B, units).

    Raises:
        ModelError: if `keras.applications` has no such network.
    """
    import keras

    network = getattr(keras.applications, architecture, None)
    if network is None:
        raise ModelError(f"Keras has no network called {architecture!r}.")
    backbone = network(include_top=False, weights=None, input_shape=(input_size, input_size, 3))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(backbone.output)
    if head_norm:
        x = keras.layers.BatchNormalization(name="head_norm")(x)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(backbone.input, keras.layers.Dense(units, name="logits")(x), name=architecture.lower())


def backbone_of(model: Any) -> Any:
    """The part of a graph made by `build` that lies before the pooling, sharing its layers and weights."""
    import keras

    return keras.Model(model.input, model.get_layer("pool").input)
