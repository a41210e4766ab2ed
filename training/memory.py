"""How much memory a training takes, and that it keeps what it has."""

import ctypes
import sys

from training import accelerator

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""What glibc's mallopt calls the free bytes that it gives back, and the most blocks with pages of their own."""


def keep() -> None:
    """Let what a step frees be there for the next, where the C library can be told so.

    glibc gives a large block pages of its own, which the kernel takes back and must clear for the next one: a large
    part of what a step takes on a processor. It learns to do otherwise, but a data set from a Python generator, as
    Keras feeds TensorFlow with, takes that from it (TensorFlow's `ApplyPython311MemoryPatch`).
    """
    try:
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    except (AttributeError, OSError, TypeError):
        # No glibc.
        return


def peak() -> int:
    """The most bytes taken so far: on the first accelerator where there is one, otherwise by this process."""
    return accelerator.peak_memory() or _process()


def _process() -> int:
    try:
        import resource
    except ImportError:
        # Windows has no such count.
        return 0
    # Linux counts in kilobytes, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
