"""Runs from a Hub: a small server answers as the real one does, then falls silent."""

from pathlib import Path

import pytest

from models import ModelError, hub
from tests.models.a_hub import State, serving

FIRST, SECOND = "a" * 40, "b" * 40
CARD, WEIGHTS, HISTORY = b'{"task": "made"}', b"weights" * 1000, b"epoch,loss\n"
RUN = {"card.json": CARD, "model.weights.h5": WEIGHTS, "history.csv": HISTORY, "README.md": b"#", "run.py": b"print()"}
REPOSITORIES = {
    "somebody/run": {FIRST: RUN, SECOND: RUN | {"card.json": CARD + b" "}},
    "somebody/keras": {FIRST: {"mine.keras": b"zip", "README.md": b"#"}},
    "somebody/other": {FIRST: {"pytorch_model.bin": b"0", "config.json": b"{}"}},
}


@pytest.fixture
def server(monkeypatch, tmp_path):
    """The Hub on this machine, with an empty cache."""
    with serving(State(dict(REPOSITORIES), {"v1": FIRST}), monkeypatch, tmp_path / "cache") as running:
        yield running


def test_a_run_comes_as_one_commit_and_only_its_own_files(server):
    folder = hub.snapshot("hf://somebody/run")
    assert folder.name == SECOND
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        "card.json": CARD + b" ",
        "model.weights.h5": WEIGHTS,
        "history.csv": HISTORY,
    }
    assert not any("README" in path or "run.py" in path for path in server.state.asked)


@pytest.mark.parametrize("revision", [FIRST, "v1"])
def test_a_revision_is_the_one_asked_for(server, revision):
    folder = hub.snapshot(f"hf://somebody/run@{revision}")
    assert folder.name == FIRST
    assert (folder / "card.json").read_bytes() == CARD


def test_a_commit_in_the_cache_is_not_asked_for_again(server):
    folder = hub.snapshot(f"hf://somebody/run@{FIRST}")
    server.state.asked.clear()
    assert hub.snapshot(f"hf://somebody/run@{FIRST}") == folder
    assert not server.state.asked


def test_a_branch_that_moved_is_fetched_anew(server):
    server.state.revisions["main"] = FIRST
    assert hub.snapshot("hf://somebody/run").name == FIRST
    server.state.revisions["main"] = SECOND
    assert hub.snapshot("hf://somebody/run").name == SECOND


@pytest.mark.parametrize("name", ["hf://somebody/run", f"hf://somebody/run@{FIRST}", "hf://somebody/run@v1"])
def test_without_network_the_cache_is_enough(server, name):
    folder = hub.snapshot(name)
    server.stop()
    assert hub.snapshot(name) == folder
    assert (folder / "model.weights.h5").read_bytes() == WEIGHTS


def test_a_repository_with_one_keras_file_gives_the_file(server):
    assert hub.snapshot("hf://somebody/keras").name == "mine.keras"


def refused(name: str) -> str:
    with pytest.raises(ModelError) as caught:
        hub.snapshot(name)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


@pytest.mark.parametrize(
    "name",
    ["hf://", "hf://somebody", "hf://a/b/c", "hf://a/b@", "hf://a/b@x y", "hf://a b/c", "http://a/b", "hf:///b"],
)
def test_a_malformed_name_is_one_sentence_and_asks_nobody(server, name):
    assert "is named hf://user/repo" in refused(name)
    assert not server.state.asked


def test_a_name_that_the_hub_forbids_is_one_sentence(server):
    assert "cannot be the name of a repository" in refused("hf://some--body/run..")
    assert not server.state.asked


def test_no_such_repository_is_one_sentence(server):
    assert "There is no somebody/nothing on the Hub" in refused("hf://somebody/nothing")


@pytest.mark.parametrize("revision", ["v9", "c" * 40])
def test_no_such_revision_is_one_sentence(server, revision):
    assert f"no revision '{revision}'" in refused(f"hf://somebody/run@{revision}")


def test_a_repository_of_something_else_is_one_sentence(server):
    assert "neither a card.json nor one model as Keras writes it" in refused("hf://somebody/other")


def test_no_network_and_nothing_cached_is_one_sentence(server, monkeypatch):
    server.stop()
    # The Hub's client waits longer after each of several attempts.
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert "not in the cache, and the Hub cannot be reached" in refused("hf://somebody/run")
    assert "not in the cache, and the Hub cannot be reached" in refused(f"hf://somebody/run@{FIRST}")


def test_a_hub_that_breaks_off_leaves_no_half_run(server, monkeypatch):
    server.state.failing = WEIGHTS
    with monkeypatch.context() as patch:
        patch.setattr("time.sleep", lambda _: None)
        assert "could not be fetched" in refused("hf://somebody/run")
    server.state.failing = None
    folder = hub.snapshot("hf://somebody/run")
    assert (folder / "model.weights.h5").read_bytes() == WEIGHTS


def test_a_token_that_the_hub_does_not_know_is_one_sentence(server):
    server.state.answer = 401, b"{}", {"X-Error-Message": "Invalid credentials in Authorization header"}
    assert "does not accept your token" in refused("hf://somebody/run")


def test_somebody_else_s_page_in_place_of_the_hub_is_one_sentence(server):
    """As a hotel's, which asks for a room number first."""
    server.state.answer = 200, b"<html>", {"Content-Type": "text/html"}
    assert "could not be fetched" in refused("hf://somebody/run")


def test_load_takes_a_name_on_the_hub(monkeypatch, tmp_path):
    from models import load

    asked = []

    def given(name: str) -> Path:
        asked.append(name)
        return tmp_path

    monkeypatch.setattr(hub, "snapshot", given)
    with pytest.raises(ModelError, match=r"holds no card\.json"):
        load("hf://somebody/run@v1")
    assert asked == ["hf://somebody/run@v1"]
