"""Which layers of a network are explained, and where each of their cells looks.

An EfficientNet's layers are declared: `stem`, every MBConv block's output (after the residual sum where there is
one), `top`. They are found by the names that Keras gives them. In any other network the layers are, of each spatial
size, the last activation, sum or concatenation that all of the network passes through, by their own names.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from explain.errors import LayerError

BLOCK = re.compile(r"block(\d+)([a-z])_")
JOINING = ("Add", "Average", "Concatenate")


@dataclass(frozen=True)
class Block:
    """What an MBConv block is (Tan and Le 2019, table 1; the fused form of EfficientNetV2 has no depthwise part).

    Attributes:
        kernel: side of the depthwise (or fused) convolution's kernel, in cells of its input.
        stride: its stride.
        expansion: how many times more channels there are inside the block than enter it.
        channels_in, channels_out: channels that enter and leave.
        se_ratio: squeeze-and-excitation's bottleneck as a share of the entering channels; 0 without one.
        residual: whether the block's input is added to its output.
    """

    kernel: int
    stride: int
    expansion: int
    channels_in: int
    channels_out: int
    se_ratio: float
    residual: bool


@dataclass(frozen=True)
class Layer:
    """One explained layer.

    Attributes:
        name: `stem`, `1a` .. `7a`, `top`; or the Keras name in other networks.
        keras_name: the Keras layer, or the operation between layers, such as a sum, whose output this is.
        shape: (H, W, C).
        stride: pixels of the input between neighbouring cells; a whole number but where a layer resizes.
        receptive_field: side of the square of input pixels that a cell's convolutions reach (squeeze-and-excitation
            sees the whole picture besides; it is left out, as is usual).
        offset: input pixel at which the first cell is centred; cell i is centred at `offset + stride * i`, with the
            centre of the first pixel at 0. A plain resize would draw it at `(stride - 1) / 2 + stride * i`.
        block: facts of the MBConv block, None for other layers.
    """

    name: str
    keras_name: str
    shape: tuple[int, int, int]
    stride: float
    receptive_field: int
    offset: float
    block: Block | None = None

    @property
    def gates(self) -> str | None:
        """Name of the Keras layer that gives the block's gates; None where there is no squeeze-and-excitation."""
        return f"block{self.name}_se_expand" if self.block and self.block.se_ratio else None


@dataclass(frozen=True)
class _View:
    """Where the cells of one tensor look: spacing, receptive field and centre of the first cell, in input pixels."""

    stride: float = 1
    reach: int = 1
    centre: float = 0.0

    def through(self, kernel: int, stride: int, before: int, dilation: int = 1) -> "_View":
        """Behind a convolution or pooling, with so many cells of padding before the first."""
        span = (kernel - 1) * dilation
        return _View(self.stride * stride, self._wider(span), self.centre + (span / 2 - before) * self.stride)

    def spread(self, kernel: int, stride: int, before: int) -> "_View":
        """Behind a transposed convolution, which is a convolution read backwards."""
        apart = self.stride / stride
        return _View(apart, self._wider(-(-kernel // stride) - 1), self.centre + (before - (kernel - 1) / 2) * apart)

    def resized(self, cells: int, to: int) -> "_View":
        """Behind what makes so many cells of so many, corner on corner."""
        factor = cells / to
        return _View(self.stride * factor, self._wider(1), self.centre + (factor - 1) / 2 * self.stride)

    def cut(self, before: int) -> "_View":
        """Without so many cells at the start."""
        return _View(self.stride, self.reach, self.centre + before * self.stride)

    def _wider(self, cells: int) -> int:
        return math.ceil(self.reach + cells * self.stride)


def layers_of(model: Any) -> tuple[Layer, ...]:
    """The explained layers of a flat functional Keras model, from the input to the head.

    Raises:
        LayerError: if no layer of the model has cells to explain, or one has not as many rows as columns.
    """
    views = _views(model)
    names = [layer.name for layer in model.layers]
    efficientnet = _efficientnet(names)
    chosen = efficientnet or _stages(model)
    if not chosen:
        raise LayerError(f"{model.name} has no layer with rows and columns, so there is nothing to map.")
    found = []
    for name, keras_name in chosen.items():
        output = output_of(model, keras_name)
        view = views[keras_name]
        # Other networks may call their layers as EfficientNets do.
        block = _block(model, name, names) if efficientnet and BLOCK.match(keras_name) else None
        shape = tuple(int(side) for side in output.shape[1:])
        if shape[0] != shape[1]:
            raise LayerError(
                f"{keras_name} has {shape[0]} rows and {shape[1]} columns; only square maps are explained."
            )
        found.append(Layer(name, keras_name, shape, view.stride, view.reach, view.centre, block))  # type: ignore[arg-type]
    return tuple(found)


def _efficientnet(names: list[str]) -> dict[str, str]:
    if "top_activation" not in names or not any(BLOCK.match(name) for name in names):
        return {}
    chosen = {"stem": "stem_activation"}
    for name in names:
        if match := BLOCK.match(name):
            # The last layer of a block in the graph's order is its output.
            chosen[match[1] + match[2]] = name
    return chosen | {"top": "top_activation"}


def output_of(model: Any, name: str) -> Any:
    """What a layer of a flat model gives, or an operation between its layers."""
    return next(one for one in model.operations if one.name == name).output


def _stages(model: Any) -> dict[str, str]:
    """The last activation, sum or concatenation of each spatial size that all of the network passes through.

    Branches would tell of a part of the evidence only. Where a size has nothing else, its last activation, or else its
    last convolution or sum. What wraps a layer, and a layer of a person's own, are activations where they have weights.
    """
    import keras

    convolutions = keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D
    passed = passed_by_all(model)
    last: dict[tuple[int, int], tuple[int, str]] = {}
    for one in model.operations:
        shape = _spatial(one)
        if shape is None or min(shape) < 2:
            continue
        is_activation, joins = _is_activation(one), type(one).__name__ in JOINING and len(list(_sources(one))) > 1
        if one.name in passed and (is_activation or joins):
            rank = 3
        elif is_activation:
            rank = 2
        else:
            rank = int(joins or isinstance(one, convolutions))
        if rank and rank >= last.get(shape, (0, ""))[0]:
            # What comes again, as in a decoder, has its place where it is last.
            last.pop(shape, None)
            last[shape] = rank, one.name
    return {name: name for _, name in last.values()}


def _is_activation(operation: Any) -> bool:
    import keras

    if not isinstance(operation, keras.layers.Layer):
        return type(operation).__name__.lower() in (name.replace("_", "") for name in dir(keras.activations))
    is_own = not type(operation).__module__.startswith("keras.") or isinstance(operation, keras.layers.Wrapper)
    known = keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.ELU, keras.layers.PReLU
    return (
        getattr(operation, "activation", None) not in (None, keras.activations.linear)
        or isinstance(operation, known)
        or bool(is_own and operation.weights)
    )


def passed_by_all(model: Any) -> set[str]:
    """Names of what no path from the picture to the logits goes around; none where a layer is called twice."""
    if any(len(one._inbound_nodes) > 1 for one in model.operations):
        return set()
    last_use = {source.name: at for at, one in enumerate(model.operations) for source in _sources(one)}
    passed, open_until = set(), 0
    for at, one in enumerate(model.operations):
        if open_until <= at:
            passed.add(one.name)
        open_until = max(open_until, last_use.get(one.name, at))
    return passed


def _spatial(layer: Any) -> tuple[int, int] | None:
    shape = getattr(getattr(layer, "output", None), "shape", ())
    if len(shape) != 4 or None in shape[1:]:
        return None
    return int(shape[1]), int(shape[2])


def _block(model: Any, name: str, names: list[str]) -> Block:
    parts = {
        part.removeprefix(f"block{name}_"): model.get_layer(part) for part in names if part.startswith(f"block{name}_")
    }
    first = next(iter(parts.values()))
    spatial = parts.get("dwconv") or parts.get("dwconv2") or parts.get("expand_conv") or parts["project_conv"]
    entering = int(first.input.shape[-1])
    inside = int(parts["expand_conv"].filters) if "expand_conv" in parts else entering
    strides = spatial.strides[0]
    leaving = next(reversed(parts.values())).output.shape[-1]
    squeezed = parts["se_reduce"].filters / entering if "se_reduce" in parts else 0.0
    return Block(
        kernel=int(spatial.kernel_size[0]),
        stride=int(strides),
        expansion=inside // entering,
        channels_in=entering,
        channels_out=int(leaving),
        se_ratio=round(squeezed, 4),
        residual="add" in parts,
    )


def _views(model: Any) -> dict[str, _View]:
    """Where each layer's cells look, by layer name, following the graph from its input."""
    views: dict[str, _View] = {}
    whole = _View(), int(model.inputs[0].shape[1])
    # Not its layers alone: a sum may be written `x + y`.
    for layer in model.operations:
        if (made := _spatial(layer)) is None:
            continue
        sources = [source for source in _sources(layer) if source.name in views]
        # A gate of squeeze-and-excitation is (1, 1): it scales cells and moves none.
        known = [(views[one.name], size[0]) for one in sources if (size := _spatial(one)) and size != (1, 1)]
        # Cells that come from none, such as those of a vector that is given rows, are taken for the whole picture's.
        view, cells = max(known, key=lambda one: one[0].reach, default=whole)
        views[layer.name] = _after(layer, view, cells, made[0])
    return views


def _sources(layer: Any) -> Iterator[Any]:
    for node in layer._inbound_nodes[:1]:
        for parent in node.parent_nodes:
            yield parent.operation


def _rows_kept(layer: Any, cells: int) -> range:
    """Which of so many rows `x[:, 2:-2]` keeps."""
    key = layer._inbound_nodes[0].arguments.args[1]
    # In a model that was read from a file it is a list.
    key = tuple(key) if isinstance(key, tuple | list) else (key,)
    if Ellipsis in key:
        at = key.index(Ellipsis)
        key = (*key[:at], *[slice(None)] * (5 - len(key)), *key[at + 1 :])
    rows = key[1] if len(key) > 1 else slice(None)
    return range(cells)[rows] if isinstance(rows, slice) else range(cells)


def _after(layer: Any, view: _View, cells: int, made: int) -> _View:
    """Where the cells look that a layer makes of so many others."""
    import keras

    kind, padding = type(layer).__name__, getattr(layer, "padding", None)
    if kind == "ZeroPadding2D":
        return view.cut(-layer.padding[0][0])
    if kind == "Cropping2D":
        return view.cut(layer.cropping[0][0])
    if kind == "CenterCrop" and made <= cells:
        return view.cut((cells - made) // 2)
    if kind == "GetItem" and (rows := _rows_kept(layer, cells)).step > 0:
        return view.through(1, rows.step, -rows.start)
    kernel = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    if not isinstance(layer, keras.layers.Layer) or kernel is None or not isinstance(padding, str):
        return view if made == cells else view.resized(cells, made)
    stride = layer.strides[0]
    if kind == "Conv2DTranspose":
        return view.spread(kernel[0], stride, max(kernel[0] - stride, 0) // 2 if padding == "same" else 0)
    dilation = getattr(layer, "dilation_rate", (1, 1))[0]
    span = (kernel[0] - 1) * dilation + 1
    before = 0
    if padding == "same":
        before = max((-(-cells // stride) - 1) * stride + span - cells, 0) // 2
    return view.through(kernel[0], stride, before, dilation)
