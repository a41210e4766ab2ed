"""What the fast engine needs of a network, and nothing of Keras."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Written:
    """A network with its backward pass and all maps, as `graph.write` writes it.

    Attributes:
        size: side of the photographs, in pixels.
        layers: names of the layers, from the input to the head.
        units: of the layer that gives the logits.
        sides: the shape of one photograph's or one target's part of each output, by kind (`activation`, `gradient`,
            `gate`, the name of a method) and layer; `logits` have no layer.
        content: the network as ONNX.
    """

    size: int
    layers: tuple[str, ...]
    units: int
    sides: dict[str, dict[str, tuple[int, ...]]] = field(repr=False)
    content: bytes = field(repr=False)


def write(model: Any, layers: Sequence[str], size: int) -> Written:
    """Write down a Keras EfficientNet and the maps of these layers.

    Raises:
        EngineError: if it is none that `graph.write` knows.
    """
    from explain import graph

    proto = graph.write(model, size, outputs="all", layers=layers, methods=graph.METHODS, recompute=True)
    sides: dict[str, dict[str, tuple[int, ...]]] = {}
    for output in proto.graph.output:
        kind, _, layer = output.name.partition("/")
        shape = tuple(side.dim_value for side in output.type.tensor_type.shape.dim[1:])
        sides.setdefault(kind, {})[layer] = shape
    return Written(size, tuple(layers), sides["logits"][""][0], sides, proto.SerializeToString())
