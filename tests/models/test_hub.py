"""Runs from a Hub: a small server answers as the real one does, then falls silent."""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants as constants
import pytest

from models import ModelError, hub

FIRST, SECOND = "a" * 40, "b" * 40
CARD, WEIGHTS, HISTORY = b'{"task": "made"}', b"weights" * 1000, b"epoch,loss\n"
RUN = {"card.json": CARD, "model.weights.h5": WEIGHTS, "history.csv": HISTORY, "README.md": b"#", "run.py": b"print()"}
REPOSITORIES = {
    "somebody/run": {FIRST: RUN, SECOND: RUN | {"card.json": CARD + b" "}},
    "somebody/keras": {FIRST: {"mine.keras": b"zip", "README.md": b"#"}},
    "somebody/other": {FIRST: {"pytorch_model.bin": b"0", "config.json": b"{}"}},
}


class Hub(BaseHTTPRequestHandler):
    """The three questions that a download asks: which commit, which files, and a file. `main` is the second commit."""

    asked: list[str] = []  # noqa: RUF012
    revisions: dict[str, str] = {}  # noqa: RUF012

    def do_GET(self):
        self.answer(with_content=True)

    def do_HEAD(self):
        self.answer(with_content=False)

    def log_message(self, *_):
        pass

    def answer(self, with_content):
        path = self.path.partition("?")[0]
        self.asked.append(path)
        api = re.fullmatch(r"/api/models/(?P<repo>[^/]+/[^/]+)/(?P<kind>revision|tree)/(?P<revision>[^/]+)/?", path)
        file = re.fullmatch(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)", path)
        found = api or file
        commits = REPOSITORIES.get(found["repo"]) if found else None
        if found is None or commits is None:
            return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, with_content)
        commit = self.revisions.get(found["revision"], found["revision"])
        if commit == "main":
            commit = list(commits)[-1]
        if commit not in commits:
            return self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, with_content)
        files = commits[commit]
        if file:
            content = files[file["file"]]
            tags = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": commit}
            return self.send(200, content, tags, with_content)
        listed = [
            {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            for name, content in files.items()
        ]
        answer = listed if api["kind"] == "tree" else {"id": found["repo"], "sha": commit, "siblings": []}
        return self.send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"}, with_content)

    def send(self, status, content, headers, with_content):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_content:
            self.wfile.write(content)


@pytest.fixture
def server(monkeypatch, tmp_path):
    """The Hub on this machine, with an empty cache."""
    Hub.asked, Hub.revisions = [], {"v1": FIRST}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))

    def stop():
        server.shutdown()
        thread.join()
        server.server_close()

    server.stop = stop
    yield server
    if thread.is_alive():
        stop()


def test_a_run_comes_as_one_commit_and_only_its_own_files(server):
    folder = hub.snapshot("hf://somebody/run")
    assert folder.name == SECOND
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        "card.json": CARD + b" ",
        "model.weights.h5": WEIGHTS,
        "history.csv": HISTORY,
    }
    assert not any("README" in path or "run.py" in path for path in Hub.asked)


@pytest.mark.parametrize("revision", [FIRST, "v1"])
def test_a_revision_is_the_one_asked_for(server, revision):
    folder = hub.snapshot(f"hf://somebody/run@{revision}")
    assert folder.name == FIRST
    assert (folder / "card.json").read_bytes() == CARD


def test_a_commit_in_the_cache_is_not_asked_for_again(server):
    folder = hub.snapshot(f"hf://somebody/run@{FIRST}")
    Hub.asked.clear()
    assert hub.snapshot(f"hf://somebody/run@{FIRST}") == folder
    assert not Hub.asked


def test_a_branch_that_moved_is_fetched_anew(server):
    Hub.revisions["main"] = FIRST
    assert hub.snapshot("hf://somebody/run").name == FIRST
    Hub.revisions["main"] = SECOND
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
    assert not Hub.asked


def test_a_name_that_the_hub_forbids_is_one_sentence(server):
    assert "cannot be the name of a repository" in refused("hf://some--body/run..")
    assert not Hub.asked


def test_no_such_repository_is_one_sentence(server):
    assert "There is no somebody/nothing on the Hub" in refused("hf://somebody/nothing")


@pytest.mark.parametrize("revision", ["v9", "c" * 40])
def test_no_such_revision_is_one_sentence(server, revision):
    assert f"no revision '{revision}'" in refused(f"hf://somebody/run@{revision}")


def test_a_repository_of_something_else_is_one_sentence(server):
    assert "neither a card.json nor one .keras file" in refused("hf://somebody/other")


def test_no_network_and_nothing_cached_is_one_sentence(server, monkeypatch):
    server.stop()
    # The Hub's client waits longer after each of several attempts.
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert "not in the cache, and the Hub cannot be reached" in refused("hf://somebody/run")
    assert "not in the cache, and the Hub cannot be reached" in refused(f"hf://somebody/run@{FIRST}")


def test_a_hub_that_breaks_off_leaves_no_half_run(server, monkeypatch):
    def fail(self, status, content, headers, with_content):
        if content == WEIGHTS and with_content:
            content, status = b"", 500
        send(self, status, content, headers, with_content)

    send = Hub.send
    with monkeypatch.context() as patch:
        patch.setattr(Hub, "send", fail)
        patch.setattr("time.sleep", lambda _: None)
        assert "could not be fetched" in refused("hf://somebody/run")
    folder = hub.snapshot("hf://somebody/run")
    assert (folder / "model.weights.h5").read_bytes() == WEIGHTS


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
