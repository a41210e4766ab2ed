"""What every engine gives: one pass forward and backward through a classifier.

`engine_tensorflow` is the reference, for any Keras classifier; `engine_openvino` is the fast one, for EfficientNets.
Engines know layers and gradients and no formula.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Pass:
    """B photographs, T targets each, U units of the layer that gives the logits, all float32.

    `logits` (B, U); `activations` (B, H, W, C) and `gradients` (B, T, H, W, C) by layer name. A gradient is that of
    sum(cotangent * logits) with respect to the layer's activations. `gates` (B, C) 0..1, what squeeze-and-excitation
    multiplies the channels inside a block by, for the layers that are blocks with it. `maps` (B, T, H, W) by method and
    layer name, where an engine was asked to make them itself.
    """

    logits: np.ndarray
    activations: dict[str, np.ndarray]
    gradients: dict[str, np.ndarray]
    gates: dict[str, np.ndarray] = field(default_factory=dict)
    maps: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)


class Engine(Protocol):
    """Anything that can make a Pass."""

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits (B, U) of photographs (B, S, S, 3), 0..255, without a backward pass."""
        ...

    def __call__(self, images: np.ndarray, cotangents: np.ndarray) -> Pass:
        """Photographs (B, S, S, 3) float32 in 0..255 and cotangents (B, T, U) float32."""
        ...
