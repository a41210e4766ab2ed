"""What the units of a classifier say of its classes.

Each unit is a class, but where there is only one: its logit z tells two classes apart, whose logits are -z and z.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from explain.engine import Pass
from explain.errors import TargetError
from explain.methods import FIXED

Target = str | int


@dataclass(frozen=True)
class Classes:
    """The C classes that U units tell apart.

    Attributes:
        labels: their names, C of them.
        units: U.
        squash: what makes probabilities of logits, see `explain.network.Network`.
    """

    labels: tuple[str, ...]
    units: int
    squash: str

    @classmethod
    def named(cls, labels: Sequence[str] | None, units: int, squash: str) -> "Classes":
        """Those with these labels, or with numbers for labels; where some share a name, their number stands behind it.

        Raises:
            TargetError: if there are more labels than classes, or fewer.
        """
        count = max(2, units)
        if labels is None:
            return cls(tuple(str(number) for number in range(count)), units, squash)
        if len(labels) != count:
            raise TargetError(f"There are {len(labels)} labels, but the model tells {count} classes apart.")
        named = Counter(map(str, labels))
        told = (f"{name} ({number})" if named[str(name)] > 1 else str(name) for number, name in enumerate(labels))
        return cls(tuple(told), units, squash)

    def numbers(self, targets: Sequence[Target] | Target) -> list[int]:
        """Those of one target or of several.

        Raises:
            TargetError: if one is no class, or there are none.
        """
        numbers = [self._number(target) for target in listed(targets)]
        if not numbers:
            raise TargetError("There is no class to be explained: name one, or give no targets for the likeliest.")
        return numbers

    def _number(self, target: Target) -> int:
        if isinstance(target, str) and target in self.labels:
            return self.labels.index(target)
        if isinstance(target, (int, np.integer)) and 0 <= target < len(self.labels):
            return int(target)
        raise TargetError.unknown(target, self.labels)

    def logits(self, units: np.ndarray) -> np.ndarray:
        """Logits (B, C) of what the units give, (B, U)."""
        return np.concatenate([-units, units], axis=1) if self.units == 1 else units

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities (C,) float32 of logits (C,)."""
        if self.squash == "none":
            return logits if self.units > 1 else np.array([1 - logits[1], logits[1]], np.float32)
        if self.squash == "unknown" and logits.min() >= 0 and np.isclose(logits.sum(), 1, atol=1e-4):
            return logits
        if self.squash == "sigmoid":
            return (1 / (1 + np.exp(-logits.astype("float64")))).astype("float32")
        shifted = np.exp(logits.astype("float64") - logits.max())
        return (shifted / shifted.sum()).astype("float32")

    def cotangents(self, numbers: Sequence[int]) -> np.ndarray:
        """What the units are multiplied by for the logit of each of these classes, (T, U) float32."""
        if self.units == 1:
            return np.array([[1.0 if number else -1.0] for number in numbers], np.float32)
        return np.eye(self.units, dtype=np.float32)[list(numbers)]


def listed(targets: Any) -> Any:
    """Targets as they are; a lone one in a list of its own, for its name is not the list of its letters."""
    return [targets] if isinstance(targets, (str, int, np.integer)) else targets


def turned(found: Pass, numbers: Sequence[int]) -> Pass:
    """The pass of one logit and its maps for each of its classes: class 0 gets the negative."""
    signs = np.array([-1.0 if number == 0 else 1.0 for number in numbers], np.float32)
    same = np.ones_like(signs)
    gradients = {name: one * signs[None, :, None, None, None] for name, one in found.gradients.items()}
    maps = {
        method: {name: one * (same if method in FIXED else signs)[None, :, None, None] for name, one in layers.items()}
        for method, layers in found.maps.items()
    }
    return replace(found, gradients=gradients, maps=maps)
