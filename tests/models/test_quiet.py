"""Imports that the garbage collector is not asked about, and that leave out what nobody uses."""

import gc
import importlib
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest

from models import quiet


class Thing:
    pass


def a_cycle() -> weakref.ref:
    one = Thing()
    one.itself = one
    return weakref.ref(one)


def test_nothing_is_collected_meanwhile_and_everything_after():
    with quiet.only_what_is_used():
        assert not gc.isenabled()
        kept = a_cycle()
    assert gc.isenabled()
    after = a_cycle()
    gc.collect()
    assert after() is None
    # It stays frozen: to thaw it would thaw Keras, too, for every later collection of this worker.
    assert kept() is not None


def test_it_stays_off_where_it_was_off_and_comes_back_after_an_error():
    with pytest.raises(ImportError), quiet.only_what_is_used():
        raise ImportError
    assert gc.isenabled()
    gc.disable()
    try:
        with quiet.only_what_is_used():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_keras_comes_without_what_it_can_do_without_and_both_work_afterwards():
    code = (
        "import gc, sys; from models import quiet; quiet.import_keras();"
        "print(*sorted({'jax', *quiet.NEEDLESS} & set(sys.modules)), gc.isenabled(), gc.get_freeze_count() > 100_000);"
        "import jax, matplotlib, pandas, sklearn"
    )
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-c", code]
    root = Path(__file__).parents[2]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root, env=environment)
    assert said.stdout.split() == ["True", "True"]
    assert said.stderr == ""


def test_only_the_thread_that_imports_does_without(monkeypatch):
    monkeypatch.setattr(quiet, "NEEDLESS", frozenset({"this"}))
    monkeypatch.delitem(sys.modules, "this", raising=False)
    found = []
    with quiet.only_what_is_used():
        with pytest.raises(ModuleNotFoundError, match="this"):
            importlib.import_module("this")
        other = threading.Thread(target=lambda: found.append(importlib.import_module("this")))
        other.start()
        other.join()
    assert found
