"""Splits that a source lacks, classes that a task leaves out, and TensorFlow Datasets."""

import hashlib
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
import tensorflow

from tests.training import studies
from tests.training.studies import LABELS, features_of, rows_of, write_hub, write_parquet
from tests.training.test_data import assert_is_made, refused, write_folders
from training import data, sources
from training.recipe import TrainingError

SIDE = studies.SIDE
SHARES = {"validation": 0.25, "test": 0.25}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """60 pictures in a training split and nothing else."""
    folder = tmp_path_factory.mktemp("whole")
    write_parquet(folder / "train-0.parquet", rows_of((30, 30)), features_of(labels=LABELS))
    return folder


def load(folder, split, **changes) -> data.Split:
    return data.load(str(folder), split, LABELS, SIDE, **({"shares": SHARES} | changes))


def test_shares_of_the_training_pictures_are_disjoint_and_all_of_them(whole):
    parts = {split: load(whole, split) for split in ("train", *SHARES)}
    digests = [digest for part in parts.values() for digest in part.digests]
    every = data.load(str(whole), "train", LABELS, SIDE)
    assert sorted(digests) == sorted(every.digests)
    assert len(set(digests)) == 60
    assert [len(part) for part in parts.values()] == pytest.approx([30, 15, 15], abs=6)
    assert len({part.sha256 for part in (*parts.values(), every)}) == 4
    again = load(whole, "validation")
    assert again.digests == parts["validation"].digests
    assert again.sha256 == parts["validation"].sha256


def test_a_picture_that_is_there_twice_is_in_one_split(tmp_path, whole):
    rows = rows_of((30, 30))
    twice = [(f"copy-{name}", content, label) for name, content, label in rows]
    write_parquet(tmp_path / "train-0.parquet", [*twice[::-1], *rows], features_of(labels=LABELS))
    # Neither does its place in the file decide.
    assert set(load(tmp_path, "test").digests) == set(load(whole, "test").digests)
    assert len(load(tmp_path, "test")) == 2 * len(load(whole, "test"))


def test_splits_that_the_source_has_are_its_own(tmp_path):
    write_hub(tmp_path)
    assert len(load(tmp_path, "train")) == 16
    assert len(load(tmp_path, "validation")) == 8
    (tmp_path / "data" / "validation-00000-of-00001.parquet").unlink()
    assert len(load(tmp_path, "test")) == 10
    assert len(load(tmp_path, "train", shares={"validation": 0.5, "test": 0.5})) < 16


def test_class_folders_without_splits_are_divided(tmp_path):
    write_folders(tmp_path, counts=(20, 20))
    parts = [load(tmp_path, split) for split in ("train", *SHARES)]
    assert sorted(digest for part in parts for digest in part.digests) == sorted(
        data.load(str(tmp_path), None, LABELS, SIDE).digests
    )
    refused(str(tmp_path), "test", LABELS, SIDE, match="no split 'test'")


def test_the_classes_of_a_subset_are_taken_and_the_others_left_out(tmp_path):
    names = ("horse", "dog", "cat")
    write_parquet(tmp_path / "train-0.parquet", rows_of((2, 2), classes=(2, 1)), features_of(label=names))
    rows = [(f"h{number}.png", studies.png(studies.picture(1, 90 + number)), 0) for number in range(2)]
    write_parquet(tmp_path / "train-1.parquet", rows, features_of(label=names))
    refused(str(tmp_path), "train", LABELS, SIDE, match="horse")
    assert_is_made(load(tmp_path, "train", shares={}, subset=True))
    write_folders(tmp_path / "folders")
    write_folders(tmp_path / "folders", counts=(1,), names=("horse",))
    assert_is_made(load(tmp_path / "folders", None, shares={}, subset=True))
    with pytest.raises(TrainingError, match="no pictures of: sheep"):
        data.load(str(tmp_path / "folders"), None, (*LABELS, "sheep"), SIDE, subset=True)


def test_the_classes_of_the_data(tmp_path, whole, hub_folder):
    assert tuple(sources.find(str(whole)).classes()) == LABELS
    write_folders(tmp_path / "flat", names=("oak", "elm"))
    write_folders(tmp_path / "split" / "train", names=("oak", "elm"))
    assert sources.find(str(tmp_path / "flat")).classes() == ["elm", "oak"]
    assert sources.find(str(tmp_path / "split")).classes() == ["elm", "oak"]
    # Those to train on decide, whatever lies in another split.
    write_folders(tmp_path / "split" / "test", counts=(2,), names=("unknown",))
    assert sources.find(str(tmp_path / "split")).classes() == ["elm", "oak"]


def test_a_class_may_have_a_folder_beside_its_pictures(tmp_path):
    write_folders(tmp_path)
    (tmp_path / "dog" / "rejected").mkdir()
    assert sources.find(str(tmp_path)).classes() == ["cat", "dog"]
    assert_is_made(data.load(str(tmp_path), None, LABELS, SIDE))


def test_who_has_class_folders_and_no_splits_is_told_of_shares(tmp_path):
    write_folders(tmp_path)
    refused(str(tmp_path), "train", LABELS, SIDE, match="no split 'train'.* A recipe with `shares` draws its splits")
    write_folders(tmp_path / "split" / "train")
    refused(str(tmp_path / "split"), "test", LABELS, SIDE, match="and no folder of that name\\.$")


def test_one_of_several_data_sets_in_a_folder_is_chosen_by_its_own(tmp_path, monkeypatch):
    for place, count in (("large", 6), ("small", 2)):
        write_parquet(tmp_path / place / "train-0.parquet", rows_of((count, count)), features_of(label=LABELS))
    names = f"more than one 'train', .* by its folder: {tmp_path}/large, {tmp_path}/small"
    refused(str(tmp_path), "train", LABELS, SIDE, match=names)
    asked = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **_: asked.append(name) or str(tmp_path))
    refused("hf://datasets/nobody/made", "train", LABELS, SIDE, match="hf://datasets/nobody/made/small")
    assert len(load("hf://datasets/nobody/made/small", "train", shares={})) == 4
    refused("hf://datasets/nobody/made/none", "train", LABELS, SIDE, match="no data folder hf://datasets/nobody/made/n")
    assert set(asked) == {"nobody/made"}


def test_names_are_matched_as_they_are_written_before_all_else():
    assert sources.match(["b", "A", "a"], ["A", "a", "B"], False, "here") == [2, 0, 1]
    assert sources.match(["gloves", "glove"], ["glove", "gloves"], False, "here") == [1, 0]
    assert sources.match(["Hot_Dogs"], ["hot dog"], False, "here") == [0]
    with pytest.raises(TrainingError, match=r"does not know \(CATS\)"):
        sources.match(["CATS"], ["cat", "Cat"], False, "here")


def test_a_recipe_for_any_data_has_the_data_s_classes_and_needs_two(tmp_path):
    recipe = studies.recipe(labels=(), units=0)
    write_folders(tmp_path / "two", names=("oak", "elm"))
    found = sources.with_classes(recipe, str(tmp_path / "two"))
    assert (found.labels, found.units) == (("elm", "oak"), 2)
    write_folders(tmp_path / "one", counts=(2,), names=("oak",))
    with pytest.raises(TrainingError, match="has 1 class; at least two are needed"):
        sources.with_classes(recipe, str(tmp_path / "one"))


def test_a_class_whose_name_is_no_text_has_one_that_can_be_written_to_a_card(tmp_path):
    write_folders(tmp_path, names=("oak", os.fsdecode(b"\xe9lan")))
    labels = tuple(sources.find(str(tmp_path)).classes())
    assert labels == ("oak", "\N{REPLACEMENT CHARACTER}lan")
    assert len(data.load(str(tmp_path), None, labels, SIDE)) == 4


def test_a_picture_whose_name_is_no_text_has_one_that_stands_for_it(tmp_path):
    write_folders(tmp_path)
    file = next((tmp_path / "cat").iterdir())
    file.rename(file.with_name(os.fsdecode(b"\xe9t\xe9.png")))
    names = data.load(str(tmp_path), None, LABELS, SIDE).names
    assert "cat/\N{REPLACEMENT CHARACTER}t\N{REPLACEMENT CHARACTER}.png" in names


@pytest.fixture
def tfds(monkeypatch):
    """A stand-in for TensorFlow Datasets, which gives pictures as they are stored: two are good, two are not."""
    module = ModuleType("tensorflow_datasets")

    class Image:
        pass

    class ClassLabel:
        def __init__(self, names):
            self.names = list(names)

    class Builder:
        prepared = False

        def __init__(self, name):
            self.data_path = Path("prepared") / name
            features = {"label": ClassLabel(("dog", "cat")), "image": Image(), "id": object()}
            if name == "pets":
                # As `oxford_iiit_pet` has them: read from a disk, they come in no order.
                features = {"breed": ClassLabel(("pug", "manx")), "a_mask": Image()} | features
            self.info = SimpleNamespace(
                splits={"train": None, "test": None},
                features=features,
                supervised_keys={"made": ("image", "label"), "pets": ("image", "breed")}.get(name),
            )
            self.name = name

        def download_and_prepare(self):
            self.prepared = True

        def as_dataset(self, split, decoders, shuffle_files):
            assert self.prepared
            assert decoders == {"image": "as stored"}
            assert not shuffle_files
            for name, content, label in rows_of((2, 2), classes=(1, 0)):
                index = -1 if self.name == "secret" else label
                others = {"id": name, "breed": np.int64(label), "a_mask": b""}
                yield {"image": content, "label": np.int64(index)} | others
            if self.name == "torn":
                raise tensorflow.errors.DataLossError(None, None, "truncated record")

    def builder(name):
        if name not in ("made", "pets", "secret", "torn"):
            raise ValueError(f"Dataset {name} not found.\nAvailable: made")
        return Builder(name)

    module.builder, module.as_numpy = builder, iter
    module.features = SimpleNamespace(Image=Image, ClassLabel=ClassLabel)
    module.decode = SimpleNamespace(SkipDecoding=lambda: "as stored")
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    return module


def test_tensorflow_datasets(tfds):
    split = data.load("tfds://made", "train", LABELS, SIDE)
    assert_is_made(split)
    assert split.names[0] == "train 0"
    assert split.digests[0] == hashlib.sha256(studies.png(studies.picture(0, 0))).hexdigest()
    assert len(data.load("tfds://made", "train", LABELS, SIDE, shares={"validation": 0.5})) < 4
    assert sources.find("tfds://made").classes() == ["dog", "cat"]
    refused("tfds://made", "holdout", LABELS, SIDE, match="no split 'holdout'; it has: train, test")
    refused("tfds://made", None, LABELS, SIDE, match="one must be chosen: train, test")
    refused("tfds://made", "train", ("oak", "elm"), SIDE, match="dog, cat")
    refused("tfds://other", "train", LABELS, SIDE, match="other could not be had from TFDS .Dataset other not found.")


def test_of_several_labels_of_tensorflow_datasets_the_task_s_are_taken_or_those_to_be_learned(tfds):
    assert sources.find("tfds://pets").classes() == ["pug", "manx"]
    assert_is_made(data.load("tfds://pets", "train", LABELS, SIDE))
    assert_is_made(data.load("tfds://pets", "train", ("manx", "pug"), SIDE))


def test_a_picture_of_tensorflow_datasets_without_a_label_is_not_of_the_last_class(tfds):
    refused("tfds://secret", "test", LABELS, SIDE, match="test 0 of secret has no label")


def test_damaged_files_of_tensorflow_datasets_are_named(tfds):
    refused("tfds://torn", "train", LABELS, SIDE, match="'train' of torn are damaged or gone: remove prepared/torn to")


def test_without_tensorflow_datasets_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    refused("tfds://made", "train", LABELS, SIDE, match="pip install tensorflow-datasets")
