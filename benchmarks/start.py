"""How long a start takes, and how much memory: the first with these networks, and one that finds them written down.

The app, from its command to the first evidence of both runs in a page (`benchmarks.visitor`); and the command line with
one photograph and both runs, from its command to its end. First with an empty folder of graphs, then with what that
start has left in it; turn by turn, and the medians count.

python -m benchmarks start [--rounds 5]
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks import machine, server
from benchmarks.errors import BenchmarkError
from benchmarks.study import STUDIES, keep
from benchmarks.visitor import first_evidence
from explain.compiled import VARIABLE

ROOT = Path(__file__).parents[1]
STUDY = STUDIES / "start"
PAIR = ("cats_vs_dogs/sgd", "cats_vs_dogs/adam")
Start = Callable[[dict[str, str]], tuple[float, float]]
"""Starts with these variables beside the process's own; gives seconds, and the most memory in MB."""


def main(rounds: int) -> int:
    """Measure, print and store the table; returns the exit status."""
    about = machine.describe() | {"rounds": rounds}
    rows = [measure(what, start, rounds) for what, start in STARTS.items()]
    keep(STUDY, rows, about)
    return 0


def measure(what: str, start: Start, rounds: int) -> dict[str, str]:
    """A line of the table."""
    first, again = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            first.append(start({VARIABLE: folder}))
            again.append(start({VARIABLE: folder}))
    (first_s, first_mb), (again_s, again_mb) = (map(median, zip(*some, strict=True)) for some in (first, again))
    return {
        "what": what,
        "first_s": f"{first_s:.1f}",
        "again_s": f"{again_s:.1f}",
        "times": f"{first_s / again_s:.1f}",
        "first_mb": f"{first_mb:.0f}",
        "again_mb": f"{again_mb:.0f}",
    }


def page(variables: dict[str, str]) -> tuple[float, float]:
    """The app, until a page has evidence of both runs."""
    begun = time.monotonic()
    with server.running(variables) as app:
        asyncio.run(first_evidence(app.url))
        return time.monotonic() - begun, machine.peak(app.process.pid) / 1024


def command(variables: dict[str, str]) -> tuple[float, float]:
    """`python -m explain`, until it has written what it found."""
    from PIL import Image
    from skimage import data

    runs = [word for run in PAIR for word in ("--model", run)]
    with tempfile.TemporaryDirectory() as folder:
        photograph = Path(folder, "chelsea.png")
        Image.fromarray(data.chelsea()).save(photograph)
        words = [sys.executable, "-m", "explain", photograph, *runs, "--out", Path(folder, "out")]
        begun = time.monotonic()
        with subprocess.Popen(words, cwd=ROOT, env=os.environ | variables, stdout=subprocess.DEVNULL) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - begun
    if process.returncode:
        raise BenchmarkError("The command line has failed: what it said stands above.")
    return seconds, used.ru_maxrss / 1024


STARTS: dict[str, Start] = {
    "the app, until its page has evidence": page,
    "`python -m explain`, one photograph": command,
}
