"""Get ready before anybody asks: small pictures of the samples, then the networks of the first task's two runs."""

import ctypes
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from explain.errors import ExplainError

log = logging.getLogger("parallax")

_M_ARENA_MAX = -8
"""What glibc's mallopt calls the largest number of heaps."""
_HEAPS = 2
_over = threading.Event()
_once = threading.Lock()
_begun = False


def start() -> None:
    """Begin in the background; a second call does nothing."""
    global _begun
    with _once:
        if not _begun:
            _begun = True
            share_heaps()
            threading.Thread(target=_get_ready, name="warm-up", daemon=True).start()


def share_heaps() -> None:
    """Let all threads share a few heaps, where the C library can be told so.

    Every page and every explanation is a new thread; glibc gives threads heaps of their own, and each keeps the most
    that it ever held: with many visitors a process grows and grows, by much more than it uses.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _HEAPS)
    except (AttributeError, OSError, TypeError):
        log.debug("This C library has no mallopt")


def over() -> bool:
    """Whether the networks are loaded, or could not be."""
    return _over.is_set()


def wait() -> None:
    """Wait until it is over, whether it went well or not; begin where nobody has."""
    start()
    _over.wait()


def _get_ready() -> None:
    with ThreadPoolExecutor(3, "warm-up") as pool:
        try:
            _introduce()
            light = pool.submit(_light)
            _load(pool)
            light.result()
        except Exception:
            # Whoever asks for a run meets the same error again and gets a sentence.
            log.exception("Nothing is loaded ahead")
        finally:
            _over.set()


def _introduce() -> None:
    """Let OpenVINO meet NumPy.

    Their first use together must not happen in two threads at once: each would wait for the other and hold the
    interpreter while it does (pybind11's npy_api behind a C++ static guard).
    """
    import openvino

    _ = openvino.Tensor(np.zeros(1, np.float32)).data


def _light() -> None:
    """What needs no network, while those are loaded."""
    import pillow_heif  # noqa: F401

    from ui import samples

    for sample in samples.samples():
        samples.thumbnail(sample)


def _load(pool: ThreadPoolExecutor) -> None:
    from models import ModelError
    from ui import runs

    if not runs.tasks():
        return
    # Half of a load is decompression and compilation, which two runs do side by side.
    loads = [pool.submit(runs.explainer, name) for name in runs.runs_of(runs.tasks()[0])[:2]]
    for load in loads:
        try:
            load.result()
        except (ExplainError, ModelError) as error:
            log.warning("Not loaded ahead: %s", error)
