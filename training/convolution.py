"""The convolutions of a mobile network, written so that training them is fast.

1 x 1 convolutions are products of matrices, faster than TensorFlow's own gradients of them on a processor. On a GPU,
what cuDNN has for them and for depthwise convolutions in bfloat16 with channels last is slow, and XLA's search for the
best of it takes minutes; there, depthwise ones are sums of shifted products, which XLA makes one loop of. What else
convolves is left to the backend.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from training import accelerator


@contextmanager
def fast() -> Iterator[None]:
    """Within, Keras' convolutions compute with what is here: with TensorFlow on a processor, with JAX on a GPU."""
    import keras

    backend = keras.backend.backend()
    if (backend, bool(accelerator.name())) not in (("tensorflow", False), ("jax", True)):
        yield
        return
    plain = keras.layers.DepthwiseConv2D.call, keras.layers.Conv2D.convolution_op

    def call(layer: Any, inputs: Any) -> Any:
        other = layer.depth_multiplier != 1 or layer.use_bias or layer.activation is not keras.activations.linear
        if other or not _usual(layer):
            return plain[0](layer, inputs)
        return depthwise(inputs, keras.ops.convert_to_tensor(layer.kernel), layer.strides, layer.padding)

    def convolution_op(layer: Any, inputs: Any, kernel: Any) -> Any:
        if layer.groups != 1 or not _usual(layer) or set(layer.kernel_size) | set(layer.strides) != {1}:
            return plain[1](layer, inputs, kernel)
        weights: Any = keras.ops.convert_to_tensor(kernel)
        return keras.ops.matmul(inputs, weights[0, 0])

    keras.layers.Conv2D.convolution_op = convolution_op
    if backend == "jax":
        keras.layers.DepthwiseConv2D.call = call
    try:
        yield
    finally:
        keras.layers.DepthwiseConv2D.call, keras.layers.Conv2D.convolution_op = plain


def _usual(layer: Any) -> bool:
    square = len(set(layer.kernel_size)) == 1 and set(layer.dilation_rate) == {1}
    return square and layer.data_format == "channels_last" and layer.padding in ("same", "valid")


def depthwise(inputs: Any, kernel: Any, strides: Sequence[int], padding: str) -> Any:
    """Depthwise convolution of (B, H, W, C) with (K, K, C, 1), summed in float32, in the inputs' precision.

    Args:
        strides: (down, right).
        padding: `same` or `valid`, as Keras has them.
    """
    import jax
    import jax.numpy as jnp

    size = kernel.shape[0]
    edges = _edges(inputs.shape, size, strides, padding)

    def pad(x: Any) -> Any:
        return jnp.pad(x, ((0, 0), *edges, (0, 0)))

    @jax.custom_vjp
    def convolve(x: Any, weights: Any) -> Any:
        return _sum(pad(x), weights, strides).astype(x.dtype)

    def forward(x: Any, weights: Any) -> tuple[Any, Any]:
        return convolve(x, weights), (x, weights)

    def backward(kept: Any, gradient: Any) -> tuple[Any, Any]:
        x, weights = kept
        padded, given = pad(x), gradient.astype("float32")
        by_weights = jnp.stack(
            [
                jnp.stack([(given * tap.astype("float32")).sum((0, 1, 2)) for tap in row])
                for row in _taps(padded, size, strides)
            ]
        )
        # The transposed convolution: the gradient, spread by the strides, under the turned kernel. At the end there may
        # be rows and columns that no place of the kernel reached.
        spread = [
            (size - 1, size - 1 + (padded.shape[axis] - size) % stride, stride - 1)
            for axis, stride in zip((1, 2), strides, strict=True)
        ]
        wide = jax.lax.pad(gradient, jnp.zeros((), gradient.dtype), ((0, 0, 0), *spread, (0, 0, 0)))
        by_padded = _sum(wide, weights[::-1, ::-1], (1, 1))
        (top, _), (left, _) = edges
        by_inputs = by_padded[:, top : top + x.shape[1], left : left + x.shape[2]]
        return by_inputs.astype(x.dtype), by_weights[..., None].astype(weights.dtype)

    convolve.defvjp(forward, backward)
    return convolve(inputs, kernel)


def _sum(padded: Any, kernel: Any, strides: Sequence[int]) -> Any:
    weights = kernel[..., 0].astype("float32")
    return sum(
        tap.astype("float32") * weights[i, j]
        for i, row in enumerate(_taps(padded, len(weights), strides))
        for j, tap in enumerate(row)
    )


def _taps(padded: Any, size: int, strides: Sequence[int]) -> list[list[Any]]:
    """For each weight of a kernel, what it is multiplied with at every place."""
    down, right = strides
    height, width = ((side - size) // stride + 1 for side, stride in zip(padded.shape[1:3], strides, strict=True))
    return [
        [
            padded[:, i : i + (height - 1) * down + 1 : down, j : j + (width - 1) * right + 1 : right]
            for j in range(size)
        ]
        for i in range(size)
    ]


def _edges(shape: Sequence[int], size: int, strides: Sequence[int], padding: str) -> list[tuple[int, int]]:
    """What is added before and behind the rows and the columns of (B, H, W, C)."""
    if padding == "valid":
        return [(0, 0), (0, 0)]
    edges = []
    for side, stride in zip(shape[1:3], strides, strict=True):
        missing = max((-(-side // stride) - 1) * stride + size - side, 0)
        edges.append((missing // 2, missing - missing // 2))
    return edges
