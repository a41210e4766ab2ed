"""The page's memory, without a browser."""

import gc
import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit as st
from cachetools import LRUCache
from PIL import Image
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.testing.v1 import AppTest

from ui import bring, runs, samples, shown
from ui.shown import Photograph

PAGE = Path(__file__).parents[2] / "ui" / "navigation.py"


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    for number in range(8):
        Image.new("RGB", (40, 40), (30 * number, 99, 160)).save(folder / f"{number}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(samples.FOLDER, str(folder))
        samples.samples.cache_clear()
        yield AppTest.from_file(PAGE, default_timeout=120)
    samples.samples.cache_clear()


def _offer(app, name: str, colour: tuple[int, int, int]) -> None:
    file = io.BytesIO()
    Image.new("RGB", (40, 40), colour).save(file, "PNG")
    app.session_state["offered"] = Photograph(name, "", file.getvalue())
    app.run()
    assert not app.exception
    assert app.session_state["last"].name == name


def box(app: AppTest, word: str):
    """The choice that a word of the address remembers."""
    return next(one for one in app.selectbox if one.label == word.title())


def test_food_opens_with_food_and_a_photograph_stays_when_the_task_changes(app, monkeypatch):
    # The photograph is there before the networks are, and is all that is asked about here.
    monkeypatch.setattr(runs, "at_hand", lambda names: True)
    monkeypatch.setattr(runs, "usable", lambda names: ([], []))
    for first, second, expected in (("food101", "cifar10", "coffee"), ("cifar10", "food101", "chelsea")):
        visitor = AppTest.from_file(PAGE, default_timeout=120)
        visitor.query_params["task"] = first
        visitor.run()
        assert visitor.session_state["last"].sample == expected
        box(visitor, "task").set_value(second).run()
        assert not visitor.exception
        assert visitor.session_state["last"].sample == expected


def test_the_run_of_the_other_side_changes_places_with_the_one_that_it_replaces(monkeypatch):
    monkeypatch.setattr(runs, "at_hand", lambda names: True)
    monkeypatch.setattr(runs, "usable", lambda names: ([], []))
    visitor = AppTest.from_file(PAGE, default_timeout=120).run()
    for side, name, expected in (
        ("left", "adam", ("adam", "sgd")),
        ("right", "adam-study", ("adam", "adam-study")),
        ("right", "adam", ("adam-study", "adam")),
        ("left", "sgd", ("sgd", "adam")),
    ):
        box(visitor, side).set_value(name).run()
        assert not visitor.exception
        assert tuple(box(visitor, side).value for side in ("left", "right")) == expected
    # A browser that has not heard of it yet says once more what it did, with whatever is clicked next.
    for side in ("left", "right"):
        box(visitor, side).set_value("adam")
    before, address = visitor._tree, dict(visitor.query_params)
    visitor.run()
    visitor._tree, visitor.query_params = before, address
    visitor.run()
    assert tuple(box(visitor, side).value for side in ("left", "right")) == ("adam", "sgd")
    # An address may say so, and a task with one run has no other.
    visitor.query_params |= {"left": "adam", "right": "adam"}
    visitor.run()
    assert box(visitor, "left").value == box(visitor, "right").value == "adam"


@pytest.mark.parametrize("asked", ["sgd-seed1", "SGD seed 1"])
def test_the_choice_of_runs_calls_them_what_the_page_does_and_knows_both_names(monkeypatch, asked):
    monkeypatch.setattr(runs, "at_hand", lambda names: True)
    monkeypatch.setattr(runs, "usable", lambda names: ([], []))
    visitor = AppTest.from_file(PAGE, default_timeout=120)
    visitor.query_params["right"] = asked
    visitor.run()
    right = box(visitor, "right")
    assert right.value == "sgd-seed1"
    assert right.options[:2] == ["SGD", "Adam"]
    assert "SGD seed 1" in right.options


def test_an_address_whose_run_is_not_here_says_so_once(monkeypatch):
    monkeypatch.setattr(runs, "at_hand", lambda names: True)
    monkeypatch.setattr(runs, "usable", lambda names: ([], []))
    visitor = AppTest.from_file(PAGE, default_timeout=120)
    visitor.query_params |= {"left": "<b>", "right": "SGD seed 1"}
    visitor.run()
    missing = "The run that the address names is not here: &lt;b&gt;."
    assert _said(visitor) == [f"{missing} A model of your own has to be brought again."]
    visitor.run()
    assert _said(visitor) == []
    # Who chooses another task leaves the runs of the last one, and knows it.
    box(visitor, "task").select("food101").run()
    assert box(visitor, "right").value == "adam"
    assert _said(visitor) == []
    monkeypatch.setenv(bring.SETTING, "0")
    stranger = AppTest.from_file(PAGE, default_timeout=120)
    stranger.query_params["left"] = "<b>"
    assert _said(stranger.run()) == [missing]


def test_a_session_keeps_a_few_photographs(app):
    for number in [*range(5), 2, 0]:
        _offer(app, str(number), (30 * number, 99, 160))
    assert {key[1] for key in app.session_state["kept"]} == {"4", "2", "0"}


def test_samples_are_explained_once_for_everybody_and_a_few_are_kept(app, monkeypatch):
    made, make = [], shown._made

    def count(photograph, *others):
        made.append(photograph.name)
        return make(photograph, *others)

    monkeypatch.setattr(shown, "_shared", LRUCache(3))
    monkeypatch.setattr(shown, "_made", count)
    other = AppTest.from_file(PAGE, default_timeout=120)
    for visitor, number in ((app, 0), (other, 0), (app, 1), (other, 2), (other, 1), (app, 3), (app, 0)):
        visitor.query_params["photo"] = f"{number}.png"
        visitor.run()
        assert not visitor.exception
        assert visitor.session_state["last"].sample == f"{number}.png"
    assert made == ["0", "1", "2", "3", "0"]
    assert len(shown._shared) == 3


@pytest.fixture
def asked(monkeypatch):
    """What is explained from now on: the photograph's name, and the class that is asked of it."""
    found, explained = [], shown.explained

    def note(photograph, names, method, also, say):
        found.append((photograph.name, also))
        return explained(photograph, names, method, also, say)

    monkeypatch.setattr(shown, "explained", note)
    return found


def test_a_class_of_the_address_is_explained_until_there_is_another_photograph(app, asked):
    app.query_params.clear()
    app.query_params |= {"photo": "2.png", "class": "dog"}
    app.run()
    _offer(app, "mine", (9, 2, 3))
    assert asked == [("2", "dog"), ("mine", "")]
    assert "class" not in app.query_params


def test_an_address_whose_photograph_is_not_here_says_so_once(app, asked):
    app.query_params.clear()
    _offer(app, "mine", (9, 2, 4))
    app.query_params |= {"photo": "gone.png", "class": "dog"}
    app.run()
    assert _said(app) == ["The photograph that the address names is not here: this is mine."]
    assert not {"photo", "class"} & set(app.query_params)
    app.run()
    assert _said(app) == []
    stranger = AppTest.from_file(PAGE, default_timeout=120)
    stranger.query_params |= {"photo": "gone.png", "class": "dog"}
    stranger.run()
    assert _said(stranger) == ["The photograph that the address names is not here: this is chelsea."]
    assert asked == [("mine", "")] * 3 + [("chelsea", "")]


def test_one_s_own_photograph_is_never_kept_for_others(app, monkeypatch):
    monkeypatch.setattr(shown, "_shared", LRUCache(3))
    app.query_params.clear()
    _offer(app, "mine", (1, 2, 3))
    assert [key[1] for key in app.session_state["kept"]][-1] == "mine"
    assert "mine" not in [key[1] for key in shown._shared]


def test_who_waits_is_told_the_place_and_another_choice_meanwhile_loses_no_photograph(app, monkeypatch):
    """Choosing ends the run that waits; the next one shows the photograph that was offered."""

    class Busy:
        def turn(self, say):
            say(3, 7)
            st.stop()

    app.query_params.clear()
    with monkeypatch.context() as patch:
        patch.setattr(shown, "TURNS", Busy())
        file = io.BytesIO()
        Image.new("RGB", (40, 40), "plum").save(file, "PNG")
        app.session_state["offered"] = Photograph("plum", "", file.getvalue())
        app.run()
        assert app.session_state["last"].name != "plum"
        assert _said(app) == ["Number 3 of 7 in the queue"]
    app.run()
    assert _said(app) == []
    assert app.session_state["last"].name == "plum"


def test_nothing_of_a_photograph_outlives_its_session(app):
    app.query_params.clear()
    file = io.BytesIO()
    Image.new("RGB", (41, 37), "navy").save(file, "PNG")
    content = file.getvalue()
    before = sys.getrefcount(content)
    app.session_state["offered"] = SimpleNamespace(name="mine", sample="", content=content)
    app.run()
    assert app.session_state["own"].name == "mine"
    assert sys.getrefcount(content) > before
    for key in ("own", "last", "kept"):
        del app.session_state[key]
    app.run()
    gc.collect()
    assert sys.getrefcount(content) == before
    assert not [one for one in gc.get_objects() if isinstance(one, Image.Image) and one.size == (41, 37)]


def test_the_server_keeps_no_file_that_was_handed_over(app, monkeypatch):
    app.run()
    managers, add = [], MemoryUploadedFileManager.add_file

    def noting(manager, session, record):
        managers.append(manager)
        add(manager, session, record)

    monkeypatch.setattr(MemoryUploadedFileManager, "add_file", noting)
    for number in range(2):
        file = io.BytesIO()
        Image.new("RGB", (40, 40), (7, 8, number)).save(file, "PNG")
        field = next(one for one in app.file_uploader if one.label == "Your photograph")
        field.set_value((f"mine {number}.png", file.getvalue(), "image/png"))
        app.run()
        assert not app.exception
        assert app.session_state["own"].content == file.getvalue()
    assert len(managers) == 2
    assert not [record for manager in managers for kept in manager.file_storage.values() for record in kept.values()]


def _said(app) -> list[str]:
    """What stands in the place for messages."""
    bodies = [element.proto.body for element in app.get("html")]
    return [found[1] for body in bodies if (found := re.search(r'class="parallax-message\b.*?>(.*)</p>', body))]


def test_a_large_photograph_is_said_to_be_as_large_as_its_file():
    file = io.BytesIO()
    Image.new("RGB", (2600, 2400)).save(file, "JPEG")
    told = shown.early(Photograph("large.jpg", "", file.getvalue()), "cats_vs_dogs/sgd").payload.meta["photo"]
    assert (told["width"], told["height"]) == (2600, 2400)
