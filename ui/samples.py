"""Photographs to begin with: those that installed packages ship, and those of a folder of one's own."""

import io
import os
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from explain import photo
from explain.errors import PhotoError

FOLDER = "PARALLAX_SAMPLES"
"""The environment variable that names a folder of photographs."""
SHIPPED = {
    "chelsea": ("skimage", "data/chelsea.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "china": ("sklearn", "datasets/images/china.jpg"),
}
OPENING = {"food101": "coffee"}
"""The shipped sample that a task opens with, where another says more about it than the first."""
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".gif", ".bmp", ".tif", ".tiff"}
MOST = 60
THUMBNAIL = 96


@dataclass(frozen=True)
class Sample:
    """A photograph at hand.

    Attributes:
        id: what the address calls it.
        label: what the page calls it.
        path: the file.
    """

    id: str
    label: str
    path: Path


@lru_cache(maxsize=1)
def samples() -> tuple[Sample, ...]:
    """All samples, the shipped ones first."""
    found = [
        Sample(name, name, path)
        for name, (package, inner) in SHIPPED.items()
        if (path := _inside(package, inner)) is not None
    ]
    folder = os.environ.get(FOLDER)
    if folder and Path(folder).is_dir():
        files = sorted(file for file in Path(folder).rglob("*") if file.suffix.lower() in SUFFIXES)
        found += [Sample(file.relative_to(folder).as_posix(), file.stem, file) for file in files[:MOST]]
    return tuple(found)


def opening(task: str) -> list[Sample]:
    """All samples, the one that a task's page opens with first."""
    return sorted(samples(), key=lambda sample: sample.id != OPENING.get(task))


@lru_cache(maxsize=MOST + len(SHIPPED))
def thumbnail(sample: Sample) -> bytes | None:
    """A small square JPEG of a sample; None where it cannot be read."""
    return small(sample.path, THUMBNAIL)


def small(picture: Path | bytes, side: int) -> bytes | None:
    """A square JPEG of a photograph, so many pixels a side; None where it cannot be read."""
    try:
        square = Image.fromarray(photo.see(photo.read(picture), side))
    except PhotoError:
        return None
    buffer = io.BytesIO()
    square.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def strip(first: int) -> tuple[list[dict[str, Any]], list[bytes]]:
    """The samples that can be read, for the viewer: what it is told of each, and their small pictures.

    Args:
        first: the position that the first picture will have among the payload's blobs.
    """
    small = [(sample, picture) for sample in samples() if (picture := thumbnail(sample)) is not None]
    about = [
        {"id": sample.id, "label": sample.label, "blob": number} for number, (sample, _) in enumerate(small, first)
    ]
    return about, [picture for _, picture in small]


def _inside(package: str, inner: str) -> Path | None:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / inner
    return path if path.is_file() else None
