"""Grad-CAM here against other libraries', on one photograph and the same weights.

    python -m benchmarks peers --peers PYTHON

Compared is what a library gives: Captum's maps are signed and in units of the logit, as here; torch-cam's and
tf-keras-vis' are rectified; keras.io's are rectified and scaled to a largest value of 1. xplique and pytorch-grad-cam
resize theirs to the photograph, and are not compared.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from skimage import data

from benchmarks.keras_io import make_gradcam_heatmap
from benchmarks.peers.task import Maps
from benchmarks.study import STUDY, TARGET, load, write
from benchmarks.worker import Worker, hand_over, interpreter, two_logits

FILE = STUDY / "agreement.csv"
BAR = 1e-3


def rectified(values: np.ndarray) -> np.ndarray:
    """Evidence for the target alone."""
    return np.maximum(values, 0)


def scaled(values: np.ndarray) -> np.ndarray:
    """Rectified, with a largest value of 1."""
    return rectified(values) / values.max()


SHOWN: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "keras_io": scaled,
    "tf_keras_vis": rectified,
    "torch_cam": rectified,
    "captum": lambda values: values,
}
"""Library -> how it shows a signed map (H, W)."""

PEERS = {
    "tf_keras_vis": ("keras", "tf-keras-vis, one layer at a time"),
    "torch_cam": ("torch", "torch-cam, 18 layers in one call"),
    "captum": ("torch", "Captum's LayerGradCam, one layer at a time"),
}
"""Library -> its framework and case."""


def main(python: str) -> int:
    """Compare, print and store; returns the exit status."""
    rows = compare(python)
    write(FILE, rows)
    worst = max(float(row[library]) for row in rows for library in SHOWN)
    print(f"the largest difference is {worst:.1e}, the bar is {BAR:g}")
    return 0


def compare(python: str) -> list[dict[str, str]]:
    """The largest difference in every layer, relative to the map's strength, one column for each library.

    Raises:
        PeerError: if a library is missing, or its network gives other logits.
    """
    python = interpreter(python)
    run, explainer, seen, ours = explained()
    both, target = two_logits(run.model), run.labels.index(TARGET)
    layers = {layer.name: layer.keras_name for layer in explainer.layers}
    theirs = {"keras_io": keras_io(both, seen, layers, target)}
    with tempfile.TemporaryDirectory() as folder:
        hand_over(both, layers, seen, target, Path(folder))
        for library, (framework, case) in PEERS.items():
            with Worker(python, framework, Path(folder), explainer(seen).logits) as worker:
                theirs[library] = worker.maps(case)
    return [
        {"layer": name}
        | {library: f"{off(show(ours[name]), theirs[library][name]):.1e}" for library, show in SHOWN.items()}
        for name in layers
    ]


def explained() -> tuple[Any, Any, np.ndarray, Maps]:
    """The run, its explainer, the photograph as seen, and our maps (H, W) for the target."""
    from explain import Explainer

    run = load()
    explainer = Explainer(run.model, labels=run.labels)
    seen = explainer.see(data.chelsea())
    maps = explainer(seen, targets=[TARGET], methods=["grad_cam"]).maps["grad_cam"]
    return run, explainer, seen, {name: values[0] for name, values in maps.items()}


def keras_io(model: Any, seen: np.ndarray, layers: dict[str, str], target: int) -> Maps:
    """keras.io's maps of the photograph."""
    image = seen[None].astype("float32")
    return {name: make_gradcam_heatmap(image, model, layer, target) for name, layer in layers.items()}


def off(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference of two maps, relative to the strength of the second."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())
