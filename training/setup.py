"""How a training runs on the machine at hand: precision, devices, and what it notes on the way."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.graphs import copy_weights
from training import convolution, memory
from training.cache import Cache
from training.recipe import TrainingError

MIXED = "mixed_bfloat16"
"""Weights in float32, layers in bfloat16: the range of float32, so that no loss need be scaled."""


@dataclass(frozen=True)
class Setup:
    """What may differ between two trainings that shall end alike, but for rounding.

    Attributes:
        cache: where the output of frozen layers is kept.
        mixed: whether layers compute in bfloat16.
        all_devices: whether every visible device has its share of each batch, or the first has all of it.
        logs: folder for TensorBoard, or None.
    """

    cache: Cache = field(default_factory=Cache)
    mixed: bool = False
    all_devices: bool = False
    logs: Path | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """What is built within runs as asked for."""
        import keras

        memory.keep()
        before = keras.config.dtype_policy()
        if self.mixed:
            keras.config.set_dtype_policy(MIXED)
        try:
            with _spread() if self.all_devices else nullcontext(), convolution.fast():
                yield
        finally:
            keras.config.set_dtype_policy(before)


@contextmanager
def _spread() -> Iterator[None]:
    """Data parallel over all devices of the kind that Keras would use one of; with JAX, of all processes."""
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        if "KERAS_DISTRIBUTION_NUM_PROCESSES" in os.environ:
            # Who takes part, Keras reads from such variables.
            keras.distribution.initialize()
        keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
        try:
            yield
        finally:
            keras.distribution.set_distribution(None)
    elif backend == "tensorflow":
        with _tensorflow_strategy().scope():
            yield
    else:
        raise TrainingError(f"All devices can be used with KERAS_BACKEND=jax or tensorflow, not with {backend}.")


def _tensorflow_strategy() -> Any:
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


@dataclass(frozen=True)
class Share:
    """What a process has of each batch: a part of `parts`; each part again goes to several devices.

    Attributes:
        part, parts: of the batch, by processes.
        devices: of all processes; batches are a multiple of it.
    """

    part: int = 0
    parts: int = 1
    devices: int = 1

    def epoch(self, pictures: int, size: int, steps: int) -> int:
        """How many pictures an epoch takes: one pass over all where it has as many steps, or else whole batches.

        What all devices cannot share of the last batch is left out.

        Raises:
            TrainingError: if they cannot share a whole batch.
        """
        if size % self.devices:
            raise TrainingError(f"A batch of {size} pictures cannot be shared by {self.devices} devices.")
        taken = pictures if steps == -(-pictures // size) else steps * size
        return taken - taken % self.devices


def share() -> Share:
    """The share of this process: all of it unless `Setup` spreads a JAX training (TensorFlow splits by itself)."""
    import keras

    found: Any = keras.distribution.distribution()
    if found is None:
        return Share()
    import jax

    return Share(jax.process_index(), jax.process_count(), found.device_mesh.devices.size)


def threads() -> int:
    """How many threads make pictures beside a training: where there are few cores, it needs them itself."""
    return max(1, (os.cpu_count() or 1) // 4)


@contextmanager
def alone() -> Iterator[None]:
    """Within, a JAX training that is spread computes on one device of its own process."""
    import keras

    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def twin(model: Any) -> Any:
    """A copy of a model to be used `alone`; the model itself where it is not spread."""
    import keras

    if keras.distribution.distribution() is None:
        return model
    with alone():
        copy = keras.models.clone_model(model)
        copy_weights(model, copy)
    return copy
