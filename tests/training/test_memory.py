"""A training keeps the memory that a step frees for the next step."""

import platform

import keras
import numpy as np
import pytest

from training.batches import batches_of
from training.setup import Setup

resource = pytest.importorskip("resource")
STEPS, ROWS = 12, 8
PAGE = resource.getpagesize()


class Faults(keras.callbacks.Callback):
    """Pages that the kernel had to find between the middle of an epoch and its end."""

    found = 0

    def on_train_batch_begin(self, batch, logs=None):
        if batch == STEPS // 2:
            self.found = -resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    def on_train_end(self, logs=None):
        self.found += resource.getrusage(resource.RUSAGE_SELF).ru_minflt


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep what is freed")
def test_no_activation_asks_the_kernel_for_its_pages_again():
    image = keras.Input((64, 64, 16))
    x = keras.layers.Activation("relu")(keras.layers.Conv2D(16, 1)(image))
    pictures, labels = np.zeros((ROWS, 64, 64, 16), np.float32), np.zeros(ROWS)
    activation = ROWS * 64 * 64 * 16 * 4 // PAGE
    faults = Faults()
    with Setup()():
        model = keras.Model(image, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(x)))
        model.compile("sgd", "mse")
        batches = batches_of(lambda chosen, epoch: pictures[chosen], labels, ROWS, STEPS, seed=0, epoch=0)
        model.fit(batches, verbose=0, callbacks=[faults])
    assert 0 <= faults.found < activation * (STEPS - STEPS // 2)
