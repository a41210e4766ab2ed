"""Writing so that a full disk is one plain error, and what was there before stays."""

import errno
import os
import shutil
from pathlib import Path

_BESIDE = 256_000
"""Bytes that HDF5 writes beside the arrays, and a margin."""


def require_room(folder: Path, arrays: int) -> None:
    """See that a disk has room for so many bytes of arrays in HDF5.

    Asked beforehand, because HDF5 prints a traceback of its own when it meets the end of the disk, and may crash.

    Raises:
        OSError: if it has not.
    """
    if shutil.disk_usage(folder).free < arrays * 1.02 + _BESIDE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def replace_text(path: Path, text: str) -> None:
    """Write a file anew, as a whole or not at all.

    Raises:
        OSError: if it cannot be written; what was there stays.
    """
    unfinished = path.with_name(f"unfinished.{path.name}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
