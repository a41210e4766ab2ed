"""Compiled graphs on disk: found again only whole, within a bound, and never in the way."""

import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from explain import compiled
from explain.compiled import Graphs

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def graphs(tmp_path):
    return Graphs(tmp_path / "of" / "a user", most=3 * (len(CONTENT) + 32))


def test_a_graph_is_found_again(graphs):
    assert graphs.find("a") is None
    graphs.keep("a", lambda: CONTENT)
    assert graphs.find("a") == CONTENT
    assert graphs.find("b") is None
    assert [file.name for file in graphs.folder.iterdir()] == ["a.graph"]


@pytest.mark.parametrize("damage", [lambda whole: whole[:-1], lambda whole: whole[:20], lambda whole: b"", None])
def test_a_damaged_graph_is_none(graphs, damage):
    graphs.keep("a", lambda: CONTENT)
    file = graphs.folder / "a.graph"
    whole = bytearray(file.read_bytes())
    if damage is None:
        whole[500] ^= 1
    file.write_bytes(whole if damage is None else damage(whole))
    assert graphs.find("a") is None
    graphs.keep("a", lambda: CONTENT)
    assert graphs.find("a") == CONTENT


def test_what_was_not_used_for_longest_goes_first(graphs):
    for hours, key in enumerate("abc"):
        graphs.keep(key, lambda: CONTENT)
        os.utime(graphs.folder / f"{key}.graph", (hours, hours))
    assert graphs.find("a") == CONTENT
    graphs.keep("d", lambda: CONTENT)
    assert [graphs.find(key) is not None for key in "abcd"] == [True, False, True, True]
    assert sum(file.stat().st_size for file in graphs.folder.iterdir()) <= graphs.most


def test_a_graph_of_somebody_else_is_found_too(graphs, monkeypatch):
    graphs.keep("a", lambda: CONTENT)

    def refuse(_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "utime", refuse)
    assert graphs.find("a") == CONTENT


def test_a_graph_larger_than_all_may_be_is_not_kept(tmp_path):
    small = Graphs(tmp_path, most=100)
    small.keep("a", lambda: CONTENT)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_goes_after_an_hour(graphs):
    graphs.keep("a", lambda: CONTENT)
    old, young = graphs.folder / "old.unfinished", graphs.folder / "young.unfinished"
    for file in (old, young):
        file.write_bytes(CONTENT)
    long_ago = time.time() - 2 * compiled.HOUR
    os.utime(old, (long_ago, long_ago))
    graphs.keep("b", lambda: CONTENT)
    assert not old.exists()
    assert young.exists()


def test_a_graph_that_cannot_be_exported_is_no_error_and_leaves_nothing(graphs):
    def export() -> bytes:
        raise RuntimeError("no such graph")

    graphs.keep("a", export)
    assert not list(graphs.folder.iterdir())


def test_many_writers_of_one_graph_and_its_readers(graphs):
    found = []

    def work() -> None:
        for _ in range(20):
            graphs.keep("a", lambda: CONTENT)
            found.append(graphs.find("a"))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [CONTENT] * 80
    assert [file.name for file in graphs.folder.iterdir()] == ["a.graph"]


def test_a_full_disk_is_no_error(tmp_path):
    script = (
        "from pathlib import Path; from explain.compiled import Graphs; graphs = Graphs(Path('.') / 'graphs');"
        "graphs.keep('a', lambda: bytes(100_000)); print(graphs.find('a'), len(list(graphs.folder.iterdir())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "None 0\n", "")


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path):
    # A file in its way: root, as whom tests may run, could write in a folder that is read-only.
    (tmp_path / "file").touch()
    graphs = Graphs(tmp_path / "file" / "graphs")
    graphs.keep("a", lambda: pytest.fail("nobody could keep it"))
    assert graphs.find("a") is None


def test_nowhere_keeps_nothing():
    graphs = Graphs(None)
    graphs.keep("a", lambda: pytest.fail("nobody would keep it"))
    assert graphs.find("a") is None


def test_the_folder_is_the_users_own_or_as_told(monkeypatch, tmp_path):
    monkeypatch.setenv(compiled.VARIABLE, str(tmp_path))
    assert compiled.folder() == tmp_path
    monkeypatch.setenv(compiled.VARIABLE, "")
    assert compiled.folder() is None
    monkeypatch.delenv(compiled.VARIABLE)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert compiled.folder() == Path("/home/somebody/.cache/parallax/graphs")

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert compiled.folder() is None


def test_a_key_tells_its_parts_apart():
    parts = [
        (),
        (b"",),
        (b"a", b"b"),
        (b"ab",),
        (b"b", b"a"),
        ("a", "b"),
        (1, ("map",)),
        (1, ("map", "gate")),
        (2, ("map",)),
    ]
    assert len({compiled.key(*some) for some in parts}) == len(parts)
    assert compiled.key(1, ("map",), {"a": 1}) == compiled.key(1, ("map",), {"a": 1})
