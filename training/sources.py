"""Where photographs with labels come from: parquet files in Hub layout, class folders, the Hub, TFDS, TFRecord shards.

A source gives rows (name, bytes of the picture's file, the task's label) in a fixed order and knows no picture size.
"""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from mimetypes import guess_type
from pathlib import Path
from typing import Any, Protocol

from training.recipe import Recipe, TrainingError

Row = tuple[str, bytes, int]


class Source(Protocol):
    """What every source can do."""

    @property
    def splits(self) -> Sequence[str]:
        """The names of its splits; none where it is one whole."""
        ...

    def classes(self) -> Sequence[str]:
        """The names of its classes, in its own order."""
        ...

    def rows(self, split: str | None, labels: Sequence[str], subset: bool, digest: Any) -> Iterator[Row]:
        """The pictures of a split whose class is the task's; `digest` is updated with all that they are read from."""
        ...


def find(source: str) -> Source:
    """The source of a name as in `training.data.load`.

    Raises:
        TrainingError: if there is none, or it holds nothing of use.
    """
    if source.startswith("tfds://"):
        return Tfds(source.removeprefix("tfds://"))
    folder = _snapshot(source) if source.startswith("hf://") else Path(source)
    if not folder.is_dir():
        raise TrainingError(f"There is no data folder {source}.")
    if any(folder.glob("*.tfrecord")):
        from training.records import Records

        return Records(folder)
    if any(folder.rglob("*.parquet")):
        return Parquet(folder, source)
    return ClassFolders(folder, source)


def with_classes(recipe: Recipe, source: str) -> Recipe:
    """A recipe with the data's own classes, where it is for whatever data there is.

    Raises:
        TrainingError: if those are fewer than two.
    """
    if recipe.labels:
        return recipe
    labels = tuple(find(source).classes())
    if len(labels) < 2:
        raise TrainingError(
            f"{source} has {len(labels) or 'no'} class{'' if labels else 'es'}; at least two are needed."
        )
    return replace(recipe, labels=labels, units=len(labels))


def rows_of(
    source: str, split: str | None, labels: Sequence[str], digest: Any, shares: Mapping[str, float], subset: bool
) -> Iterator[Row]:
    """The rows of a split, also of one that is only a share of the training pictures; see `training.data.load`."""
    from training.records import Records

    found = find(source)
    # Shards of the training pictures are without the shares already, or were never to be: nothing is drawn from them.
    drawn = {} if isinstance(found, Records) else shares
    lacking = {name: share for name, share in drawn.items() if name not in found.splits}
    if not lacking or split not in ("train", *lacking):
        yield from found.rows(split, labels, subset, digest)
        return
    digest.update(json.dumps([split, lacking]).encode())
    for row in found.rows("train" if found.splits else None, labels, subset, digest):
        if _part(row[1], lacking) == split:
            yield row


def require_split(split: str | None, splits: Sequence[str], where: str) -> None:
    """See that a source has a split, which must be chosen.

    Raises:
        TrainingError: if it has not, or if none is chosen.
    """
    if split in splits:
        return
    known = ", ".join(splits)
    if split:
        raise TrainingError(f"{where} has no split {split!r}; it has: {known}.")
    raise TrainingError(f"{where} has splits, and one must be chosen: {known}.")


def _part(content: bytes, shares: Mapping[str, float]) -> str:
    """The split that a picture belongs to, drawn from its bytes: so that the same picture twice is in one split."""
    draw = int.from_bytes(hashlib.sha256(b"split" + content).digest()[:8]) / 2**64
    for name, share in shares.items():
        if draw < share:
            return name
        draw -= share
    return "train"


def _snapshot(source: str) -> Path:
    from huggingface_hub import snapshot_download

    parts = source.removeprefix("hf://").removeprefix("datasets/").split("/")
    name = "/".join(parts[:2])
    try:
        found = Path(snapshot_download(name, repo_type="dataset", allow_patterns=["*.parquet", "*/*.parquet"]))
        return found.joinpath(*parts[2:])
    except Exception as error:
        raise TrainingError(f"The data set {name} could not be fetched from the Hub ({_reason(error)}).") from error


class Parquet:
    """A folder with `<split>-*.parquet` or `<split>.parquet` files, as on the Hub; those of a split in one folder.

    Columns are found by their declared features. The class is a declared class label or, where there is none, the one
    column of text.
    """

    def __init__(self, folder: Path, source: str):
        self._files, self._source = sorted(folder.rglob("*.parquet")), source
        self.splits = sorted({_split_of(file) for file in self._files})
        for split in self.splits:
            places = sorted({str(file.parent.relative_to(folder)) for file in self._files if _split_of(file) == split})
            if len(places) > 1:
                raise TrainingError(
                    f"{source} has more than one {split!r}, and one must be chosen by its folder: "
                    f"{', '.join(f'{source}/{place}' for place in places)}."
                )

    def classes(self) -> Sequence[str]:
        found: dict[str, None] = {}
        for file in self._files:
            _, labels = _features(file)
            if len(labels) > 1:
                raise TrainingError(f"{self._source} has several labels: {', '.join(labels)}.")
            ((_, names),) = labels.items()
            if isinstance(names, list):
                return names
            found |= dict.fromkeys(names)
        return sorted(found)

    def rows(self, split: str | None, labels: Sequence[str], subset: bool, digest: Any) -> Iterator[Row]:
        require_split(split, self.splits, self._source)
        for file in self._files:
            if _split_of(file) == split:
                yield from self._rows(file, labels, subset, digest)

    def _rows(self, file: Path, labels: Sequence[str], subset: bool, digest: Any) -> Iterator[Row]:
        import pyarrow
        import pyarrow.parquet as parquet

        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
        try:
            table = parquet.ParquetFile(file)
            image, label, order = _columns(file, labels, subset)
            row = 0
            for batch in table.iter_batches(256, columns=[image, label]):
                for picture, index in zip(batch[image].to_pylist(), batch[label].to_pylist(), strict=True):
                    name = (picture or {}).get("path") or f"{file.name} row {row}"
                    if index not in order:
                        raise TrainingError(f"{name} in {file.name} has no label.")
                    row += 1
                    wanted = order[index]
                    if wanted is not None:
                        yield name, (picture or {}).get("bytes") or b"", wanted
        except (pyarrow.ArrowException, OSError, KeyError, TypeError, AttributeError) as error:
            raise TrainingError(f"{file.name} is damaged, or not a parquet file with pictures.") from error


def _split_of(file: Path) -> str:
    return re.split("[-.]", file.name)[0]


def _features(file: Path) -> tuple[str, dict[str, list[str] | frozenset[str]]]:
    """The column of a file with pictures, and the names that each column with classes has.

    A declared class label has a list of names, in its own order; text has a set of words.
    """
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        metadata = parquet.read_schema(file).metadata or {}
    except (pyarrow.ArrowException, OSError) as error:
        raise TrainingError(f"{file.name} is damaged, or not a parquet file with pictures.") from error
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        kinds = {name: (feature["_type"], feature.get("dtype")) for name, feature in features.items()}
        labels: dict[str, Any] = {
            name: [*map(str, features[name]["names"])] for name, (kind, _) in kinds.items() if kind == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        kinds, labels = {}, {}
    images = [name for name, (kind, _) in kinds.items() if kind == "Image"]
    words = [name for name, kind in kinds.items() if kind == ("Value", "string")]
    if images and not labels and len(words) == 1:
        column = parquet.read_table(file, columns=words)[words[0]]
        labels = {words[0]: frozenset(column.unique().to_pylist()) - {None}}
    if not images or not labels:
        raise TrainingError(f"{file.name} does not declare an image and a class label in its features.")
    return images[0], labels


def _columns(file: Path, labels: Sequence[str], subset: bool) -> tuple[str, str, dict[Any, int | None]]:
    """The columns with pictures and with the task's classes, and the task's index of each value of the latter."""
    image, found = _features(file)
    # A data set may label coarsely and finely: the task's own column is the one with its classes.
    fitting = [name for name, names in found.items() if _fits(list(names), labels, subset)]
    if len(found) > 1 and not fitting:
        raise TrainingError(
            f"None of the labels in {file.name} ({', '.join(found)}) has the task's classes, "
            f"which are: {', '.join(labels[:10])}."
        )
    chosen = (fitting or list(found))[0]
    names = list(found[chosen])
    values = range(len(names)) if isinstance(found[chosen], list) else names
    return image, chosen, dict(zip(values, match(names, labels, subset, file.name), strict=True))


class ClassFolders:
    """A folder with one folder for each class, or with one folder for each split that has them."""

    def __init__(self, folder: Path, source: str):
        self._folder, self._source = folder, source
        # A split has folders and no pictures of its own; a class may have a folder beside its pictures.
        self.splits = [child.name for child in _folders(folder) if _folders(child) and not _has_pictures(child)]

    def classes(self) -> Sequence[str]:
        split = "train" if "train" in self.splits else next(iter(self.splits), "")
        return [_text(child.name) for child in _folders(self._folder / split)]

    def rows(self, split: str | None, labels: Sequence[str], subset: bool, digest: Any) -> Iterator[Row]:
        # Without this, training and validation would be the same pictures.
        if split and not (self._folder / split).is_dir():
            whole = not self.splits and _folders(self._folder)
            raise TrainingError(
                f"{self._source} has no split {split!r}: no file {split}-*.parquet, and no folder of that name."
                + (" A recipe with `shares` draws its splits from such a folder." if whole else "")
            )
        folder = self._folder / split if split else self._folder
        classes = _folders(folder)
        if self.splits and self.splits == [child.name for child in classes]:
            require_split(split, self.splits, self._source)
        if not classes:
            raise TrainingError(f"{folder} holds neither parquet files nor a folder for each class.")
        order = match([_text(child.name) for child in classes], labels, subset, str(folder))
        for child, label in zip(classes, order, strict=True):
            if label is None:
                continue
            for file in sorted(path for path in child.iterdir() if path.is_file() and not path.name.startswith(".")):
                content, name = file.read_bytes(), f"{child.name}/{file.name}"
                digest.update(os.fsencode(name) + hashlib.sha256(content).digest())
                yield _text(name), content, label


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _has_pictures(folder: Path) -> bool:
    kinds = (guess_type(file.name, strict=False)[0] or "" for file in folder.iterdir())
    return any(kind.startswith("image/") for kind in kinds)


def _text(name: str) -> str:
    """A name as it can be printed and written: what is no text has a sign that stands for it."""
    return os.fsencode(name).decode(errors="replace")


class Tfds:
    """A data set of TensorFlow Datasets, downloaded and prepared where it is not yet."""

    def __init__(self, name: str):
        try:
            import tensorflow_datasets as tfds
        except ImportError:
            # It imports importlib_resources without asking for it.
            raise TrainingError(
                "tfds:// needs TensorFlow Datasets, which is not installed: "
                "pip install tensorflow-datasets importlib_resources."
            ) from None
        self._tfds, self._name = tfds, name
        try:
            self._builder = tfds.builder(name)
            self._builder.download_and_prepare()
        except Exception as error:
            raise TrainingError(f"The data set {name} could not be had from TFDS ({_reason(error)}).") from error
        self.splits = list(self._builder.info.splits)

    def classes(self) -> Sequence[str]:
        features, _, classes = self._features()
        if len(classes) > 1 and classes[0] not in self._learned:
            raise TrainingError(f"{self._name} has several labels: {', '.join(classes)}.")
        return features[classes[0]].names

    @property
    def _learned(self) -> Sequence[Any]:
        """The features that it declares to be input and target of a training; none where it declares none."""
        return self._builder.info.supervised_keys or ()

    def _features(self) -> tuple[dict[str, Any], list[str], list[str]]:
        """The features that it declares, and which of them are images and class labels: first those to learn."""
        kinds, features = self._tfds.features, dict(self._builder.info.features)
        # As they are read from a disk, they have no order of their own, and a mask is an image, too.
        names = sorted(features, key=lambda name: (name not in self._learned, name != "image", name))
        images = [name for name in names if isinstance(features[name], kinds.Image)]
        classes = [name for name in names if isinstance(features[name], kinds.ClassLabel)]
        if not images or not classes:
            raise TrainingError(f"{self._name} does not declare an image and a class label in its features.")
        return features, images, classes

    def rows(self, split: str | None, labels: Sequence[str], subset: bool, digest: Any) -> Iterator[Row]:
        import tensorflow as tf

        tfds = self._tfds
        require_split(split, self.splits, self._name)
        features, images, classes = self._features()
        fitting = [name for name in classes if _fits(features[name].names, labels, subset)]
        image, label = images[0], (fitting or classes)[0]
        order = dict(enumerate(match(features[label].names, labels, subset, self._name)))
        # The bytes of the file, so that a picture is read in one way wherever it comes from.
        encoded = {image: tfds.decode.SkipDecoding()}
        pictures = self._builder.as_dataset(split=split, decoders=encoded, shuffle_files=False)
        try:
            for number, row in enumerate(tfds.as_numpy(pictures)):
                content, index = bytes(row[image]), int(row[label])
                if index not in order:
                    raise TrainingError(f"{split} {number} of {self._name} has no label.")
                wanted = order[index]
                digest.update(hashlib.sha256(content).digest() + str(wanted).encode())
                if wanted is not None:
                    yield f"{split} {number}", content, wanted
        except tf.errors.OpError as error:
            raise TrainingError(
                f"The files of {split!r} of {self._name} are damaged or gone: remove {self._builder.data_path} to have "
                "them prepared anew."
            ) from error


def match(found: Sequence[str], labels: Sequence[str], subset: bool, where: str) -> list[int | None]:
    """For each class name found in the data, its index among the task's labels; None for one to be left out.

    Raises:
        TrainingError: if there are classes that the task does not know and that it does not leave out.
    """
    places = _places(found, labels)
    strangers = [name for name, place in zip(found, places, strict=True) if place is None]
    if strangers and not subset:
        raise TrainingError(
            f"{where} has classes that the task does not know ({', '.join(strangers[:5])}); "
            f"it knows: {', '.join(labels[:10])}."
        )
    return places


def _fits(found: Sequence[str], labels: Sequence[str], subset: bool) -> bool:
    return None not in (_places(labels, found) if subset else _places(found, labels))


def _places(found: Sequence[str], labels: Sequence[str]) -> list[int | None]:
    """Where among the labels each name is: as it is written or, where that is not there, but for case and number."""
    exact = {label: index for index, label in enumerate(labels)}
    times = Counter(map(_plain, labels))
    folded = {_plain(label): index for index, label in enumerate(labels) if times[_plain(label)] == 1}
    return [exact.get(name, folded.get(_plain(name))) for name in found]


def _plain(label: str) -> str:
    return label.casefold().replace("_", " ").replace("-", " ").strip().rstrip("s")


def _reason(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
