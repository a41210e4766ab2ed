"""Logits of one fixed picture: they tell other weights and another graph from the right ones."""

from typing import Any

import numpy as np

from models.forward import forward

TOLERANCE = 1e-3
"""Largest difference of a logit, relative to the largest logit (at least 1), that machines may have."""


def picture(size: int) -> np.ndarray:
    """The fixed picture: integer waves of three lengths, the same on every machine.

    Returns:
        (1, size, size, 3) float32, 0..255.
    """
    rows, columns = np.mgrid[:size, :size]
    channels = [(rows * 5 + columns * 3) % 256, (rows * columns) % 251, (columns * 7 + 255 - rows) % 256]
    return np.stack(channels, axis=-1)[None].astype("float32")


def fingerprint(model: Any, size: int) -> tuple[float, ...]:
    """The logits of the fixed picture, rounded to six digits after the point."""
    return tuple(round(float(value), 6) for value in forward(model, picture(size)).ravel())


def same(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two fingerprints are of the same function, within `TOLERANCE`."""
    if len(one) != len(other) or not np.all(np.isfinite(other)):
        return False
    scale = max(1.0, *(abs(value) for value in one))
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= TOLERANCE * scale
