"""Three small networks to be trained from scratch, each deeper than the one before.

They are called as those of `keras.applications` are, so that `models.graphs.build` takes either. Pixels are 0..255;
the first layer brings them to -1..1.
"""

from collections.abc import Callable
from typing import Any


def CNN1(include_top: bool, weights: None, input_shape: tuple[int, int, int]) -> Any:
    """One stage: two convolutions of 32 channels, halved once."""
    return _network("cnn1", input_shape, stages=((32, 2),), norm=False)


def CNN2(include_top: bool, weights: None, input_shape: tuple[int, int, int]) -> Any:
    """Two stages of two convolutions, 32 and 64 channels, with dropout."""
    return _network("cnn2", input_shape, stages=((32, 2), (64, 2)), norm=False, dropout=0.2)


def CNN3(include_top: bool, weights: None, input_shape: tuple[int, int, int]) -> Any:
    """Four stages, 32 to 256 channels, with BatchNorm.

    The first stage and the last have one convolution only: at full size a second one would cost as much as all the
    rest, and where a cell sees the whole picture it adds little.
    """
    return _network("cnn3", input_shape, stages=((32, 1), (64, 2), (128, 2), (256, 1)), norm=True)


NETWORKS: dict[str, Callable[..., Any]] = {"CNN1": CNN1, "CNN2": CNN2, "CNN3": CNN3}


def _network(
    name: str, input_shape: tuple[int, int, int], stages: tuple[tuple[int, int], ...], norm: bool, dropout: float = 0.0
) -> Any:
    """Stages of (channels, convolutions), each halved by max pooling at its end."""
    import keras

    inputs = keras.Input(input_shape)
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    for number, (channels, count) in enumerate(stages, 1):
        for letter in "abcdef"[:count]:
            place = f"block{number}{letter}"
            x = keras.layers.Conv2D(
                channels, 3, padding="same", use_bias=not norm, kernel_initializer="he_normal", name=f"{place}_conv"
            )(x)
            if norm:
                x = keras.layers.BatchNormalization(momentum=0.9, name=f"{place}_bn")(x)
            x = keras.layers.Activation("relu", name=f"{place}_activation")(x)
        x = keras.layers.MaxPooling2D(name=f"block{number}_pool")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"block{number}_dropout")(x)
    return keras.Model(inputs, x, name=name)
