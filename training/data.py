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
    """

    pictures: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    sha256: str
    skipped: tuple[str, ...] = ()

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
        TrainingError: if there is no such split, its labels are not the task's, a class is missing, or more
            than one picture in a hundred cannot be read.
    """
    folder = _snapshot(source) if source.startswith("hf://") else Path(source)
    if not folder.is_dir():
        raise TrainingError(f"There is no data folder {source}.")
    digest = hashlib.sha256()
    rows = _rows(folder, source, split, labels, digest)
    pictures: list[np.ndarray] = []
    kept: list[int] = []
    names: list[str] = []
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
    if len(skipped) > UNREADABLE_LIMIT * (len(skipped) + len(kept)):
        raise TrainingError(
            f"{len(skipped)} of {len(skipped) + len(kept)} pictures cannot be read, "
            f"the first is {skipped[0]}; more than one in a hundred is too many."
        )
    where = f"split {split!r} of {source}" if split else source
    if not kept:
        raise TrainingError(f"There are no pictures in {where}.")
    missing = [label for index, label in enumerate(labels) if index not in set(kept)]
    if missing:
        raise TrainingError(f"The {where} has no pictures of: {', '.join(missing[:5])}.")
    return Split(np.stack(pictures), np.array(kept), tuple(names), digest.hexdigest(), tuple(skipped))


def _snapshot(source: str) -> Path:
    from huggingface_hub import snapshot_download

    name = source.removeprefix("hf://").removeprefix("datasets/")
    try:
        return Path(snapshot_download(name, repo_type="dataset", allow_patterns=["*.parquet", "*/*.parquet"]))
    except Exception as error:
        raise TrainingError(f"The data set {name} could not be fetched from the Hub: {error}") from error


def _rows(
    folder: Path, source: str, split: str | None, labels: Sequence[str], digest: Any
) -> Iterator[tuple[str, bytes, int]]:
    files = sorted(file for file in folder.rglob("*.parquet") if split and file.name.startswith(f"{split}-"))
    if files:
        yield from _parquet_rows(files, labels, digest)
        return
    splits = sorted({file.name.split("-")[0] for file in folder.rglob("*.parquet")})
    if splits:
        raise TrainingError(f"{source} has no split {split!r}; it has: {', '.join(splits)}.")
    inner = folder / split if split and (folder / split).is_dir() else folder
    yield from _folder_rows(inner, labels, digest)


def _parquet_rows(files: Sequence[Path], labels: Sequence[str], digest: Any) -> Iterator[tuple[str, bytes, int]]:
    import pyarrow.parquet as parquet

    for file in files:
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
        table = parquet.ParquetFile(file)
        image, label, names = _columns(file, table.schema_arrow)
        order = _match(names, labels, file.name)
        row = 0
        for batch in table.iter_batches(256, columns=[image, label]):
            for picture, index in zip(batch[image].to_pylist(), batch[label].to_pylist(), strict=True):
                yield picture["path"] or f"{file.name} row {row}", picture["bytes"], order[index]
                row += 1


def _columns(file: Path, schema: Any) -> tuple[str, str, list[str]]:
    """The columns whose declared features are an image and a class label, and the class names."""
    features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    images = [name for name, feature in features.items() if feature.get("_type") == "Image"]
    classes = [name for name, feature in features.items() if feature.get("_type") == "ClassLabel"]
    if not images or not classes:
        raise TrainingError(f"{file.name} does not declare an image and a class label in its features.")
    # A data set may label coarsely and finely: the last one declared is the task's own unless it says otherwise.
    chosen = next((name for name in classes if name in ("label", "coarse_label")), classes[-1])
    return images[0], chosen, features[chosen]["names"]


def _folder_rows(folder: Path, labels: Sequence[str], digest: Any) -> Iterator[tuple[str, bytes, int]]:
    classes = sorted(child for child in folder.iterdir() if child.is_dir())
    if not classes:
        raise TrainingError(f"{folder} holds neither parquet files nor a folder for each class.")
    order = _match([child.name for child in classes], labels, str(folder))
    for child, label in zip(classes, order, strict=True):
        for file in sorted(path for path in child.iterdir() if path.is_file() and not path.name.startswith(".")):
            content = file.read_bytes()
            digest.update(file.name.encode() + hashlib.sha256(content).digest())
            yield f"{child.name}/{file.name}", content, label


def _match(found: Sequence[str], labels: Sequence[str], where: str) -> list[int]:
    """For each class name found in the data, its index among the task's labels."""
    plain = {_plain(label): index for index, label in enumerate(labels)}
    strangers = [name for name in found if _plain(name) not in plain]
    if strangers:
        raise TrainingError(
            f"{where} has classes that the task does not know ({', '.join(strangers[:5])}); "
            f"it knows: {', '.join(labels[:10])}."
        )
    return [plain[_plain(name)] for name in found]


def _plain(label: str) -> str:
    return label.casefold().replace("_", " ").replace("-", " ").strip().rstrip("s")
