"""Photographs with labels, decoded and held in memory."""

import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from explain.errors import ExplainError
from explain.photo import Fit, read, see
from training.recipe import TrainingError
from training.sources import rows_of

UNREADABLE_LIMIT = 0.01
"""Share of pictures that may be unreadable before a split is refused."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """Pictures of one split, decoded.

    Attributes:
        pictures: (N, S, S, 3) uint8, the square of each photograph.
        labels: (N,) int64, in the order of the task's labels.
        names: the file name of each picture.
        sha256: of everything the split was read from.
        skipped: names of pictures that could not be read.
        digests: sha256 of the bytes of each picture's file, by which it is found again.
    """

    pictures: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    sha256: str
    skipped: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


def load(
    source: str,
    split: str | None,
    labels: Sequence[str],
    size: int,
    fit: Fit = "crop",
    *,
    shares: Mapping[str, float] | None = None,
    subset: bool = False,
) -> Split:
    """Read a split into memory.

    Args:
        source: a folder with `<split>-*.parquet` files (the Hub's layout), a folder of class folders, a folder that
            `training.records.pack` wrote, `hf://datasets/<user>/<name>` or a folder in it, or `tfds://<name>`.
        split: the split's name; not needed for a folder of class folders.
        labels: the task's class names; the data's own are matched to them by name.
        size: side of the square kept of each photograph, in pixels.
        fit: `crop` or `squash`, see `explain.photo.see`.
        shares: splits that the source may lack, and the share of its training pictures that then makes each of
            them; which pictures, their bytes decide. Training pictures are then only the others.
        subset: whether the data may have more classes than the task; pictures of the others are left out.

    Raises:
        TrainingError: if there is no such split, its labels are not the task's, a class is missing, more than one
            picture in a hundred cannot be read, or a file is damaged.
    """
    digest = hashlib.sha256()
    where = f"The split {split!r} of {source}" if split else source
    # Grows where it lies: a list of pictures would be there twice while an array is made of it.
    pictures = bytearray()
    kept: list[int] = []
    names: list[str] = []
    digests: list[str] = []
    skipped: list[str] = []
    for name, content, label in rows_of(source, split, labels, digest, shares or {}, subset):
        try:
            pictures += see(read(content), size, fit=fit).data
        except ExplainError as error:
            log.warning("Skipped %s: %s", name, error)
            skipped.append(name)
            continue
        kept.append(label)
        names.append(name)
        digests.append(hashlib.sha256(content).hexdigest())
    check(kept, skipped, labels, where)
    squares = np.frombuffer(pictures, np.uint8).reshape(-1, size, size, 3)
    return Split(squares, np.array(kept), tuple(names), digest.hexdigest(), tuple(skipped), tuple(digests))


def warn_of_known(pictures: Split, trained: Collection[str]) -> None:
    """Tell how many pictures of a split are among those that were trained on, known by the digests of their bytes."""
    if known := sum(digest in trained for digest in pictures.digests):
        log.warning("%d of the %d pictures to judge by had a part in the training, too.", known, len(pictures))


def check(kept: Sequence[int], skipped: Sequence[str], labels: Sequence[str], where: str) -> None:
    """See that a split can be trained on, whose pictures have these labels, and count what was skipped.

    Raises:
        TrainingError: if there are no pictures, a class has none, or too many cannot be read.
    """
    found = len(skipped) + len(kept)
    if len(skipped) > UNREADABLE_LIMIT * found:
        raise TrainingError(
            f"{len(skipped)} of {found} pictures cannot be read, the first is {skipped[0]}; "
            "more than one in a hundred is too many."
        )
    if not kept:
        raise TrainingError(f"{where} has no pictures.")
    present = set(kept)
    missing = [label for index, label in enumerate(labels) if index not in present]
    if missing:
        raise TrainingError(f"{where} has no pictures of: {', '.join(missing[:5])}.")
    if skipped:
        log.warning("Skipped %d of %d pictures.", len(skipped), found)
