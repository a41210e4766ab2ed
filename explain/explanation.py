"""What an explanation holds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explain.engine import Pass
from explain.errors import LayerError
from explain.layers import Layer


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """One photograph as one classifier sees it.

    Attributes:
        seen: (S, S, 3) uint8, what the network really saw.
        logits: (C,) float32, one per label; for one sigmoid unit z those are (-z, z).
        probabilities: (C,) float32.
        labels: the C class names.
        layers: the explained layers, from the input to the head.
        targets: the labels that maps were made for, T of them.
        maps: method -> layer -> (T, H, W) float32, signed; in which units, its formula says, most in the logit's.
        evidence: activations, gradients and gates behind the maps, where they were asked for.
        seconds: what it took, from the picture as the network sees it to the maps.
    """

    seen: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray
    labels: tuple[str, ...]
    layers: tuple[Layer, ...]
    targets: tuple[str, ...]
    maps: Mapping[str, Mapping[str, np.ndarray]]
    evidence: Pass | None = None
    seconds: float = 0.0

    def __repr__(self) -> str:
        # The arrays would fill a screen a thousand times.
        maps = ", ".join(f"{method} at {len(layers)} layers" for method, layers in self.maps.items()) or "no maps"
        more = f" and {len(self.targets) - 3} more" if len(self.targets) > 3 else ""
        targets = ", ".join(self.targets[:3]) + more
        return f"<Explanation: {self.top} {self.probabilities.max():.4f} of {len(self.labels)}; for {targets}: {maps}>"

    @property
    def top(self) -> str:
        """The most probable label."""
        return self.labels[int(self.probabilities.argmax())]

    def contributions(self, layer: str) -> np.ndarray:
        """What each channel adds to the score: activation x gradient, summed over the cells, (T, C) float32.

        To first order it is what the logit would lose were the channel zero (gradient x input, Shrikumar et al. 2016,
        arXiv:1605.01713).

        Raises:
            LayerError: if the explanation was made without `keep=True`, or has no such layer.
        """
        if self.evidence is None or layer not in self.evidence.activations:
            raise LayerError(f"There are no activations of {layer!r}: explain with keep=True, and a layer that exists.")
        return np.einsum("hwc,thwc->tc", self.evidence.activations[layer][0], self.evidence.gradients[layer][0])

    @property
    def gates(self) -> dict[str, np.ndarray]:
        """The squeeze-and-excitation gates (C,), 0..1, of each explained layer that is a block with them.

        Raises:
            LayerError: if the explanation was made without `keep=True`.
        """
        if self.evidence is None:
            raise LayerError("There are no gates: explain with keep=True.")
        return {name: values[0] for name, values in self.evidence.gates.items()}
