"""Resident memory over many explanations of a few photographs in turn.

python -m benchmarks memory
"""

import gc
import os
from itertools import cycle

from skimage import data

from benchmarks.machine import resident
from benchmarks.study import STUDY, load, write

EXPLANATIONS = 1000
EVERY = 50
FILE = STUDY / "memory.csv"


def main() -> int:
    """Explain, print and store the memory every 50 explanations; returns the exit status."""
    from explain import Explainer

    run = load()
    explainer = Explainer(run.model, labels=run.labels, engine="openvino")
    photographs = cycle([data.chelsea(), data.astronaut(), data.coffee(), data.rocket()])
    rows = []
    for number in range(1, EXPLANATIONS + 1):
        explainer(next(photographs))
        if number % EVERY == 0:
            gc.collect()
            rows.append({"explanations": str(number), "resident_mb": f"{resident(os.getpid()) / 2**20:.1f}"})
            print(f"{number:>5} explanations {rows[-1]['resident_mb']:>8} MB", flush=True)
    write(FILE, rows)
    return 0
