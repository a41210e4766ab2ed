"""What Keras is fed with."""

from typing import Any

import numpy as np

from training import views
from training.setup import share


def batches_of(
    source: views.Source, labels: np.ndarray, size: int, steps: int, seed: int, epoch: int, threads: int = 1
) -> Any:
    """The batches of one epoch as a Keras data set, the same for every optimizer.

    With fewer steps than one pass, an epoch is the beginning of its own random order; with more, it begins anew.

    Args:
        source: views of the pictures, or what frozen layers make of them.
        labels: (N,) of the pictures.
        size: pictures a batch, of all processes together; the last batch of one pass may be smaller.
        threads: that make batches beside the training; with one, each is made when it is asked for.

    Raises:
        TrainingError: if the devices cannot share a batch.
    """
    import keras

    mine = share()
    order = np.resize(views.order(len(labels), seed, epoch), mine.epoch(len(labels), size, steps))

    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return -(-len(order) // size)

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            chosen = np.split(order[index * size :][:size], mine.parts)[mine.part]
            # Bytes stay bytes: a quarter of what goes to the device, where Keras makes them what the network wants.
            return source(chosen, epoch), labels[chosen]

    return Batches(workers=threads)


def fed(batches: Any) -> Any:
    """Batches of `batches_of` as `fit` shall take them.

    With TensorFlow, Keras makes of a `PyDataset` without threads a pipeline that tunes itself, and the end of an epoch
    then waits for the tuner's next turn, which comes after twice as long as the one before: an epoch of ten seconds can
    take twenty, and a long one up to a minute more.
    """
    import keras

    if keras.backend.backend() != "tensorflow" or batches.workers > 1:
        return batches
    import tensorflow as tf

    like = batches[0]

    def batch(index: Any) -> tuple[Any, ...]:
        parts = tf.numpy_function(lambda number: batches[int(number)], [index], [part.dtype for part in like])
        return tuple(tf.ensure_shape(part, (None, *one.shape[1:])) for part, one in zip(parts, like, strict=True))

    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.range(len(batches)).map(batch).prefetch(1).with_options(options)
