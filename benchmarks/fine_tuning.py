"""Keras' tutorial on fine-tuning, for the comparison.

The steps of https://keras.io/examples/vision/image_classification_efficientnet_fine_tuning/ (Fu, 2020; Apache License
2.0): augmentation in the model, 25 epochs of a head (BatchNorm, dropout, softmax) on the frozen network with Adam at
1e-2, then 4 epochs of the top 20 layers, BatchNorm left out, with Adam at 1e-5; batches of 64, one-hot labels.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from models.graphs import backbone_of, copy_weights
from training.data import Split

BATCH = 64
HEAD_EPOCHS, TOP_EPOCHS = 25, 4


def epochs(model: Any, training: Split, validation: Split) -> Iterator[float]:
    """The validation accuracy of a network of `build` after each epoch; pictures are of its size."""
    import keras
    import tensorflow as tf

    classes = model.output.shape[-1]
    train = (
        tf.data.Dataset.from_tensor_slices((training.pictures, training.labels))
        .shuffle(len(training))
        .map(lambda picture, label: (picture, tf.one_hot(label, classes)), tf.data.AUTOTUNE)
        .batch(BATCH, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )
    test = tf.data.Dataset.from_tensor_slices((validation.pictures, np.eye(classes)[validation.labels])).batch(BATCH)
    for count, rate in ((HEAD_EPOCHS, 1e-2), (TOP_EPOCHS, 1e-5)):
        if rate < 1e-2:
            _unfreeze(model)
        model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy", metrics=["accuracy"])
        for _ in range(count):
            found = model.fit(train, epochs=1, validation_data=test, verbose=0).history
            yield found["val_accuracy"][0]


def build(start: Any, classes: int) -> Any:
    """The tutorial's network, its head untrained.

    Args:
        start: a graph of `models.graphs.build` whose backbone has the weights to start from.
        classes: outputs.
    """
    import keras

    network: Any = keras.applications.EfficientNetB0
    inputs = keras.Input(start.input.shape[1:])
    x = inputs
    for layer in (
        keras.layers.RandomRotation(factor=0.15),
        keras.layers.RandomTranslation(height_factor=0.1, width_factor=0.1),
        keras.layers.RandomFlip(),
        keras.layers.RandomContrast(factor=0.1),
    ):
        x = layer(x)
    model = network(include_top=False, input_tensor=x, weights=None)
    # Augmentation has states, but no weights.
    copy_weights(backbone_of(start), model)
    model.trainable = False
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(model.output)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.2, name="top_dropout")(x)
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax", name="pred")(x))


def _unfreeze(model: Any) -> None:
    import keras

    for layer in model.layers[-20:]:
        if not isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = True
