"""How long an explanation takes, in forwards of the same network, measured side by side in one process."""

import csv
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from skimage import data

STUDY = Path(__file__).parents[1] / "assets" / "studies" / "speed"
RUN = "cats_vs_dogs/adam"
ROUNDS = 60
WARM_UP = 5


def main() -> int:
    """Measure, print and store the table; returns the exit status."""
    print("preparing the engines", flush=True)
    cases = _cases()
    seconds = measure(cases)
    base = seconds["plain OpenVINO forward"]
    rows = [
        {
            "what": what,
            "milliseconds": f"{1000 * took:.1f}",
            "forwards": f"{took / base:.2f}",
            "tensorflow_forwards": f"{took / seconds['plain TensorFlow forward']:.2f}",
        }
        for what, took in seconds.items()
    ]
    STUDY.mkdir(parents=True, exist_ok=True)
    with (STUDY / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (STUDY / "machine.json").write_text(json.dumps(_machine(), indent=2) + "\n")
    for row in rows:
        print(f"{row['what']:<62}{row['milliseconds']:>9} ms{row['forwards']:>8} forwards")
    return 0


def measure(cases: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each case; the cases take turns, so that a slow spell of the machine meets all of them."""
    taken: dict[str, list[float]] = {what: [] for what in cases}
    for number in range(WARM_UP + ROUNDS):
        for what, case in cases.items():
            started = time.perf_counter()
            case()
            if number >= WARM_UP:
                taken[what].append(time.perf_counter() - started)
    return {what: statistics.median(values) for what, values in taken.items()}


def _cases() -> dict[str, Callable[[], object]]:
    import tensorflow as tf

    import models
    from explain import Explainer
    from explain.formulas import FORMULAS

    run = models.load(RUN)
    fast = Explainer(run.model, labels=run.labels, engine="openvino")
    tape = Explainer(run.model, labels=run.labels, engine="tensorflow")
    seen = fast.see(data.chelsea())
    image = seen[None].astype("float32")
    forward = tf.function(lambda pixels: run.model(pixels, training=False))
    tensor = tf.constant(image)
    return {
        "plain OpenVINO forward": lambda: fast._engine.logits(image),
        "plain TensorFlow forward": lambda: forward(tensor).numpy(),
        "ours, OpenVINO: logits and 18 Grad-CAM maps": lambda: fast(seen, targets=[0]),
        "ours, OpenVINO: five formulas without eigenvectors": lambda: fast(
            seen, targets=[0], methods=[name for name in FORMULAS if "eigen" not in name]
        ),
        "ours, OpenVINO: all seven formulas": lambda: fast(seen, targets=[0], methods=list(FORMULAS)),
        "ours, TensorFlow: logits and 18 Grad-CAM maps": lambda: tape(seen, targets=[0]),
    }


def _machine() -> dict[str, object]:
    processor = (
        next(
            (
                line.split(":")[1].strip()
                for line in Path("/proc/cpuinfo").read_text().splitlines()
                if "model name" in line
            ),
            platform.processor(),
        )
        if Path("/proc/cpuinfo").exists()
        else platform.processor()
    )
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "rounds": ROUNDS,
        "numpy": np.__version__,
        **{name: version(name) for name in ("tensorflow-cpu", "keras", "openvino")},
    }
