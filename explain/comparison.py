"""Several runs' explanations of one photograph: how far two of them agree, and all as one picture."""

from collections.abc import Mapping

import numpy as np
from PIL import Image

from explain import render
from explain.agreement import agreement
from explain.explanation import Explanation
from explain.methods import DEFAULT, title


def agreements(one: Explanation, other: Explanation, method: str = DEFAULT, target: int = 0) -> dict[str, float]:
    """How far the maps of two runs agree at each layer, see `explain.agreement.agreement`.

    Args:
        one: an explanation, whose names the layers have.
        other: one of the same photograph, targets and layers by another run.
        method: whose maps are compared.
        target: which of the targets they are evidence for, by its place.

    Raises:
        ValueError: if the maps are not of the same layers.
    """
    pairs = zip(one.maps[method].items(), other.maps[method].values(), strict=True)
    return {layer: agreement(mine[target], theirs[target]) for (layer, mine), theirs in pairs}


def picture(name: str, found: Mapping[str, Explanation], method: str = DEFAULT) -> Image.Image:
    """All runs side by side, at every layer that they have maps of, for their first target.

    Args:
        name: what the photograph is called.
        found: `<task>/<run>` -> its explanation, all for the same targets and layers.
        method: whose maps are drawn.
    """
    first = next(iter(found.values()))
    maps = {run: [of_layer[0] for of_layer in one.maps[method].values()] for run, one in found.items()}
    short = {run: run.split("/")[-1] for run in found}
    called = short if len(set(short.values())) == len(short) else {run: run for run in found}
    rows = [
        render.Row(
            called[run],
            tuple((one.labels[i], float(one.probabilities[i])) for i in np.argsort(-one.probabilities)),
            tuple(maps[run]),
        )
        for run, one in found.items()
    ]
    line = [*agreements(first, list(found.values())[1], method).values()] if len(found) > 1 else ()
    columns = {layer.name: render.Column(layer.name, layer.stride, layer.offset) for layer in first.layers}
    shown = [columns.get(name, render.Column(name, 1, 0)) for name in first.maps[method]]
    return render.compare(first.seen, name, first.targets[0], shown, rows, method=title(method), agreements=line)
