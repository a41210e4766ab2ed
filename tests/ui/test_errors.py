"""What the Errors page is told, and the pictures that it finds in a folder of data."""

import hashlib
import io
import json
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from training.tables import read, write
from ui import errors, photographs

FILES = errors.STUDIES / "cats_vs_dogs_errors"


def _photograph(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = {f"cat.{number}.png": _photograph(number) for number in range(5)}
SHA = {name: hashlib.sha256(content).hexdigest() for name, content in PICTURES.items()}


@pytest.fixture(params=["parquet", "folders", "one task"])
def data(request, tmp_path, monkeypatch):
    """The same pictures in each layout, beside a damaged file and a row without a picture."""
    task = tmp_path if request.param == "one task" else tmp_path / "cats_vs_dogs"
    if request.param == "parquet":
        task.mkdir()
        rows = [{"bytes": content, "path": name} for name, content in PICTURES.items()]
        rows.append({"bytes": None, "path": None})
        parquet.write_table(pa.table({"image": rows, "label": [0] * 6}), task / "test-00001-of-00002.parquet")
        (task / "test-00000-of-00002.parquet").write_bytes(b"PAR1 nothing more")
    else:
        (task / "test" / "cat").mkdir(parents=True)
        for name, content in PICTURES.items():
            (task / "test" / "cat" / name).write_bytes(content)
    monkeypatch.setenv(photographs.FOLDER, str(tmp_path))
    photographs.pictures.cache_clear()
    yield
    photographs.pictures.cache_clear()


def test_pictures_are_found_by_what_they_contain(data):
    wanted = (SHA["cat.3.png"], SHA["cat.1.png"], "0" * 64)
    found = photographs.pictures("cats_vs_dogs", "test", wanted)
    assert found == {SHA[name]: (name, PICTURES[name]) for name in ("cat.1.png", "cat.3.png")}
    assert photographs.find(photographs.address("cats_vs_dogs", SHA["cat.2.png"])) == (
        "cat.2.png",
        PICTURES["cat.2.png"],
    )
    assert photographs.pictures("cats_vs_dogs", "train", wanted) == {}


@pytest.mark.parametrize("asked", [None, "", "chelsea", "data/cats_vs_dogs/../../etc/passwd", "data//" + "0" * 64])
def test_an_address_that_names_no_picture_finds_none(asked, data):
    assert photographs.find(asked) is None


def test_without_a_folder_the_page_says_so_and_shows_the_numbers(monkeypatch):
    monkeypatch.delenv(photographs.FOLDER, raising=False)
    photographs.pictures.cache_clear()
    meta, blobs = errors.contents("cats_vs_dogs", FILES)
    assert blobs == []
    assert photographs.FOLDER in meta["without"]
    summary = json.loads((FILES / "summary.json").read_text())
    for run in meta["runs"]:
        diagonal = sum(run["confusion"][index][index] for index in range(2))
        assert diagonal / summary["n"] == pytest.approx(run["accuracy"])
    rows = read(FILES / "wrong.csv")
    pictures = meta["groups"][0]["pictures"]
    assert [one["name"] for one in pictures] == [row["name"] for row in rows]
    for one, row in zip(pictures, rows, strict=True):
        assert one["blob"] is None
        asked = parse_qs(urlsplit(one["href"]).query)
        assert (asked["photo"], asked["class"]) == ([f"data/cats_vs_dogs/{row['sha256']}"], [row["label"]])
        assert [answer["label"] for answer in one["answers"]] == [row["sgd"], row["adam"]]
        assert not all(answer["right"] for answer in one["answers"])
    for one in meta["groups"][1]["pictures"]:
        assert [answer["right"] for answer in one["answers"]].count(False) == 1
        assert "layer=" in one["href"]


def test_a_group_says_of_how_many_pictures_it_shows_the_first():
    folder = errors.STUDIES / "food101_errors"
    groups = errors.contents("food101", folder)[0]["groups"]
    summary = json.loads((folder / "summary.json").read_text())
    assert [(group["of"], len(group["pictures"])) for group in groups] == [
        (summary["both_wrong"] + summary["one_wrong"], 100),
        (summary["one_wrong"], 100),
    ]


@pytest.mark.parametrize("task", ["cats_vs_dogs", "cifar10", "food101"])
def test_measures_of_a_class_are_those_of_the_counts_to_the_digit_that_is_shown(task):
    meta, _ = errors.contents(task, errors.STUDIES / f"{task}_errors")
    for place, run in enumerate(meta["runs"]):
        counts = np.array(run["confusion"])
        right, guessed, there = counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1)
        exact = {"precision": right / guessed, "recall": right / there, "f1": 2 * right / (guessed + there)}
        for key, values in exact.items():
            told = [f"{100 * one[key][place]:.1f}" for one in meta["classes"]]
            assert told == [f"{100 * value:.1f}" for value in values]


def test_a_class_has_one_name_on_the_whole_page():
    meta, _ = errors.contents("food101", errors.STUDIES / "food101_errors")
    pictures = [picture for group in meta["groups"] for picture in group["pictures"]]
    said = {answer["label"] for picture in pictures for answer in picture["answers"]}
    assert said | {picture["label"] for picture in pictures} <= set(meta["labels"])
    assert [one["label"] for one in meta["classes"]] == meta["labels"]
    assert "lobster_roll_sandwich" in meta["labels"]


def test_pictures_that_are_found_travel_once(data, tmp_path):
    folder = tmp_path / "analysis"
    folder.mkdir()
    for file in FILES.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    for name in ("wrong.csv", "one_wrong.csv"):
        rows = read(FILES / name)
        for row, sha in zip(rows, SHA.values(), strict=False):
            row["sha256"] = sha
        write(folder / name, list(rows[0]), rows)
    meta, blobs = errors.contents("cats_vs_dogs", folder)
    places = [one["blob"] for group in meta["groups"] for one in group["pictures"] if one["blob"] is not None]
    assert set(places) == set(range(len(blobs)))
    assert len(blobs) == 5
    assert Image.open(io.BytesIO(blobs[0])).size == (errors.SIDE, errors.SIDE)
    assert meta["without"] == ""
