"""How alike two maps are, and how strong one is."""

import numpy as np


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation of two signed maps (H, W) of one layer, cell by cell.

    1: the same map up to a positive factor and a constant; -1: one where the other is not; 0: nothing in common.
    Strength plays no part, so two runs whose logits have different scales can be compared. NaN where a map is
    constant, as a correlation is not defined there, or holds a NaN.

    Raises ValueError for maps of different shapes.
    """
    if a.shape != b.shape:
        raise ValueError(f"maps of different layers cannot agree: {a.shape} and {b.shape}")
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    a, b = (values - values.mean(dtype=np.float64) for values in (a, b))
    return float(np.clip(np.vdot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1))


def strength(map: np.ndarray) -> float:
    """The largest absolute value of a map, in its own units (those of the logit)."""
    return float(np.abs(map).max())
