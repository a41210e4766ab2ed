"""The speed study: turns, ratios, bars, and what is stored."""

import os
import time
from importlib.metadata import PackageNotFoundError

import pytest

from benchmarks import machine, memory, speed
from benchmarks.errors import BenchmarkError
from benchmarks.speed import FIVE, KERAS_IO, OPENVINO, OURS, SEVEN, TENSORFLOW, Row
from benchmarks.study import STUDY
from benchmarks.worker import TITLES, PeerError
from models import versions
from training.tables import read


def test_cases_take_turns_and_a_missing_one_keeps_its_reason():
    order = []

    def case(name, seconds):
        def measure(calls):
            order.append(name)
            return [seconds] * calls

        return measure

    def broken(calls):
        raise PeerError("ImportError: no such library")

    cases = {"fast": case("fast", 0.01), "broken": broken, "slow": case("slow", 20.0)}
    rows = speed.measure(cases, {"absent": "not asked for"})
    assert rows == [
        Row("fast", 0.01),
        Row("broken", None, "ImportError: no such library"),
        Row("slow", 20.0),
        Row("absent", None, "not asked for"),
    ]
    assert order[:5] == ["fast", "slow", "fast", "slow", "fast"]
    assert order.count("fast") == 1 + speed.ROUNDS
    assert order.count("slow") < 1 + speed.ROUNDS / 2


def rows(**seconds):
    known = {OPENVINO: 0.010, TENSORFLOW: 0.040, OURS: 0.025, FIVE: 0.030, SEVEN: 0.050, speed.BATCHED: 0.024}
    return [Row(what, took) for what, took in (known | seconds).items()]


def test_ratios():
    table = {row["what"]: row for row in speed.table([*rows(), Row("absent", None, "why")])}
    assert table[OURS] == {
        "what": OURS,
        "milliseconds": "25.0",
        "forwards": "2.50",
        "tensorflow_forwards": "0.62",
        "missing": "",
    }
    assert (table["absent"]["milliseconds"], table["absent"]["missing"]) == ("", "why")


def test_bars():
    tf_keras_vis, xplique = TITLES["keras"]
    forward, torch_cam, *_ = TITLES["torch"]
    found = speed.targets(rows(**{KERAS_IO: 20.0, tf_keras_vis: 10.0, xplique: 0.9, forward: 0.02, torch_cam: 0.02}))
    assert [(row["measured"], row["met"]) for row in found] == [
        ("2.50", "yes"),
        ("36.00", "no"),
        ("0.80", "no"),
        ("1.20", "yes"),
        ("2.00", "no"),
        ("0.96", "yes"),
    ]
    # Libraries that were not measured are not judged.
    assert [row["met"] for row in speed.targets(rows())[1:3]] == ["", ""]


def test_the_stored_table_names_every_library():
    table = {row["what"]: row for row in read(STUDY / "table.csv")}
    for title in (KERAS_IO, *TITLES["keras"], *TITLES["torch"]):
        assert table[title]["milliseconds"] or table[title]["missing"]


def test_memory_was_flat_over_a_thousand_explanations():
    found = {int(row["explanations"]): float(row["resident_mb"]) for row in read(memory.FILE)}
    assert max(found) == memory.EXPLANATIONS
    assert max(found.values()) <= 1.05 * found[memory.EVERY]


def test_what_a_process_takes_is_told():
    me = os.getpid()
    before, told, after = time.process_time(), machine.processor_time(me), time.process_time()
    assert before - 0.1 <= told <= after + 0.1
    assert 0 < machine.resident(me) <= 1.1 * 1024 * machine.peak(me)
    with pytest.raises(BenchmarkError, match="/proc"):
        machine.resident(-1)


def test_no_rounds_are_one_sentence():
    with pytest.raises(BenchmarkError, match="not in 0"):
        speed.main(rounds=0)


def test_a_machine_is_described_by_what_it_has(monkeypatch):
    """With a GPU TensorFlow is installed under another name."""

    def version(name):
        if name == "tensorflow-cpu":
            raise PackageNotFoundError(name)
        return f"{name} 1"

    monkeypatch.setattr(versions, "version", version)
    found = machine.describe()
    assert found["tensorflow"] == "tensorflow 1"
    assert "tensorflow-cpu" not in found
