"""Photographs with labels, from parquet files in Hub layout, a folder of class folders, or the Hub."""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from explain.errors import ExplainError
from explain.photo import Fit, read, see
from training.recipe import TrainingError

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


def load(source: str, split: str | None, labels: Sequence[str], size: int, fit: Fit = "crop") -> Split:
    """Read a split into memory.

    Args:
        source: a folder with `<split>-*.parquet` files (the Hub's layout), a folder of class folders, or
            `hf://datasets/<user>/<name>`.
        split: the split's name; not needed for a folder of class folders.
        labels: the task's class names; the data's own are matched to them by name.
        size: side of the square kept of each photograph, in pixels.
        fit: `crop` or `squash`, see `explain.photo.see`.

    Raises:
        TrainingError: if there is no such split, its labels are not the task's, a class is missing, more than one
            picture in a hundred cannot be read, or a file is damaged.
    """
    folder = _snapshot(source) if source.startswith("hf://") else Path(source)
    if not folder.is_dir():
        raise TrainingError(f"There is no data folder {source}.")
    digest = hashlib.sha256()
    rows = _rows(folder, source, split, labels, digest)
    pictures: list[np.ndarray] = []
    kept: list[int] = []
    names: list[str] = []
    digests: list[str] = []
    skipped: list[str] = []
    for name, content, label in rows:
        try:
            pictures.append(see(read(content), size, fit=fit))
        except ExplainError as error:
            log.warning("Skipped %s: %s", name, error)
            skipped.append(name)
            continue
        kept.append(label)
        names.append(name)
        digests.append(hashlib.sha256(content).hexdigest())
    if len(skipped) > UNREADABLE_LIMIT * (len(skipped) + len(kept)):
        raise TrainingError(
            f"{len(skipped)} of {len(skipped) + len(kept)} pictures cannot be read, "
            f"the first is {skipped[0]}; more than one in a hundred is too many."
        )
    where = f"The split {split!r} of {source}" if split else source
    if not kept:
        raise TrainingError(f"{where} has no pictures.")
    present = set(kept)
    missing = [label for index, label in enumerate(labels) if index not in present]
    if missing:
        raise TrainingError(f"{where} has no pictures of: {', '.join(missing[:5])}.")
    if skipped:
        log.warning("Skipped %d of %d pictures.", len(skipped), len(skipped) + len(kept))
    return Split(np.stack(pictures), np.array(kept), tuple(names), digest.hexdigest(), tuple(skipped), tuple(digests))


def _snapshot(source: str) -> Path:
    from huggingface_hub import snapshot_download

    name = source.removeprefix("hf://").removeprefix("datasets/")
    try:
        return Path(snapshot_download(name, repo_type="dataset", allow_patterns=["*.parquet", "*/*.parquet"]))
    except Exception as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise TrainingError(f"The data set {name} could not be fetched from the Hub ({reason}).") from error


def _rows(
    folder: Path, source: str, split: str | None, labels: Sequence[str], digest: Any
) -> Iterator[tuple[str, bytes, int]]:
    files = sorted(file for file in folder.rglob("*.parquet") if split and file.name.startswith(f"{split}-"))
    if files:
        yield from _parquet_rows(files, labels, digest)
        return
    splits = sorted({file.name.split("-")[0] for file in folder.rglob("*.parquet")})
    if splits and split:
        raise TrainingError(f"{source} has no split {split!r}; it has: {', '.join(splits)}.")
    if splits:
        raise TrainingError(f"{source} has splits, and one must be chosen: {', '.join(splits)}.")
    # Without this, training and validation would be the same pictures.
    if split and not (folder / split).is_dir():
        raise TrainingError(f"{source} has no split {split!r}: no file {split}-*.parquet, and no folder of that name.")
    yield from _folder_rows(folder / split if split else folder, labels, digest)


def _parquet_rows(files: Sequence[Path], labels: Sequence[str], digest: Any) -> Iterator[tuple[str, bytes, int]]:
    import pyarrow
    import pyarrow.parquet as parquet

    for file in files:
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
        try:
            table = parquet.ParquetFile(file)
            image, label, order = _columns(file, table.schema_arrow, labels)
            row = 0
            for batch in table.iter_batches(256, columns=[image, label]):
                for picture, index in zip(batch[image].to_pylist(), batch[label].to_pylist(), strict=True):
                    name = (picture or {}).get("path") or f"{file.name} row {row}"
                    if index is None or not 0 <= index < len(order):
                        raise TrainingError(f"{name} in {file.name} has no label.")
                    yield name, (picture or {}).get("bytes") or b"", order[index]
                    row += 1
        except (pyarrow.ArrowException, OSError, KeyError, AttributeError) as error:
            raise TrainingError(f"{file.name} is damaged, or not a parquet file with pictures.") from error


def _columns(file: Path, schema: Any, labels: Sequence[str]) -> tuple[str, str, list[int]]:
    """The columns declared as an image and as the task's class label, and the task's index of each declared class."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        kinds = {name: feature["_type"] for name, feature in features.items() if "_type" in feature}
    except (ValueError, KeyError, TypeError, AttributeError):
        features, kinds = {}, {}
    images = [name for name, kind in kinds.items() if kind == "Image"]
    classes = [name for name, kind in kinds.items() if kind == "ClassLabel"]
    if not images or not classes:
        raise TrainingError(f"{file.name} does not declare an image and a class label in its features.")
    # A data set may label coarsely and finely: the task's own column is the one with its classes.
    fitting = [name for name in classes if not _strangers(features[name]["names"], labels)]
    if len(classes) > 1 and not fitting:
        raise TrainingError(
            f"None of the labels in {file.name} ({', '.join(classes)}) has the task's classes, "
            f"which are: {', '.join(labels[:10])}."
        )
    chosen = (fitting or classes)[0]
    return images[0], chosen, _match(features[chosen]["names"], labels, file.name)


def _folder_rows(folder: Path, labels: Sequence[str], digest: Any) -> Iterator[tuple[str, bytes, int]]:
    classes = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    if not classes:
        raise TrainingError(f"{folder} holds neither parquet files nor a folder for each class.")
    order = _match([child.name for child in classes], labels, str(folder))
    for child, label in zip(classes, order, strict=True):
        for file in sorted(path for path in child.iterdir() if path.is_file() and not path.name.startswith(".")):
            content = file.read_bytes()
            digest.update(f"{child.name}/{file.name}".encode() + hashlib.sha256(content).digest())
            yield f"{child.name}/{file.name}", content, label


def _match(found: Sequence[str], labels: Sequence[str], where: str) -> list[int]:
    """For each class name found in the data, its index among the task's labels."""
    strangers = _strangers(found, labels)
    if strangers:
        raise TrainingError(
            f"{where} has classes that the task does not know ({', '.join(strangers[:5])}); "
            f"it knows: {', '.join(labels[:10])}."
        )
    plain = {_plain(label): index for index, label in enumerate(labels)}
    return [plain[_plain(name)] for name in found]


def _strangers(found: Sequence[str], labels: Sequence[str]) -> list[str]:
    known = {_plain(label) for label in labels}
    return [name for name in found if _plain(name) not in known]


def _plain(label: str) -> str:
    return label.casefold().replace("_", " ").replace("-", " ").strip().rstrip("s")
