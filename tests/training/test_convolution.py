"""What `training.convolution` computes is the convolution: place by place in float64, and so are its gradients."""

import itertools

import jax
import keras
import numpy as np
import pytest
import tensorflow as tf

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


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_a_network_of_1_x_1_convolutions_is_products_of_matrices_and_so_are_its_gradients(dtype):
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(2, 4, 5, 3)), rng.normal(size=(3, 7))
    given, bias = rng.normal(size=(2, 4, 5, 7)), rng.normal(size=7)
    with convolution.fast():
        layer = keras.layers.Conv2D(7, 1, dtype=dtype)
        layer.build(x.shape)
        layer.set_weights([weights[None, None], bias])

        @tf.function
        def fast(x, given):
            with tf.GradientTape() as tape:
                tape.watch(x)
                result = layer(x)
                total = tf.reduce_sum(tf.cast(result, "float32") * given)
            return result, *tape.gradient(total, [x, *layer.trainable_variables])

        found = fast.get_concrete_function(tf.constant(x, "float32"), tf.constant(given, "float32"))
        kinds = {operation.type for operation in found.graph.get_operations()}
        ours = found(tf.constant(x, "float32"), tf.constant(given, "float32"))
    assert "MatMul" in kinds and not any("Conv" in kind for kind in kinds)
    wanted = [np.zeros_like(given), np.zeros_like(x), np.zeros((1, 1, 3, 7)), given.sum(axis=(0, 1, 2))]
    for place in np.ndindex(x.shape[:3]):
        wanted[0][place] = x[place] @ weights + bias
        wanted[1][place] = weights @ given[place]
        wanted[2][0, 0] += np.outer(x[place], given[place])
    for one, other in zip(ours, wanted, strict=True):
        rough = 0.02 if dtype != "float32" else 1e-5
        assert np.allclose(one, other, rtol=rough, atol=rough * np.abs(other).max())


def test_keras_has_its_own_convolutions_again():
    before = keras.layers.Conv2D.convolution_op, keras.layers.DepthwiseConv2D.call
    with convolution.fast():
        assert keras.layers.Conv2D.convolution_op is not before[0]
    assert (keras.layers.Conv2D.convolution_op, keras.layers.DepthwiseConv2D.call) == before
