"""What every engine gives, one pass forward and backward through a classifier, and which engine a network gets.

`engine_tensorflow` is the reference, for any Keras classifier; `engine_openvino` is the fast one, for EfficientNets.
Engines know layers and gradients and no formula.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from explain.compiled import Graphs
from explain.errors import EngineError
from explain.layers import Layer
from explain.network import Network

ENGINES = ("auto", "openvino", "tensorflow")


@dataclass(frozen=True, eq=False)
class Pass:
    """B photographs, T targets each, U units of the layer that gives the logits, all float32.

    `logits` (B, U); `activations` (B, H, W, C) and `gradients` (B, T, H, W, C) by layer name. A gradient is that of
    sum(cotangent * logits) with respect to the layer's activations. `gates` (B, C) 0..1, what squeeze-and-excitation
    multiplies the channels inside a block by, for the layers that are blocks with it. `maps` (B, T, H, W) by method and
    layer name, where an engine was asked to make them itself.
    """

    logits: np.ndarray
    activations: dict[str, np.ndarray] = field(repr=False)
    gradients: dict[str, np.ndarray] = field(repr=False)
    gates: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    maps: dict[str, dict[str, np.ndarray]] = field(default_factory=dict, repr=False)


class Engine(Protocol):
    """Anything that can make a Pass.

    Attributes:
        most_targets: as many go through together; more are split, and nothing is gained by asking for them at once.
    """

    most_targets: int

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits (B, U) of photographs (B, S, S, 3), 0..255, without a backward pass."""
        ...

    def __call__(self, images: np.ndarray, cotangents: np.ndarray) -> Pass:
        """Photographs (B, S, S, 3) float32 in 0..255 and cotangents (B, T, U) float32."""
        ...


def check_engine(name: str) -> None:
    """Raises EngineError, which names all engines, if this is none."""
    if name not in ENGINES:
        raise EngineError(f"There is no engine {name!r}; the engines are: {', '.join(ENGINES)}.")


def engine_for(
    name: str, network: Network, layers: tuple[Layer, ...], threads: int | None, graphs: Graphs
) -> tuple[str, Engine]:
    """The engine of this name for a network, with its own name; of `auto` the first that can.

    Raises:
        EngineError: if the engine that was asked for cannot run the network.
    """
    if name != "tensorflow":
        from explain.engine_openvino import OpenVinoEngine

        names = [layer.name for layer in layers]
        try:
            if network.explains != "logits":
                # The graph would end before the function that cannot be undone.
                raise EngineError("OpenVINO explains logits, and those of this model cannot be had: use tensorflow.")
            return "openvino", OpenVinoEngine(network.written(names), threads=threads, graphs=graphs)
        except EngineError:
            if name == "openvino":
                raise
    from explain.engine_tensorflow import TensorFlowEngine

    return "tensorflow", TensorFlowEngine(network.model, layers)
