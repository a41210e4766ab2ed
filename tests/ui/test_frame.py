"""What all pages share."""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from ui import errors, runs

TASKS = ("cats_vs_dogs", "food101", "cifar10")


def page() -> None:
    from ui import frame

    frame.choose_task()


def chosen(address: str) -> str:
    """The task that a page shows at an address; whoever copies the address that it then has gets the same again."""
    app = AppTest.from_function(page, default_timeout=60)
    app.query_params |= dict(parse_qsl(urlsplit(address).query))
    app.run()
    assert not app.exception
    task = app.selectbox[0].value
    said = app.query_params.get("task", [runs.tasks()[0]])
    assert {*([said] if isinstance(said, str) else said)} <= {task, runs.task_title(task)}
    return task


@pytest.mark.parametrize("task", TASKS)
def test_the_address_names_a_task_by_its_title_or_as_the_command_line_does(task):
    assert chosen(f"./?photo=chelsea&task={runs.task_title(task)}") == task
    assert chosen(f"./?photo=chelsea&task={task}") == task


def test_without_a_task_or_with_a_strange_one_it_is_the_first():
    assert chosen("./") == runs.tasks()[0]
    assert chosen("./?task=%3Cb%3E") == runs.tasks()[0]


@pytest.mark.parametrize("task", TASKS)
def test_a_picture_of_the_errors_page_opens_in_its_task(task):
    meta, _ = errors.contents(task, errors.STUDIES / f"{task}_errors")
    pictures = [picture for group in meta["groups"] for picture in group["pictures"]]
    assert chosen(pictures[0]["href"]) == chosen(pictures[-1]["href"]) == task


@pytest.mark.parametrize("file", ["look.py", "curves.py", "errors.py"])
def test_a_page_without_any_run_says_how_to_come_by_one(file, monkeypatch):
    monkeypatch.setattr(runs, "tasks", list)
    # No server, no way from one page to another.
    monkeypatch.setattr(st, "page_link", lambda *_, **__: None)
    app = AppTest.from_file(Path(runs.__file__).with_name(file), default_timeout=60).run()
    assert not app.exception
    assert [error.value for error in app.error] == [runs.NONE]
    assert not app.info


def chooser() -> None:
    from ui import frame

    frame.choose("left", "Left", ["sgd", "adam", "adam-seed1"], 1, str.upper)


@pytest.mark.parametrize(
    ("said", "chosen", "kept"),
    [
        ("", "adam", ""),
        ("adam", "adam", "adam"),
        ("ADAM-SEED1", "adam-seed1", "ADAM-SEED1"),
        # A run of another task, say: no address shall go on naming what is not shown.
        ("cnn1", "adam", ""),
    ],
)
def test_a_choice_is_what_the_address_says_and_the_address_says_what_is_chosen(said, chosen, kept):
    app = AppTest.from_function(chooser, default_timeout=60)
    app.query_params |= {"left": said} if said else {}
    app.run()
    assert app.selectbox[0].value == chosen
    assert "".join(app.query_params.get("left", "")) == kept
    app.selectbox[0].select("sgd").run()
    assert "".join(app.query_params["left"]) == "SGD"
    app.selectbox[0].select("adam").run()
    assert app.selectbox[0].value == "adam"
    assert "left" not in app.query_params
