"""What every library explains: one photograph, one target, one network, as files of a folder."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Maps = dict[str, np.ndarray]
"""Layer name -> (H, W), as the library gives it."""
Explain = Callable[[], Maps]


@dataclass(frozen=True)
class Task:
    """The folder's content.

    Attributes:
        folder: has `network.keras`, and the same network's weights by Keras names in `weights.npz`.
        photograph: (S, S, 3) float32, 0..255.
        target: which of the network's two logits is explained.
        layers: the 18 layers, our name -> the Keras name, from the input to the head.
        scale, offset: (3,) each; the first convolution sees pixel * scale + offset.
    """

    folder: Path
    photograph: np.ndarray
    target: int
    layers: dict[str, str]
    scale: np.ndarray
    offset: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> "Task":
        """The task that `worker.hand_over` wrote."""
        facts = json.loads((folder / "task.json").read_text())
        return cls(
            folder,
            np.load(folder / "photograph.npy").astype(np.float32),
            facts["target"],
            facts["layers"],
            np.array(facts["scale"], np.float32),
            np.array(facts["offset"], np.float32),
        )
