"""What `fit` is fed with is what `batches_of` makes, in its order."""

import keras
import numpy as np
import pytest

from training.batches import batches_of, fed

COUNT, SIZE, STEPS = 11, 4, 3
PICTURES = np.arange(COUNT * 12, dtype=np.uint8).reshape(COUNT, 2, 2, 3)
LABELS = np.arange(COUNT) % 3


def made(asked: list[list[int]], threads: int = 1):
    def source(chosen, epoch):
        asked.append(list(chosen))
        return PICTURES[chosen]

    return batches_of(source, LABELS, SIZE, STEPS, seed=1, epoch=2, threads=threads)


def test_fit_gets_each_batch_in_its_order_and_precision():
    asked: list[list[int]] = []
    batches = made([])
    got = list(fed(made(asked)))
    assert len(got) == STEPS
    for (pictures, labels), index in zip(got, range(STEPS), strict=True):
        wanted = batches[index]
        assert pictures.dtype.name == "uint8"
        assert np.array_equal(pictures, wanted[0])
        assert np.array_equal(labels, wanted[1])
    # The first once more, for its shape.
    assert [len(chosen) for chosen in asked] == [4, 4, 4, 3]
    assert asked[0] == asked[1]


def test_no_tuner_holds_up_the_end_of_an_epoch():
    # None would be the default: tuned.
    assert fed(made([])).options().autotune.enabled is False


def test_threads_stay_keras_own():
    batches = made([], threads=2)
    assert fed(batches) is batches


def test_other_backends_get_the_batches_themselves(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    batches = made([])
    assert fed(batches) is batches


@pytest.mark.parametrize("wrong", [OSError("the disk is gone"), ValueError("no picture")])
def test_what_goes_wrong_in_a_batch_is_said(wrong):
    def source(chosen, epoch):
        if 0 in chosen:
            raise wrong
        return PICTURES[chosen]

    batches = batches_of(source, LABELS, 1, COUNT, seed=1, epoch=2)
    with pytest.raises(Exception, match=str(wrong)):
        list(fed(batches))
