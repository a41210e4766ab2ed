"""The start study: each round begins with an empty folder, and the second start finds what the first has left."""

from pathlib import Path

import pytest

from benchmarks import start
from benchmarks.errors import BenchmarkError
from explain.compiled import VARIABLE


def test_medians_of_first_starts_and_of_those_that_find_something():
    found, seconds = [], iter([10.0, 2.0, 30.0, 4.0, 11.0, 3.0])

    def begin(variables):
        folder = Path(variables[VARIABLE])
        found.append(len(list(folder.iterdir())))
        (folder / "a.graph").touch()
        return next(seconds), 100.0 * (1 + len(found) % 2)

    row = start.measure("a start", begin, rounds=3)
    assert found == [0, 1] * 3
    assert list(row.values()) == ["a start", "11.0", "3.0", "3.7", "200", "100"]


def test_a_command_that_fails_is_no_measurement(monkeypatch):
    monkeypatch.setattr(start, "PAIR", ("nobody/has-this",))
    with pytest.raises(BenchmarkError, match="has failed"):
        start.command({})
