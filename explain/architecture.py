"""A Keras EfficientNet as plain numbers: its convolutions in order, BatchNorm folded in.

Tan and Le, EfficientNet (2019), table 1, and EfficientNetV2 (2021), table 4. Which blocks there are, how wide and how
deep they are is read from the model's own layers, which Keras names after the table (`block2a_expand_conv`), so that
B0 to B7, the V2 family and whatever somebody scales with the same function come out of the same lines, flat or nested.
A layer that has no place in the table is an error, never skipped: what is written down must be the whole network.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from explain.errors import EngineError
from explain.network import is_quantised, squash_of


@dataclass(frozen=True)
class Convolution:
    """A convolution with its BatchNorm folded in, followed by swish or by nothing.

    `kernel` (filters, inputs / groups, k, k) and `bias` (filters,), float32. `before` is the zero padding on the left
    and on top where the model fixes it; None stands for what Keras chooses from the size ("same").
    """

    kernel: np.ndarray
    bias: np.ndarray
    stride: int = 1
    groups: int = 1
    swish: bool = True
    before: int | None = None

    def padding(self, size: int) -> tuple[int, int, int]:
        """(before, after, output size) for an input of `size` cells.

        Keras pads strided convolutions less before than after where the size is even, evenly where it is odd.
        `after` counts the padding that the last window reads, so that the transposed convolution gives `size` back.
        """
        k, s = self.kernel.shape[-1], self.stride
        before = self.before
        if before is None:
            out = -(-size // s)
            before = max((out - 1) * s + k - size, 0) // 2
        else:
            # Such layers pad k // 2 after; a window that does not fit is left out.
            out = (size + before + k // 2 - k) // s + 1
        return before, (out - 1) * s + k - size - before, out


@dataclass(frozen=True)
class Excitation:
    """Squeeze-and-excitation: `reduce` and `expand` are 1 x 1 convolutions over the mean of every channel."""

    reduce: Convolution
    expand: Convolution


@dataclass(frozen=True)
class Block:
    """An MBConv or Fused-MBConv block; `name` is its place in the table, such as "5c".

    The stem and the top are blocks of a projection alone.
    """

    name: str
    convolutions: tuple[Convolution, ...]
    excitation: Excitation | None
    projection: Convolution
    residual: bool


@dataclass(frozen=True)
class EfficientNet:
    """The whole classifier.

    A pixel p in 0..255 enters as `p * scale + offset` (3,); `size` is the input size in pixels, None where the model
    takes any. The head is `kernel` (channels, units) and `bias` (units,) on the mean of every channel of `top`: logits.
    """

    size: int | None
    scale: np.ndarray
    offset: np.ndarray
    blocks: tuple[Block, ...]
    kernel: np.ndarray
    bias: np.ndarray

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers from the shallowest to the deepest: stem, 1a, ..., top."""
        return tuple(block.name for block in self.blocks)


def read(model: keras.Model) -> EfficientNet:
    """The network of a Keras EfficientNet classifier, flat or nested, with one dense layer on the pooled features.

    Raises EngineError, saying what does not fit, for any other network.
    """
    layers = list(_flatten(model))
    names = [layer.name for layer in layers]
    for name in ("stem_conv", "top_activation"):
        if names.count(name) != 1:
            found = names.count(name)
            raise EngineError(f"This network is no Keras EfficientNet: it has {found} layers called {name}.")
    first, last = names.index("stem_conv"), names.index("top_activation")
    body = _Layers(layers[: last + 1])
    if body["stem_conv"].data_format != "channels_last":
        raise EngineError("Only EfficientNets with channels last can be written as a graph.")
    scale, offset = _entrance([layer for layer in layers[:first] if layer.name != "stem_conv_pad"])
    stem = body.convolution("stem_conv", "stem_bn", "stem_activation", pad="stem_conv_pad")
    places = dict.fromkeys(place[1] for name in names if (place := re.match(r"block(\d+[a-z])_", name)))
    blocks = [body.block(place) for place in places]
    top = body.convolution("top_conv", "top_bn", "top_activation")
    for name in names[first : last + 1]:
        if name not in body.read:
            raise EngineError(f"The layer {name} has no place in an EfficientNet.")
    kernel, bias = _head(layers[last + 1 :])
    blocks = (Block("stem", (), None, stem, False), *blocks, Block("top", (), None, top, False))
    return EfficientNet(model.input_shape[1], scale, offset, blocks, kernel, bias)


def _flatten(model: keras.Model) -> Iterator[Any]:
    """Layers and what stands between them, such as the division of `image / 255`, which no list of layers has."""
    for layer in getattr(model, "operations", model.layers):
        if isinstance(layer, keras.Model):
            yield from _flatten(layer)
        elif is_quantised(layer):
            raise EngineError(f"The weights of {layer.name} are quantised and cannot be written as a graph.")
        else:
            yield layer


class _Layers:
    """The layers of the backbone by name; remembers which ones were read."""

    def __init__(self, layers: list[keras.Layer]):
        self.layers = {layer.name: layer for layer in layers}
        self.read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self.layers

    def __getitem__(self, name: str) -> keras.Layer:
        if name not in self.layers:
            raise EngineError(f"This network is no Keras EfficientNet: it has no layer called {name}.")
        self.read.add(name)
        return self.layers[name]

    def convolution(self, name: str, norm: str, activation: str | None, pad: str = "") -> Convolution:
        layer = self[name]
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        kernel = np.asarray(layer.kernel, np.float64).transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        scale, shift = _affine(self[norm])
        if activation is not None and self[activation].activation is not keras.activations.silu:
            raise EngineError(f"The layer {activation} is not a swish.")
        before = None
        if pad in self and self[pad].input.shape[1] is None:
            before = self[pad].padding[0][0]
        return Convolution(
            kernel=(kernel * scale[:, None, None, None]).astype(np.float32),
            bias=shift.astype(np.float32),
            stride=layer.strides[0],
            groups=len(kernel) if depthwise else 1,
            swish=activation is not None,
            before=before,
        )

    def block(self, name: str) -> Block:
        prefix = f"block{name}_"
        convolutions = []
        if f"{prefix}expand_conv" in self:
            convolutions.append(
                self.convolution(f"{prefix}expand_conv", f"{prefix}expand_bn", f"{prefix}expand_activation")
            )
        for depthwise in (f"{prefix}dwconv", f"{prefix}dwconv2"):
            if depthwise in self:
                norm, activation, pad = f"{prefix}bn", f"{prefix}activation", f"{prefix}dwconv_pad"
                convolutions.append(self.convolution(depthwise, norm, activation, pad))
        excitation = None
        if f"{prefix}se_reduce" in self:
            if not convolutions:
                raise EngineError(f"Block {name} excites its input, which no EfficientNet of the table does.")
            excitation = Excitation(self.gate(f"{prefix}se_reduce", "silu"), self.gate(f"{prefix}se_expand", "sigmoid"))
            self.read |= {f"{prefix}se_squeeze", f"{prefix}se_reshape", f"{prefix}se_excite"}
        activation = f"{prefix}project_activation"
        projection = self.convolution(
            f"{prefix}project_conv", f"{prefix}project_bn", activation if activation in self else None
        )
        self.read |= {f"{prefix}drop", f"{prefix}add"}
        return Block(name, tuple(convolutions), excitation, projection, f"{prefix}add" in self)

    def gate(self, name: str, activation: str) -> Convolution:
        layer = self[name]
        if layer.activation is not getattr(keras.activations, activation):
            raise EngineError(f"The activation of {name} is not {activation}.")
        kernel = np.asarray(layer.kernel, np.float32).transpose(3, 2, 0, 1)
        return Convolution(kernel, np.asarray(layer.bias, np.float32), swish=activation == "silu")


def _affine(norm: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """BatchNorm at inference as x * scale + shift, in float64."""
    mean, variance = np.asarray(norm.moving_mean, np.float64), np.asarray(norm.moving_variance, np.float64)
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * np.asarray(norm.gamma, np.float64)
    shift = -mean * scale
    if norm.center:
        shift = shift + np.asarray(norm.beta, np.float64)
    return scale, shift


def _entrance(layers: list[keras.Layer]) -> tuple[np.ndarray, np.ndarray]:
    """What becomes of a pixel before the first convolution, as p * scale + offset."""
    scale, offset = np.ones(3), np.zeros(3)
    for layer in layers:
        if isinstance(layer, keras.layers.Rescaling):
            factor, shift = np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
        elif isinstance(layer, keras.layers.Normalization) and not layer.invert:
            # No weights but tensors, which may lie on a GPU.
            values = (keras.ops.convert_to_numpy(value) for value in (layer.mean, layer.variance))
            mean, variance = (np.asarray(value, np.float64).ravel() for value in values)
            factor = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
            shift = -mean * factor
        elif isinstance(layer, keras.layers.InputLayer) or layer.__class__.__name__.startswith("Random"):
            continue  # augmentation rests at inference
        else:
            raise EngineError(f"The layer {layer.name} before the first convolution cannot be written as a graph.")
        scale, offset = scale * factor, offset * factor + shift
    return scale.astype(np.float32), offset.astype(np.float32)


def _head(layers: list[keras.Layer]) -> tuple[np.ndarray, np.ndarray]:
    """The dense layer that gives the logits, a BatchNorm before it folded in."""
    scale, shift = np.ones(1), np.zeros(1)
    pooled, dense, squashed = False, None, False
    for layer in layers:
        if isinstance(layer, keras.layers.Dropout | keras.layers.InputLayer):
            continue
        is_dense, squash = isinstance(layer, keras.layers.Dense), squash_of(layer)
        is_linear = getattr(layer, "activation", None) is keras.activations.linear
        if isinstance(layer, keras.layers.GlobalAveragePooling2D) and not pooled:
            pooled = True
        elif isinstance(layer, keras.layers.BatchNormalization) and pooled and dense is None:
            factor, step = _affine(layer)
            scale, shift = scale * factor, shift * factor + step
        elif pooled and is_dense == (dense is None) and (is_linear or (squash and not squashed)):
            dense, squashed = layer if is_dense else dense, squashed or squash is not None
        else:
            raise EngineError(f"The layer {layer.name} after the last convolution cannot be written as a graph.")
    if dense is None:
        raise EngineError("This network has no dense layer on pooled features, so it has no logits.")
    kernel = np.asarray(dense.kernel, np.float64)
    bias = np.asarray(dense.bias, np.float64) if dense.use_bias else np.zeros(kernel.shape[1])
    return (kernel * scale.reshape(-1, 1)).astype(np.float32), (
        bias + np.broadcast_to(shift, len(kernel)) @ kernel
    ).astype(np.float32)
