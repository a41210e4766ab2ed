"""Keras without noise on the command line."""

import os
import sys
from pathlib import Path


def import_keras() -> None:
    """Import Keras without the lines that TensorFlow's C++ part writes to stderr whatever its log level.

    They come before TensorFlow reads `TF_CPP_MIN_LOG_LEVEL`, so only the file descriptor can be silenced.
    """
    if "keras" in sys.modules:
        return
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        import keras  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)
