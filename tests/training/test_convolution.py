"""Depthwise convolution as shifted products is the convolution: place by place in float64, and so are its gradients."""

import itertools

import jax
import numpy as np
import pytest

from training import convolution


def slow(x: np.ndarray, kernel: np.ndarray, stride: int, padding: str, given: np.ndarray | None = None) -> tuple:
    """The convolution of (B, H, W, C) with (K, K, C, 1), product by product; and what `given`, the gradient of its
    result, makes the gradients of both.
    """
    size, sides = len(kernel), x.shape[1:3]
    if padding == "same":
        counts = [-(-side // stride) for side in sides]
        before = [max((count - 1) * stride + size - side, 0) // 2 for count, side in zip(counts, sides, strict=True)]
    else:
        counts, before = [(side - size) // stride + 1 for side in sides], [0, 0]
    result = np.zeros((len(x), *counts, x.shape[3]))
    by_x, by_kernel = np.zeros(x.shape), np.zeros(kernel.shape)
    for row, column, i, j in itertools.product(*map(range, counts), range(size), range(size)):
        y, z = row * stride + i - before[0], column * stride + j - before[1]
        if 0 <= y < sides[0] and 0 <= z < sides[1]:
            result[:, row, column] += x[:, y, z] * kernel[i, j, :, 0]
            if given is not None:
                by_x[:, y, z] += given[:, row, column] * kernel[i, j, :, 0]
                by_kernel[i, j, :, 0] += (x[:, y, z] * given[:, row, column]).sum(axis=0)
    return result, by_x, by_kernel


@pytest.mark.parametrize(
    ("size", "stride", "padding", "rows"), [(5, 1, "same", 7), (3, 2, "same", 6), (3, 2, "valid", 8)]
)
def test_depthwise_is_the_slow_version_and_so_are_its_gradients(size, stride, padding, rows):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, rows, 9, 3)), rng.normal(size=(size, size, 3, 1))
    given = rng.normal(size=slow(x, kernel, stride, padding)[0].shape)

    @jax.jit
    def fast(x, kernel, given):
        result, back = jax.vjp(lambda a, b: convolution.depthwise(a, b, (stride, stride), padding), x, kernel)
        return result, *back(given)

    ours = fast(*(array.astype("float32") for array in (x, kernel, given)))
    for found, wanted in zip(ours, slow(x, kernel, stride, padding, given), strict=True):
        assert found.shape == wanted.shape
        assert np.allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
