"""The photographs at hand."""

import io

import pytest
from PIL import Image

from ui import samples


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(samples.FOLDER, str(tmp_path))
    samples.samples.cache_clear()
    yield tmp_path
    samples.samples.cache_clear()


def test_photographs_of_installed_packages_come_first(folder):
    assert [sample.id for sample in samples.samples()][:2] == ["chelsea", "coffee"]


def test_food_opens_with_a_cup_and_every_other_task_with_the_first(folder):
    all_of_them = samples.samples()
    assert samples.opening("food101")[0].id == "coffee"
    assert tuple(samples.opening("cifar10")) == all_of_them
    assert set(samples.opening("food101")) == set(all_of_them)


def test_a_folder_of_ones_own_with_its_folders(folder):
    (folder / "inner").mkdir()
    Image.new("RGB", (9, 7)).save(folder / "inner" / "one.PNG")
    (folder / "notes.txt").write_text("not a photograph")
    found = [sample for sample in samples.samples() if sample.path.is_relative_to(folder)]
    assert [(sample.id, sample.label) for sample in found] == [("inner/one.PNG", "one")]


def test_no_more_than_fit_the_strip(folder):
    for number in range(samples.MOST + 5):
        (folder / f"{number}.jpg").touch()
    assert sum(sample.path.is_relative_to(folder) for sample in samples.samples()) == samples.MOST


def test_a_folder_that_is_not_there(folder, monkeypatch):
    monkeypatch.setenv(samples.FOLDER, str(folder / "gone"))
    assert samples.samples()


def test_thumbnails_are_small_and_bad_files_have_none(folder):
    (folder / "broken.jpg").write_bytes(b"words")
    by_name = {sample.label: sample for sample in samples.samples()}
    content = samples.thumbnail(by_name["chelsea"])
    assert content is not None
    assert Image.open(io.BytesIO(content)).size == (samples.THUMBNAIL, samples.THUMBNAIL)
    assert len(content) < 8_000
    assert samples.thumbnail(by_name["broken"]) is None
