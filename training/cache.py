"""Features of pictures on disk: memory-mapped files that together stay within a bound.

Features are stored as float16; a file has a name that says what they are features of, and may be removed at any time.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(os.environ.get("PARALLAX_FEATURES", Path.home() / ".cache" / "parallax" / "features"))
GIGABYTE = 1_000_000_000
MOST = 20 * GIGABYTE
"""Bytes that all features together may take."""


@dataclass(frozen=True)
class Cache:
    """Where features are kept, and how many bytes they may take together; 0 keeps none."""

    folder: Path = FOLDER
    most: int = MOST


class Store:
    """A memory-mapped file of features, (views, pictures, ...) float16, and which of them are `known`.

    Raises:
        OSError: if it would take more than the cache may or the disk has.
    """

    def __init__(self, cache: Cache, key: str, shape: tuple[int, ...]):
        file = cache.folder / f"{key}.features"
        values = 2 * int(np.prod(shape))
        size = values + int(np.prod(shape[:2]))
        cache.folder.mkdir(parents=True, exist_ok=True)
        if not file.is_file() or file.stat().st_size != size:
            _make_room(cache, size)
            _reserve(file, size)
        os.utime(file)
        # What is known stands in the file itself: another file may take its name while it is used.
        with file.open("r+b") as content:
            self.values = np.memmap(content, np.float16, "r+", shape=shape)
            self._kept = np.memmap(content, bool, "r+", values, shape[:2])
        self.known = np.array(self._kept)

    def put(self, view: int, indices: np.ndarray, features: np.ndarray) -> bool:
        """Store features; False if they are too large for float16."""
        if np.abs(features).max() > np.finfo(np.float16).max:
            return False
        self.values[view, indices] = features
        self.known[view, indices] = True
        return True

    def keep(self) -> None:
        """Write the features to disk and then, only then, that they are there."""
        if (self.known <= self._kept).all():
            return
        self.values.flush()
        self._kept |= self.known
        self._kept.flush()


def _make_room(cache: Cache, size: int) -> None:
    """Remove the features that were not used for longest until `size` bytes more may be taken."""
    if size > cache.most:
        raise OSError(f"they would take {size / GIGABYTE:.1f} GB, and {cache.most / GIGABYTE:.1f} GB are allowed")
    files = sorted(cache.folder.glob("*.features"), key=lambda file: file.stat().st_mtime)
    taken = sum(file.stat().st_size for file in files)
    for file in files:
        free = shutil.disk_usage(cache.folder).free
        if taken + size <= cache.most and size <= free:
            break
        taken -= file.stat().st_size
        file.unlink()


def _reserve(file: Path, size: int) -> None:
    """Give a new file its place on the disk: a memory map that meets a full disk would end the process."""
    unfinished = file.with_suffix(f".{os.getpid()}.features")
    with unfinished.open("wb") as content:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(content.fileno(), 0, size)
            else:
                content.truncate(size)
        except OSError:
            unfinished.unlink()
            raise
    unfinished.replace(file)
