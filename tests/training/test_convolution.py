"""Convolutions without cuDNN are the convolution: place by place in float64, and so are their gradients."""

import itertools

import jax
import numpy as np
import pytest

from training import convolution

SHAPES = [
    pytest.param(size, stride, padding, rows, id=f"{size}x{size}-{stride}-{padding}-{rows}")
    for size, stride, padding, rows in [
        (5, 1, "same", 7),
        (3, 2, "same", 6),
        (3, 2, "valid", 8),
    ]
]


def slow(x: np.ndarray, kernel: np.ndarray, given: np.ndarray | None, stride: int, padding: str) -> tuple:
    """A convolution (B, H, W, C) with (K, K, C, D), product by product; and what `given`, the gradient of its result,
    makes the gradients of both.
    """
    size, sides = len(kernel), x.shape[1:3]
    if padding == "same":
        counts = [-(-side // stride) for side in sides]
        before = [max((count - 1) * stride + size - side, 0) // 2 for count, side in zip(counts, sides, strict=True)]
    else:
        counts, before = [(side - size) // stride + 1 for side in sides], [0, 0]
    result = np.zeros((len(x), *counts, kernel.shape[-1]))
    by_x, by_kernel = np.zeros(x.shape), np.zeros(kernel.shape)
    for row, column, i, j in itertools.product(*map(range, counts), range(size), range(size)):
        y, z = row * stride + i - before[0], column * stride + j - before[1]
        if 0 <= y < sides[0] and 0 <= z < sides[1]:
            result[:, row, column] += x[:, y, z] @ kernel[i, j]
            if given is not None:
                by_x[:, y, z] += given[:, row, column] @ kernel[i, j].T
                by_kernel[i, j] += x[:, y, z].T @ given[:, row, column]
    return result, by_x, by_kernel


def assert_is(function, x: np.ndarray, kernel: np.ndarray, whole: np.ndarray, stride: int, padding: str) -> np.ndarray:
    """That a function and its gradients are the convolution with `whole`; returns the gradient by `whole`."""
    given = np.random.default_rng(1).normal(size=slow(x, whole, None, stride, padding)[0].shape)

    @jax.jit
    def both(x, kernel, given):
        result, back = jax.vjp(function, x, kernel)
        return result, *back(given)

    result, by_x, by_kernel = both(*(array.astype("float32") for array in (x, kernel, given)))
    wanted, wanted_by_x, wanted_by_kernel = slow(x, whole, given, stride, padding)
    for ours, theirs in ((result, wanted), (by_x, wanted_by_x)):
        assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())
    return by_kernel, wanted_by_kernel


@pytest.mark.parametrize(("size", "stride", "padding", "rows"), SHAPES)
def test_depthwise(size, stride, padding, rows):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, rows, 9, 3)), rng.normal(size=(size, size, 3, 1))
    # Each channel by itself: a full kernel that is zero between different channels.
    whole = kernel * np.eye(3)

    def function(x, kernel):
        return convolution.depthwise(x, kernel, (stride, stride), padding)

    ours, theirs = assert_is(function, x, kernel, whole, stride, padding)
    theirs = np.einsum("ijcc->ijc", theirs)[..., None]
    assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize(("size", "stride", "padding", "rows"), SHAPES)
def test_what_is_gathered_times_the_kernel(size, stride, padding, rows):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, rows, 9, 3)), rng.normal(size=(size, size, 3, 4))

    def function(x, kernel):
        gathered = convolution.gather(x, size, (stride, stride), padding)
        return convolution.pointwise(gathered, kernel.reshape(-1, 4))

    ours, theirs = assert_is(function, x, kernel, kernel, stride, padding)
    assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("least", [1, 30, 10_000])
def test_pointwise_in_however_many_parts(least, monkeypatch):
    monkeypatch.setattr(convolution, "LEAST", least)
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(6, 5, 4, 3)), rng.normal(size=(3, 4))
    assert convolution._parts(x.shape, kernel.size) == {1: 6, 30: 3, 10_000: 1}[least]
    ours, theirs = assert_is(convolution.pointwise, x, kernel, kernel[None, None], 1, "valid")
    assert np.allclose(ours, theirs[0, 0], rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


def test_parts_are_few_where_weights_are_many():
    assert convolution._parts((128, 80, 80, 32), 32 * 16) == 128
    assert convolution._parts((128, 5, 5, 1152), 1152 * 192) == 8
    assert convolution._parts((128, 1, 1, 1152), 1152 * 48) == 1
