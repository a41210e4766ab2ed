"""TFRecord shards, for pictures that do not fit in memory: written once, then streamed through `tf.data`.

A record is an Example with `picture` (the bytes of the picture's file), `label`, `name` and `index`, its place in the
split, by which its views are drawn: so a picture is seen as it would be seen from memory. `<split>.json` beside the
shards says what they hold. The only part of training that needs TensorFlow.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from explain.errors import ExplainError
from explain.photo import Fit, read, see
from training import data
from training.recipe import Recipe, TrainingError
from training.setup import share
from training.sources import Row, match, require_split, rows_of, with_classes
from training.views import Views

SHARD = 2048
"""Pictures in a shard."""
SHUFFLED = 4096
"""Pictures among which one is drawn at random, as files: some 200 MB of photographs."""

log = logging.getLogger(__name__)


def pack(
    recipe: Recipe, source: str, split: str, out: Path, shard: int = SHARD, say: Callable[[str], None] = print
) -> int:
    """Write a split of a source into shards; returns the number of pictures.

    Pictures that cannot be read are left out, counted and named.

    Raises:
        TrainingError: as `training.data.load` does.
    """
    import tensorflow as tf

    if shard < 1:
        raise TrainingError("A shard holds at least one picture.")
    recipe = with_classes(recipe, source)
    out.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    kept: list[int] = []
    digests: list[str] = []
    skipped: list[str] = []
    shards: list[Path] = []
    writer: Any = None
    try:
        rows = rows_of(source, split, recipe.labels, digest, recipe.shares, recipe.subset)
        for name, content, label in rows:
            try:
                read(content)
            except ExplainError as error:
                log.warning("Skipped %s: %s", name, error)
                skipped.append(name)
                continue
            if len(kept) % shard == 0:
                if writer is not None:
                    writer.close()
                    say(f"{len(kept)} pictures in {len(shards)} shards")
                shards.append(out / f"unfinished-{split}-{len(shards):05d}")
                writer = tf.io.TFRecordWriter(str(shards[-1]))
            writer.write(_example(content, label, name, len(kept)))
            kept.append(label)
            digests.append(hashlib.sha256(content).hexdigest())
        if writer is not None:
            writer.close()
        data.check(kept, skipped, recipe.labels, f"The split {split!r} of {source}")
        _publish(shards, out, split)
    except tf.errors.OpError as error:
        raise OSError(None, error.message, str(out)) from error
    finally:
        for file in out.glob(f"unfinished-{split}-*"):
            file.unlink()
    facts = {
        "labels": recipe.labels,
        "classes": kept,
        "digests": digests,
        "sha256": digest.hexdigest(),
        "skipped": skipped,
    }
    (out / f"{split}.json").write_text(json.dumps(facts))
    say(f"{len(kept)} pictures in {len(shards)} shards, written to {out}")
    return len(kept)


def _publish(shards: Sequence[Path], out: Path, split: str) -> None:
    """Give the shards their names, in place of those of an earlier packing."""
    # First what that said of them: without it nobody takes the new ones for the old.
    (out / f"{split}.json").unlink(missing_ok=True)
    for old in out.glob(f"{split}-*.tfrecord"):
        old.unlink()
    for number, file in enumerate(shards):
        file.rename(out / f"{split}-{number:05d}-of-{len(shards):05d}.tfrecord")


def _example(content: bytes, label: int, name: str, index: int) -> bytes:
    import tensorflow as tf

    def feature(value: bytes | int) -> Any:
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    fields: dict[str, bytes | int] = {"picture": content, "label": label, "name": name.encode(), "index": index}
    features = tf.train.Features(feature={key: feature(value) for key, value in fields.items()})
    return tf.train.Example(features=features).SerializeToString()


class Records:
    """A folder of shards as a source, see `training.sources`."""

    def __init__(self, folder: Path):
        self._folder = folder
        self.splits = sorted(file.stem for file in folder.glob("*.json"))

    def classes(self) -> Sequence[str]:
        return self.facts(next(iter(self.splits), None))["labels"]

    def facts(self, split: str | None) -> dict[str, Any]:
        """What `pack` said of a split."""
        if not self.splits:
            raise TrainingError(f"{self._folder} has no split that says what its shards hold; pack them again.")
        require_split(split, self.splits, str(self._folder))
        try:
            found = json.loads((self._folder / f"{split}.json").read_text())
            return {name: found[name] for name in ("labels", "classes", "digests", "sha256", "skipped")}
        except (ValueError, KeyError, TypeError):
            raise TrainingError(f"{self._folder / f'{split}.json'} is damaged; pack the split again.") from None

    def shards(self, split: str) -> list[str]:
        """The files of a split."""
        return [str(file) for file in sorted(self._folder.glob(f"{split}-*.tfrecord"))]

    def rows(self, split: str | None, labels: Sequence[str], subset: bool, digest: Any) -> Iterator[Row]:
        import tensorflow as tf

        facts = self.facts(split)
        digest.update(facts["sha256"].encode())
        order = match(facts["labels"], labels, subset, str(self._folder))
        try:
            for record in tf.data.TFRecordDataset(self.shards(str(split))).as_numpy_iterator():
                row = {key: value.numpy() for key, value in _parsed(record).items()}
                wanted = order[row["label"]]
                if wanted is not None:
                    yield row["name"].decode(), row["picture"], wanted
        except tf.errors.OpError as error:
            raise TrainingError(
                f"The shards of {split!r} in {self._folder} are damaged; pack the split again."
            ) from error


@contextmanager
def whole(pictures: Any) -> Iterator[None]:
    """Says of shards that are streamed within that they are damaged, or gone, where they turn out to be.

    Raises:
        TrainingError: then.
    """
    if not isinstance(pictures, Packed):
        yield
        return
    import tensorflow as tf

    try:
        yield
    except (tf.errors.DataLossError, tf.errors.NotFoundError):
        pictures.calls.rest()
        folder = Path(pictures.files[0]).parent
        raise TrainingError(
            f"The shards in {folder} are damaged or gone; pack the split again, and go on with --resume."
        ) from None


class Calls:
    """The calls of Python by the threads of a `tf.data` pipeline, which nobody waits for when it breaks."""

    def __init__(self) -> None:
        self._last = 0.0

    def note(self) -> None:
        """Say that there is one."""
        self._last = time.monotonic()

    def rest(self, pause: float = 1.0) -> None:
        """Wait until there has been none for so many seconds: a process that ends in the midst of one is aborted."""
        while (left := self._last + pause - time.monotonic()) > 0:
            time.sleep(left)


def _parsed(record: Any) -> dict[str, Any]:
    import tensorflow as tf

    kinds = {"picture": tf.string, "label": tf.int64, "name": tf.string, "index": tf.int64}
    return tf.io.parse_single_example(record, {key: tf.io.FixedLenFeature([], kind) for key, kind in kinds.items()})


def packed(source: str, split: str, recipe: Recipe) -> "Packed | None":
    """The pictures of a split to train on, where the source is a folder of shards.

    Raises:
        TrainingError: if they were packed for other classes.
    """
    folder = Path(source)
    if not any(folder.glob(f"{split}-*.tfrecord")):
        return None
    found = Records(folder)
    facts = found.facts(split)
    if tuple(facts["labels"]) != recipe.labels:
        raise TrainingError(f"The shards in {folder} were packed for other classes; pack them for {recipe.task}.")
    shards = found.shards(split)
    if not shards[0].endswith(f"-of-{len(shards):05d}.tfrecord"):
        raise TrainingError(f"Of the shards of {split!r} in {folder} some are missing; pack the split again.")
    return Packed(
        tuple(shards),
        tuple(facts["classes"]),
        recipe.source_size or recipe.input_size,
        recipe.fit,
        facts["sha256"],
        tuple(facts["skipped"]),
        tuple(facts["digests"]),
    )


@dataclass(frozen=True)
class Packed:
    """The training pictures of shards, which are never all in memory.

    Attributes:
        files: the shards.
        classes: the label of each picture.
        size, fit: the square that is kept of each, see `training.data.load`.
        sha256, skipped, digests: as in `training.data.Split`.
        calls: those that make the views.
    """

    files: tuple[str, ...]
    classes: tuple[int, ...]
    size: int
    fit: Fit
    sha256: str
    skipped: tuple[str, ...]
    digests: tuple[str, ...]
    calls: Calls = field(default_factory=Calls, compare=False)

    def __len__(self) -> int:
        return len(self.classes)

    def batches(self, source: Views, size: int, steps: int, epoch: int) -> Any:
        """The batches of one epoch as a `tf.data.Dataset`; its order follows from seed and epoch.

        Raises:
            TrainingError: if the devices cannot share a batch.
        """
        import tensorflow as tf

        mine = share()
        taken = mine.epoch(len(self), size, steps)

        def part(batch: Any) -> Any:
            each = tf.shape(batch)[0] // mine.parts
            return batch[mine.part * each : (mine.part + 1) * each]

        def seen(content: bytes, index: int) -> np.ndarray:
            self.calls.note()
            picture = see(read(content), self.size, fit=self.fit)
            return source.of(picture, int(index), epoch).astype("float32")

        def example(record: Any) -> tuple[Any, Any]:
            row = _parsed(record)
            picture = tf.numpy_function(seen, [row["picture"], row["index"]], tf.float32)
            return tf.ensure_shape(picture, (source.size, source.size, 3)), row["label"]

        random = np.random.default_rng((source.seed, epoch))
        # A part of what shuffles, and Keras draws one where several processes train together.
        tf.random.set_seed(source.seed)
        files = tf.data.Dataset.from_tensor_slices(random.permutation(self.files))
        records = files.interleave(tf.data.TFRecordDataset, cycle_length=4)
        # Keras may look at the first batch, and then begin anew.
        records = records.shuffle(
            min(len(self), SHUFFLED), seed=int(random.integers(2**31)), reshuffle_each_iteration=False
        )
        records = (records if taken <= len(self) else records.repeat()).take(taken)
        if mine.parts > 1:
            records = records.batch(size).map(part).unbatch()
        pictures = records.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        batches = pictures.batch(size // mine.parts)
        return batches.apply(tf.data.experimental.assert_cardinality(-(-taken // size))).prefetch(tf.data.AUTOTUNE)
