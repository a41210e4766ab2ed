"""How much memory a training takes."""

import sys

from training import accelerator


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
