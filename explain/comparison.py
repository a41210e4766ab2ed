"""Several runs' explanations of one photograph as one picture."""

from collections.abc import Mapping

import numpy as np
from PIL import Image

from explain import render
from explain.agreement import agreement
from explain.explanation import Explanation
from explain.methods import DEFAULT, title


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
    agreements = (
        [agreement(one, other) for one, other in zip(*list(maps.values())[:2], strict=True)] if len(maps) > 1 else ()
    )
    columns = {layer.name: render.Column(layer.name, layer.stride, layer.offset) for layer in first.layers}
    shown = [columns.get(name, render.Column(name, 1, 0)) for name in first.maps[method]]
    return render.compare(first.seen, name, first.targets[0], shown, rows, method=title(method), agreements=agreements)
