"""Keras without noise on the command line, and without waiting for what only looks like work."""

import gc
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from pathlib import Path

from models.errors import ModelError

NEEDLESS = frozenset({"matplotlib", "pandas", "sklearn"})
"""What Keras imports where it is installed, for its own plots, tables and wrappers, which nothing here uses."""


class _Absent(MetaPathFinder):
    """Says to one thread that these packages are not installed."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        backend = os.environ.get("KERAS_BACKEND")
        # TensorFlow looks for JAX, to convert its networks; PyTorch asks where packages lie, and stops at an error.
        self._names = {"tensorflow": NEEDLESS | {"jax"}, "torch": frozenset()}.get(backend or "", NEEDLESS)

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Raises ModuleNotFoundError for what that thread need not import."""
        if fullname in self._names and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


@contextmanager
def only_what_is_used() -> Iterator[None]:
    """For a block that imports Keras: without a garbage collection, and without packages that nobody will use.

    TensorFlow's import makes a million objects and no garbage: to look for some, time and again, takes a third of it.
    Another third are packages that Keras can do without, and other threads may import meanwhile.
    """
    was_on = gc.isenabled()
    gc.disable()
    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        yield
    finally:
        sys.meta_path.remove(absent)
        gc.freeze()
        if was_on:
            gc.enable()


_importing = threading.Lock()


def import_keras() -> None:
    """Import Keras without the lines that TensorFlow's C++ part writes to stderr whatever its log level.

    They come before TensorFlow reads `TF_CPP_MIN_LOG_LEVEL`, so only the file descriptor can be silenced.

    Raises:
        ModelError: if the backend that the environment names is not installed, or none.
    """
    with _importing:
        if "keras" not in sys.modules:
            _import_keras()


def _import_keras() -> None:
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nothing, only_what_is_used():
            os.dup2(nothing.fileno(), 2)
            import keras  # noqa: F401
    except (ImportError, ValueError) as error:
        backend = os.environ.get("KERAS_BACKEND")
        if backend is None:
            raise
        raise ModelError(
            f"Keras cannot be had with KERAS_BACKEND={backend} here; it knows tensorflow, jax and torch, where they "
            "are installed."
        ) from error
    finally:
        os.dup2(kept, 2)
        os.close(kept)
