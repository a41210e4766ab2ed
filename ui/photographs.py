"""The pictures of a task's data, where a folder of them is given: found by what they contain, never copied.

`PARALLAX_DATA` names a folder with one folder for each task (`cats_vs_dogs`, ...), or the one task's folder itself, as
parquet files in the Hub's layout or as a folder of class folders.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

FOLDER = "PARALLAX_DATA"
"""The environment variable that names the folder."""
PREFIX = "data"
"""What the address puts before a task and a sha256: `data/cats_vs_dogs/20b7...`."""
MOST_KEPT = 4
"""Requests whose pictures are kept in memory."""


def folder_of(task: str) -> Path | None:
    """Where the pictures of a task are; None where nobody said."""
    named = os.environ.get(FOLDER)
    if not named:
        return None
    own = Path(named) / task
    place = own if own.is_dir() else Path(named)
    return place if place.is_dir() else None


def address(task: str, sha256: str) -> str:
    """What the address calls a picture."""
    return f"{PREFIX}/{task}/{sha256}"


def find(asked: str | None) -> tuple[str, bytes] | None:
    """The name and the bytes of the picture that an address names; None where it is not there."""
    prefix, _, rest = (asked or "").partition("/")
    task, _, sha256 = rest.partition("/")
    if prefix != PREFIX or len(sha256) != 64:
        return None
    return pictures(task, "test", (sha256,)).get(sha256)


@lru_cache(MOST_KEPT)
def pictures(task: str, split: str, wanted: Sequence[str]) -> dict[str, tuple[str, bytes]]:
    """Names and bytes of the pictures with these sha256 that are in a split of the task's data."""
    place = folder_of(task)
    left, found = set(wanted), {}
    if place is None or not left:
        return found
    for name, content in _contents(place, split):
        digest = hashlib.sha256(content).hexdigest()
        if digest in left:
            found[digest] = (name, content)
            left.discard(digest)
            if not left:
                break
    return found


def _contents(place: Path, split: str) -> Iterator[tuple[str, bytes]]:
    files = sorted(file for file in place.rglob("*.parquet") if file.name.startswith(f"{split}-"))
    for file in files:
        yield from _parquet(file)
    if not files:
        folder = place / split if (place / split).is_dir() else place
        for file in sorted(folder.glob("*/*")):
            if file.is_file():
                yield file.name, file.read_bytes()


def _parquet(file: Path) -> Iterator[tuple[str, bytes]]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        table = parquet.ParquetFile(file)
        image = next(
            (
                field.name
                for field in table.schema_arrow
                if pa.types.is_struct(field.type) and "bytes" in field.type.names
            ),
            None,
        )
        if image is None:
            return
        for batch in table.iter_batches(256, columns=[image]):
            for picture in batch[image].to_pylist():
                yield picture.get("path") or file.name, picture.get("bytes") or b""
    except (pa.ArrowException, OSError):
        return
