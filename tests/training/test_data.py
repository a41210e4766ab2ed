"""Every layout gives the same pictures and labels; whatever is wrong with data is one plain sentence."""

import json
import logging
import tracemalloc

import huggingface_hub
import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest

from tests.training import studies
from tests.training.studies import LABELS, features_of, rows_of, write_parquet
from training import data, sources
from training.recipe import TrainingError

SIDE = studies.SIDE


def write_folders(folder, counts=(2, 2), names=LABELS):
    for label, count in enumerate(counts):
        (folder / names[label]).mkdir(parents=True)
        for number in range(count):
            (folder / names[label] / f"{number}.png").write_bytes(studies.png(studies.picture(label, number)))
    return folder


def refused(*arguments, match: str, **options) -> str:
    """The one sentence with which a load is refused."""
    with pytest.raises(TrainingError, match=match) as caught:
        data.load(*arguments, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def assert_is_made(split: data.Split, count: int = 2) -> None:
    """The split holds the made pictures 0..count-1 of both classes, each with its label."""
    assert len(split) == 2 * count
    wanted = {(label, number): studies.picture(label, number) for label in (0, 1) for number in range(count)}
    found = [
        key
        for picture, label in zip(split.pictures, split.labels, strict=True)
        for key, made in wanted.items()
        if key[0] == label and np.array_equal(made, picture)
    ]
    assert sorted(found) == sorted(wanted)


def test_hub_layout(hub_folder):
    split = data.load(str(hub_folder), "train", LABELS, SIDE)
    assert_is_made(split, 8)
    assert split.pictures.dtype == "uint8"
    assert split.names[0] == "0-0.png"
    assert len(data.load(str(hub_folder), "validation", LABELS, SIDE)) == 8


def test_columns_are_found_by_their_features_and_classes_by_their_names(tmp_path):
    # The data's classes stand in another order than the task's, and its columns have other names.
    write_parquet(
        tmp_path / "train-0.parquet", rows_of((2, 2), classes=(1, 0)), features_of("photo", species=("Dogs", "Cat"))
    )
    assert_is_made(data.load(str(tmp_path), "train", LABELS, SIDE))


def test_several_files_make_one_split(tmp_path):
    for number in range(2):
        write_parquet(
            tmp_path / f"train-{number}-of-2.parquet", rows_of((1, 1), first=number), features_of(label=LABELS)
        )
    assert_is_made(data.load(str(tmp_path), "train", LABELS, SIDE))


def test_a_split_in_one_file_needs_no_number(tmp_path):
    write_parquet(tmp_path / "train.parquet", rows_of((2, 2)), features_of(label=LABELS))
    assert_is_made(data.load(str(tmp_path), "train", LABELS, SIDE))


@pytest.mark.parametrize("order", [("fine_label", "coarse_label"), ("coarse_label", "fine_label")])
@pytest.mark.parametrize("task", ["fine_label", "coarse_label"])
def test_of_a_fine_and_a_coarse_label_the_task_takes_the_one_with_its_classes(tmp_path, order, task):
    kinds = {name: LABELS if name == task else ("carnivores", "fish", "insects") for name in order}
    other = next(name for name in order if name != task)
    rows = rows_of((2, 2))
    features = features_of("img", **{task: LABELS})
    write_parquet(tmp_path / "train-0.parquet", rows, features, **{other: [2, 1, 0, 2]})
    rewrite_features(tmp_path / "train-0.parquet", features_of("img", **kinds))
    assert_is_made(data.load(str(tmp_path), "train", LABELS, SIDE))


def rewrite_features(file, features):
    table = parquet.read_table(file)
    parquet.write_table(
        table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}), file
    )


def test_classes_may_be_words(tmp_path):
    features = studies.features_of() | {
        "label": {"dtype": "int64", "_type": "Value"},
        "text": {"dtype": "string", "_type": "Value"},
    }
    pictures = [{"bytes": studies.png(studies.picture(label, 0)), "path": None} for label in (0, 1, 0)]
    table = pyarrow.table({"image": pictures, "label": [7, 3, 7], "text": ["tabby-cat", "sheep-dog", "tabby-cat"]})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    parquet.write_table(table.replace_schema_metadata(metadata), tmp_path / "train-00000-of-00002.parquet")
    other = table.slice(2).replace_schema_metadata(metadata)
    parquet.write_table(other, tmp_path / "train-00001-of-00002.parquet")
    assert sources.find(str(tmp_path)).classes() == ["sheep-dog", "tabby-cat"]
    assert data.load(str(tmp_path), "train", ("tabby cat", "sheep dog"), SIDE).labels.tolist() == [0, 1, 0, 0]
    assert data.load(str(tmp_path), "train", ("Sheep dog",), SIDE, subset=True).labels.tolist() == [0]


def test_labels_that_fit_neither_column(tmp_path):
    file = tmp_path / "train-0.parquet"
    write_parquet(file, rows_of((1, 1)), features_of("img", fine_label=("oak", "elm")), coarse_label=[0, 0])
    rewrite_features(file, features_of("img", fine_label=("oak", "elm"), coarse_label=("tree",)))
    said = refused(str(tmp_path), "train", LABELS, SIDE, match="fine_label, coarse_label")
    assert "cat, dog" in said


@pytest.mark.parametrize("names", [("cat", "dog"), ("Cats", "DOGS"), ("cats", "Dog")])
def test_class_folders_in_any_case_and_number(tmp_path, names):
    assert_is_made(data.load(str(write_folders(tmp_path, names=names)), None, LABELS, SIDE))


def test_class_folders_within_splits(tmp_path):
    write_folders(tmp_path / "train")
    write_folders(tmp_path / "test", counts=(1, 1))
    (tmp_path / "train" / ".thumbnails").mkdir()
    assert_is_made(data.load(str(tmp_path), "train", LABELS, SIDE))
    assert len(data.load(str(tmp_path), "test", LABELS, SIDE)) == 2


def test_class_names_with_underscores_or_blanks_are_the_same(tmp_path):
    write_folders(tmp_path, names=("apple pie", "Hot-Dogs"))
    assert len(data.load(str(tmp_path), None, ("apple_pie", "hot_dog"), SIDE)) == 4


def test_the_hash_tells_other_pictures_and_other_labels(tmp_path):
    def sha256_of(name: str, **classes: str) -> str:
        for label, files in classes.items():
            (tmp_path / name / label).mkdir(parents=True)
            for file in files:
                (tmp_path / name / label / file).write_bytes(studies.png(studies.picture(0, ord(file))))
        return data.load(str(tmp_path / name), None, LABELS, SIDE).sha256

    assert sha256_of("one", cat="ab", dog="c") == sha256_of("same", cat="ab", dog="c")
    # In the second the files are the same in the same order, and only the class of b differs.
    kinds = [
        sha256_of("other", cat="ab", dog="d"),
        sha256_of("moved", cat="a", dog="bc"),
        sha256_of("fewer", cat="a", dog="c"),
    ]
    assert len({sha256_of("first", cat="ab", dog="c"), *kinds}) == 4


def test_pictures_are_never_twice_in_memory(hub_folder):
    data.load(str(hub_folder), "test", LABELS, SIDE)
    tracemalloc.start()
    try:
        split = data.load(str(hub_folder), "train", LABELS, 400)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(split) == 16
    assert split.pictures.nbytes < peak < 1.6 * split.pictures.nbytes


def test_a_few_unreadable_pictures_are_skipped_counted_and_named(tmp_path, caplog):
    rows = rows_of((100, 98))
    rows[7] = ("torn.jpg", rows[7][1][:60], 0)
    rows.insert(120, ("empty.png", b"", 1))
    write_parquet(tmp_path / "train-0.parquet", rows, features_of(label=LABELS))
    with caplog.at_level(logging.WARNING):
        refused(str(tmp_path), "train", LABELS, SIDE, match="2 of 199 pictures cannot be read, the first is torn.jpg")
    rows.append(rows[0])
    write_parquet(tmp_path / "train-0.parquet", rows, features_of(label=LABELS))
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        split = data.load(str(tmp_path), "train", LABELS, SIDE)
    assert split.skipped == ("torn.jpg", "empty.png")
    assert len(split) == 198
    assert "torn.jpg" not in split.names
    assert all(np.array_equal(split.pictures[i], studies.picture(0, int(split.names[i][2:-4]))) for i in (6, 7, 8))
    said = caplog.text
    assert "torn.jpg" in said
    assert "empty.png" in said
    assert "Skipped 2 of 200 pictures" in said


def test_one_unreadable_picture_of_few_is_too_many(tmp_path):
    write_folders(tmp_path, counts=(5, 5))
    (tmp_path / "dog" / "3.png").write_text("not a picture")
    refused(str(tmp_path), None, LABELS, SIDE, match="1 of 10 pictures cannot be read, the first is dog/3.png")


def test_no_such_folder(tmp_path):
    refused(str(tmp_path / "nowhere"), "train", LABELS, SIDE, match="no data folder")


def test_an_unknown_split_names_those_that_there_are(hub_folder):
    refused(str(hub_folder), "holdout", LABELS, SIDE, match="no split 'holdout'; it has: test, train, validation")


def test_where_there_are_splits_one_must_be_chosen(hub_folder, tmp_path):
    refused(str(hub_folder), None, LABELS, SIDE, match="one must be chosen: test, train, validation")
    for split in ("test", "train"):
        write_folders(tmp_path / split)
    refused(str(tmp_path), None, LABELS, SIDE, match="one must be chosen: test, train")


def test_class_folders_have_only_the_splits_that_are_folders(tmp_path):
    # Taking the whole folder would make training and validation the same pictures.
    refused(str(write_folders(tmp_path / "flat")), "validation", LABELS, SIDE, match="no split 'validation'")
    write_folders(tmp_path / "split" / "train")
    refused(str(tmp_path / "split"), "validation", LABELS, SIDE, match="no split 'validation'")


def test_an_empty_folder(tmp_path):
    refused(str(tmp_path), None, LABELS, SIDE, match="neither parquet files nor a folder for each class")
    write_folders(tmp_path, counts=(0, 0))
    refused(str(tmp_path), None, LABELS, SIDE, match="has no pictures")


@pytest.mark.parametrize("layout", ["parquet", "folders"])
def test_a_class_without_pictures_is_named(tmp_path, layout):
    if layout == "parquet":
        write_parquet(tmp_path / "test-0.parquet", rows_of((2, 0)), features_of(label=LABELS))
        refused(str(tmp_path), "test", LABELS, SIDE, match="'test' of .* has no pictures of: dog")
    else:
        write_folders(tmp_path, counts=(2, 0))
        refused(str(tmp_path), None, LABELS, SIDE, match="has no pictures of: dog")


@pytest.mark.parametrize("layout", ["parquet", "folders"])
def test_labels_that_do_not_match_are_named(tmp_path, layout):
    if layout == "parquet":
        write_parquet(tmp_path / "train-0.parquet", rows_of((2, 2)), features_of(label=("cat", "horse")))
        said = refused(str(tmp_path), "train", LABELS, SIDE, match="horse")
    else:
        said = refused(str(write_folders(tmp_path, names=("cat", "horse"))), None, LABELS, SIDE, match="horse")
    assert "cat, dog" in said


@pytest.mark.parametrize("number", [-1, 2, None])
def test_a_picture_without_a_label_is_not_given_one(tmp_path, number):
    # The Hub marks the pictures of a hidden test split with -1.
    rows = rows_of((2, 2))
    rows[3] = (*rows[3][:2], number)
    write_parquet(tmp_path / "test-0.parquet", rows, features_of(label=LABELS))
    refused(str(tmp_path), "test", LABELS, SIDE, match=r"1-1\.png .*has no label")


@pytest.mark.parametrize(
    "harm",
    ["no metadata", "not json", "no image", "no class", "no names", "column is missing", "several each", "cut short"],
)
def test_a_file_that_is_not_what_it_should_be(tmp_path, harm):
    file = tmp_path / "train-0.parquet"
    write_parquet(file, rows_of((2, 2)), features_of(label=LABELS))
    if harm == "cut short":
        file.write_bytes(file.read_bytes()[:-20])
    elif harm == "no metadata":
        parquet.write_table(parquet.read_table(file).replace_schema_metadata(None), file)
    elif harm == "not json":
        parquet.write_table(parquet.read_table(file).replace_schema_metadata({"huggingface": "{"}), file)
    elif harm == "column is missing":
        parquet.write_table(parquet.read_table(file).drop_columns(["label"]), file)
    elif harm == "several each":
        table = parquet.read_table(file)
        parquet.write_table(table.set_column(1, "label", [[[index] for index in table["label"].to_pylist()]]), file)
    else:
        other = {"_type": "ClassLabel" if harm == "no names" else "Value"}
        rewrite_features(file, features_of(label=LABELS) | {"image" if harm == "no image" else "label": other})
    refused(str(tmp_path), "train", LABELS, SIDE, match=r"train-0\.parquet")
    if harm not in ("column is missing", "several each"):
        with pytest.raises(TrainingError, match=r"train-0\.parquet"):
            sources.find(str(tmp_path)).classes()


def test_a_data_set_that_the_hub_does_not_give(monkeypatch):
    def unreachable(name, **_):
        raise ConnectionError(f"no way to {name}\nsecond line\n")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    refused("hf://datasets/nobody/made", "train", LABELS, SIDE, match="nobody/made could not be fetched")


def test_a_data_set_from_the_hub_is_read_where_it_was_put(monkeypatch, hub_folder):
    asked = []

    def fetched(name, repo_type, allow_patterns):
        asked.append((name, repo_type))
        return str(hub_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    assert_is_made(data.load("hf://datasets/nobody/made", "train", LABELS, SIDE), 8)
    assert asked == [("nobody/made", "dataset")]
