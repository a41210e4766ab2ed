"""Pictures streamed from shards are the pictures held in memory."""

import json
import shutil
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training import studies
from tests.training.runs import Training, assert_same_end, same
from tests.training.test_data import refused
from training import __main__ as command
from training import data, recipes, records, state, views
from training.evaluate import load_for
from training.recipe import Augmentation, Stage, TrainingError
from training.setup import Share
from training.sources import with_classes

# Small enough that the shuffle's buffer holds all.
RECIPE = studies.recipe(stages=(Stage(2),), input_size=32)


@pytest.fixture(scope="module")
def shards(hub_folder, tmp_path_factory):
    """The made pictures in shards of five."""
    out = tmp_path_factory.mktemp("shards")
    for split in ("train", "validation", "test"):
        records.pack(RECIPE, str(hub_folder), split, out, shard=5, say=lambda _: None)
    return out


def test_the_shards_hold_what_the_source_holds(shards, hub_folder):
    assert len(list(shards.glob("train-*-of-00004.tfrecord"))) == 4
    packed, source = (data.load(str(folder), "train", studies.LABELS, studies.SIDE) for folder in (shards, hub_folder))
    assert np.array_equal(packed.pictures, source.pictures)
    assert np.array_equal(packed.labels, source.labels)
    assert packed.digests == source.digests
    assert packed.names == source.names
    # Another order of the classes is none of the shards' business.
    turned = data.load(str(shards), "train", studies.LABELS[::-1], studies.SIDE)
    assert np.array_equal(turned.labels, 1 - packed.labels)


def batches(shards, steps: int, epoch: int = 0, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    streamed = records.packed(str(shards), "train", RECIPE)
    source = views.Views(np.empty(0), RECIPE.augmentation, RECIPE.input_size, seed, None)
    return [(seen.numpy(), labels.numpy()) for seen, labels in streamed.batches(source, 6, steps, epoch)]


def keys(found: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[bytes, int]]:
    return [
        (picture.tobytes(), int(label)) for seen, labels in found for picture, label in zip(seen, labels, strict=True)
    ]


def test_an_epoch_of_shards_sees_the_views_that_memory_sees_in_an_order_of_its_own(shards, hub_folder):
    split = data.load(str(hub_folder), "train", studies.LABELS, 32)
    in_memory = views.views(split.pictures, range(16), RECIPE.augmentation, 32, seed=0, epoch=1).astype("float32")
    wanted = [(picture.tobytes(), int(label)) for picture, label in zip(in_memory, split.labels, strict=True)]
    found = keys(batches(shards, 3, epoch=1))
    assert [len(labels) for _, labels in batches(shards, 3)] == [6, 6, 4]
    assert sorted(found) == sorted(wanted)
    assert found != wanted
    assert keys(batches(shards, 3, epoch=1)) == found
    assert keys(batches(shards, 3, epoch=1, seed=1)) != found


def test_the_order_of_shards_is_the_same_whatever_keras_has_drawn_or_looked_at(shards):
    streamed = records.packed(str(shards), "train", RECIPE)
    source = views.Views(np.empty(0), RECIPE.augmentation, RECIPE.input_size, 0, None)
    epoch, found = streamed.batches(source, 6, 3, 0), keys(batches(shards, 3))
    # With JAX, Keras looks at the first batch before the first epoch of a process.
    for _ in range(2):
        assert keys([(seen.numpy(), labels.numpy()) for seen, labels in epoch]) == found
    # As where two processes train together.
    for seed in (1, 2):
        tf.random.set_seed(seed)
        assert keys(batches(shards, 3)) == found


def test_fewer_and_more_steps_than_a_pass(shards):
    assert [len(labels) for _, labels in batches(shards, 2)] == [6, 6]
    many = batches(shards, 5)
    assert [len(labels) for _, labels in many] == [6] * 5
    assert len(set(keys(many))) == 16


def test_devices_and_processes_have_their_shares_of_each_batch(shards, monkeypatch):
    def of(share: Share, steps: int = 3) -> list[list[tuple[bytes, int]]]:
        monkeypatch.setattr(records, "share", lambda: share)
        return [keys([batch]) for batch in batches(shards, steps)]

    whole = of(Share())
    assert of(Share(devices=3)) == [*whole[:2], whole[2][:3]]
    first, second = of(Share(0, 2, 6)), of(Share(1, 2, 6))
    assert [one + other for one, other in zip(first, second, strict=True)] == whole[:2]
    first, second = of(Share(0, 2, 2), 5), of(Share(1, 2, 2), 5)
    assert [one + other for one, other in zip(first, second, strict=True)] == of(Share(), 5)
    with pytest.raises(TrainingError, match="A batch of 6 pictures cannot be shared by 4 devices"):
        of(Share(devices=4))


def test_pictures_of_shards_that_are_trained_on_and_judged_by_are_told(training, hub_folder, tmp_path, caplog):
    source = studies.leak(hub_folder, tmp_path / "made", "validation", (1, 1))
    training.source = tmp_path / "shards"
    for split in ("train", "validation"):
        records.pack(RECIPE, str(source), split, training.source, say=lambda _: None)
    run = training(studies.recipe(stages=(Stage(1, "head"),)))
    told = "2 of the 6 pictures to judge by had a part in the training, too."
    assert caplog.messages.count(told) == 1
    load_for(run.card, str(training.source), "validation")
    assert caplog.messages.count(told) == 2
    load_for(run.card, str(source), "validation")
    assert caplog.messages.count(told) == 3


@pytest.fixture
def both_ways(training, tmp_path, monkeypatch):
    """What trains a recipe from shards and from memory, on the same pictures in the same order."""

    def train(recipe) -> tuple[Training, Training]:
        # Augmented, but by the same seed; one shard and no shuffling, against an order that is the file's.
        out = tmp_path / "one"
        for split in ("train", "validation"):
            records.pack(recipe, str(training.source), split, out, say=lambda _: None)
        monkeypatch.setattr(records, "SHUFFLED", 1)
        monkeypatch.setattr(views, "order", lambda count, seed, epoch: np.arange(count))
        return Training(tmp_path / "streamed", out, training.base)(recipe), training(recipe)

    return train


def test_in_the_same_order_shards_train_what_memory_trains(both_ways):
    streamed, training = both_ways(RECIPE)
    assert streamed.history == training.history
    assert same(streamed.last, training.last)
    assert streamed.card.data["train"]["n"] == 16
    # Validation is in memory either way.
    assert streamed.card.data["validation"]["n"] == 8
    assert_same_end(streamed, training)


def dropping_net(include_top: bool, weights: str | None, input_shape: tuple[int, int, int]) -> keras.Model:
    """A network whose first block drops half of what it makes."""
    image = keras.Input(input_shape)
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(8, 3, 2, activation="relu", name="block1_conv")(x)
    x = keras.layers.Dropout(0.5, name="block1_drop")(x)
    x = keras.layers.Conv2D(8, 3, 2, activation="relu", name="block2_conv")(x)
    return keras.Model(image, x)


@pytest.mark.parametrize("trainable", ["head", "2"])
def test_frozen_layers_of_streamed_pictures_drop_nothing_either(both_ways, training, tmp_path, monkeypatch, trainable):
    monkeypatch.setattr(keras.applications, "PlainNet", dropping_net)
    training.base = tmp_path / "base.weights.h5"
    dropping_net(False, None, (32, 32, 3)).save_weights(training.base)
    streamed, _ = both_ways(studies.recipe(stages=(Stage(2, trainable),), input_size=32))
    assert [float(row["loss"]) for row in streamed.history] == pytest.approx(
        [float(row["loss"]) for row in training.history], rel=1e-4
    )
    assert same(streamed.last, training.last, 1e-4)


def test_nothing_is_drawn_from_shards_of_training_pictures(tmp_path):
    rows = studies.rows_of((30, 30))
    studies.write_parquet(tmp_path / "train-0.parquet", rows, studies.features_of(label=studies.LABELS))
    table = studies.recipe(shares={"validation": 0.3})
    records.pack(table, str(tmp_path), "train", tmp_path / "shards", say=lambda _: None)
    refused(
        str(tmp_path / "shards"),
        "validation",
        studies.LABELS,
        32,
        match="no split 'validation'; it has: train",
        shares=table.shares,
    )
    whole, packed = (
        data.load(str(folder), "train", studies.LABELS, 32, shares=table.shares)
        for folder in (tmp_path, tmp_path / "shards")
    )
    assert len(whole) < 60
    assert packed.digests == whole.digests


def test_unreadable_pictures_are_left_out_and_other_classes_refused(tmp_path):
    rows = studies.rows_of((100, 100))
    rows[7] = ("torn.jpg", rows[7][1][:60], 0)
    studies.write_parquet(tmp_path / "train-0.parquet", rows, studies.features_of(label=studies.LABELS))
    out = tmp_path / "shards"
    assert records.pack(RECIPE, str(tmp_path), "train", out, say=lambda _: None) == 199
    facts = json.loads((out / "train.json").read_text())
    assert facts["skipped"] == ["torn.jpg"]
    assert len(records.packed(str(out), "train", RECIPE)) == 199
    with pytest.raises(TrainingError, match="other classes"):
        records.packed(str(out), "train", studies.recipe(labels=("dog", "cat")))
    refused(str(out), "test", studies.LABELS, 32, match="no split 'test'; it has: train")
    refused(str(out), None, studies.LABELS, 32, match="one must be chosen: train")
    rows[8] = rows[9] = rows[7]
    studies.write_parquet(tmp_path / "train-0.parquet", rows, studies.features_of(label=studies.LABELS))
    with pytest.raises(TrainingError, match="3 of 200 pictures cannot be read"):
        records.pack(RECIPE, str(tmp_path), "train", tmp_path / "bad", say=lambda _: None)
    assert not list((tmp_path / "bad").iterdir())


def test_shards_that_are_cut_short_are_one_sentence(shards, tmp_path):
    for file in shards.glob("test*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    file = min(tmp_path.glob("test-*"))
    file.write_bytes(file.read_bytes()[:-9])
    refused(str(tmp_path), "test", studies.LABELS, 32, match="damaged; pack the split again")
    (tmp_path / "test.json").write_text("{")
    refused(str(tmp_path), "test", studies.LABELS, 32, match=r"test\.json is damaged")


def test_shards_that_break_while_they_are_trained_on_are_one_sentence_and_cost_no_epoch(shards, training, monkeypatch):
    training.source = training.out.parent / "shards"
    shutil.copytree(shards, training.source)
    damaged = min(training.source.glob("train-*"))
    good = damaged.read_bytes()
    save = state.save

    def save_and_damage(*rest):
        save(*rest)
        damaged.write_bytes(good[:200] + bytes([good[200] ^ 1]) + good[201:])

    with monkeypatch.context() as patch:
        patch.setattr(state, "save", save_and_damage)
        with pytest.raises(TrainingError, match="damaged or gone; pack the split again, and go on with --resume"):
            training(RECIPE)
    assert len(training.history) == 1
    damaged.write_bytes(good)
    training(RECIPE, resume=True)
    assert_same_end(training, Training(training.out.parent / "whole", training.source, training.base)(RECIPE))


def test_a_broken_pipeline_is_waited_for_until_it_calls_no_more():
    calls = records.Calls()
    made = []

    def call() -> None:
        for number in range(5):
            calls.note()
            time.sleep(0.05)
            made.append(number)

    thread = threading.Thread(target=call)
    thread.start()
    calls.note()
    calls.rest(pause=0.5)
    assert len(made) == 5


def test_shards_that_are_missing_are_one_sentence(shards, tmp_path):
    for file in shards.glob("train*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    min(tmp_path.glob("train-*")).unlink()
    with pytest.raises(TrainingError, match="some are missing; pack the split again"):
        records.packed(str(tmp_path), "train", RECIPE)
    (tmp_path / "train.json").unlink()
    with pytest.raises(TrainingError, match="says what its shards hold; pack them again"):
        records.Records(tmp_path).classes()


def test_shards_for_a_study_of_any_data_have_the_data_s_classes(tmp_path):
    rows = studies.rows_of((5, 5))
    studies.write_parquet(tmp_path / "train-0.parquet", rows, studies.features_of(label=studies.LABELS))
    table = studies.recipe(labels=(), units=0)
    records.pack(table, str(tmp_path), "train", tmp_path / "shards", say=lambda _: None)
    found = with_classes(table, str(tmp_path / "shards"))
    assert found.labels == studies.LABELS
    assert len(records.packed(str(tmp_path / "shards"), "train", found)) == 10


def test_shards_of_a_packing_that_was_stopped_are_not_taken_for_those_before(hub_folder, tmp_path, monkeypatch):
    records.pack(RECIPE, str(hub_folder), "train", tmp_path, say=lambda _: None)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", stop)
    with pytest.raises(KeyboardInterrupt):
        records.pack(RECIPE, str(hub_folder), "train", tmp_path, shard=5, say=lambda _: None)
    with pytest.raises(TrainingError, match="no split that says what its shards hold; pack them again"):
        records.packed(str(tmp_path), "train", RECIPE)


def test_the_augmentation_of_a_streamed_view_is_that_of_its_place():
    kind = Augmentation(rotation=20, flip=True)
    picture = studies.picture(1, 1)
    source = views.Views(np.stack([picture] * 3), kind, 32, 0, 2)
    assert np.array_equal(source.of(picture, 2, 5), source([2], 5)[0])


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(hub_folder, tmp_path, monkeypatch, capfd):
    class Full(tf.io.TFRecordWriter):
        def write(self, record):
            raise tf.errors.ResourceExhaustedError(None, None, f"{tmp_path}; No space left on device")

    monkeypatch.setattr(tf.io, "TFRecordWriter", Full)
    monkeypatch.setattr(recipes, "find", lambda task: RECIPE)
    asked = ["pack", "made", "--data", str(hub_folder), "--split", "test", "--out", str(tmp_path)]
    assert command.main(asked) == 2
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "No space left on device" in said
    assert not list(tmp_path.iterdir())
