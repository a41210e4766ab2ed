"""Where the epochs of a training ran: it may go on on another machine, in another precision, and its card says so.

A stretch is {epochs, machine, precision}: epochs one after the other that have machine and precision in common.
"""

import os
import platform
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from training import accelerator
from training.job import Job
from training.setup import MIXED


def lengthen(stretches: Sequence[dict[str, Any]], job: Job) -> list[dict[str, Any]]:
    """The stretches of a training after one more epoch here and as asked for."""
    here = {"machine": machine(), "precision": _asked(job)}
    *before, last = stretches or [{"epochs": 0, **here}]
    if last | here == last:
        return [*before, last | {"epochs": last["epochs"] + 1}]
    return [*before, last, {"epochs": 1, **here}]


def changed(stretches: Sequence[dict[str, Any]], job: Job) -> str:
    """A sentence where a training goes on in another precision than it has had; otherwise empty."""
    if not stretches or stretches[-1]["precision"] == _asked(job):
        return ""
    return f"What is done was trained in {precision(stretches)}; it goes on in {_asked(job)}, and the card says so."


def _asked(job: Job) -> str:
    return MIXED if job.mixed else "float32"


def precision(stretches: Sequence[dict[str, Any]]) -> str:
    """Which precision, and up to which epoch each where it changed."""
    parts = _by_precision(stretches)
    return parts[0][0] if len(parts) == 1 else ", ".join(f"{name} to epoch {epoch}" for name, epoch in parts)


def machines(stretches: Sequence[dict[str, Any]]) -> str:
    """What it ran on, in order."""
    return "; ".join(dict.fromkeys(one["machine"] for one in stretches))


def flags(stretches: Sequence[dict[str, Any]]) -> str:
    """What the command says of the precision; a change on the way stands behind it, as a comment."""
    (first, epoch), *others = _by_precision(stretches)
    said = " --mixed" if first == MIXED else ""
    for name, last in others:
        said += f"  # from epoch {epoch + 1} on --resume {'with' if name == MIXED else 'without'} --mixed"
        epoch = last
    return said


def _by_precision(stretches: Sequence[dict[str, Any]]) -> list[tuple[str, int]]:
    """Each precision with the last epoch that it had, in order."""
    found, epoch = [], 0
    for name, group in groupby(stretches, itemgetter("precision")):
        epoch += sum(one["epochs"] for one in group)
        found.append((name, epoch))
    return found


def machine() -> str:
    """One line on what this runs on."""
    import keras

    device = accelerator.name()
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}, "
        f"keras {keras.__version__} on {keras.backend.backend()}" + (f", {device}" if device else "")
    )
