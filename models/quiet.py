"""Keras without noise on the command line, and without waiting for what only looks like work."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def without_collecting() -> Iterator[None]:
    """No garbage collection in the block, and none afterwards of what was made in it.

    TensorFlow's import makes a million objects and no garbage: to look for some, time and again, takes a third of it.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


def import_keras() -> None:
    """Import Keras without the lines that TensorFlow's C++ part writes to stderr whatever its log level.

    They come before TensorFlow reads `TF_CPP_MIN_LOG_LEVEL`, so only the file descriptor can be silenced.
    """
    if "keras" in sys.modules:
        return
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nothing, without_collecting():
            os.dup2(nothing.fileno(), 2)
        import keras  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)
