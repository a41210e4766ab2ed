"""Resident memory over many explanations of a few photographs in turn.

python -m benchmarks memory
"""

import gc
import os
from itertools import cycle
from pathlib import Path

from skimage import data

from benchmarks.errors import BenchmarkError
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
            rows.append({"explanations": str(number), "resident_mb": f"{resident() / 2**20:.1f}"})
            print(f"{number:>5} explanations {rows[-1]['resident_mb']:>8} MB", flush=True)
    write(FILE, rows)
    return 0


def resident() -> int:
    """Bytes of memory that this process holds now.

    Raises:
        BenchmarkError: on a system without /proc.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        raise BenchmarkError("Resident memory is read from /proc, which this system does not have.") from None
    return pages * os.sysconf("SC_PAGE_SIZE")
