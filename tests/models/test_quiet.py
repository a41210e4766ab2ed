"""Imports that the garbage collector is not asked about."""

import gc
import weakref

import pytest

from models import quiet


class Thing:
    pass


def a_cycle() -> weakref.ref:
    one = Thing()
    one.itself = one
    return weakref.ref(one)


def test_nothing_is_collected_meanwhile_and_everything_after():
    with quiet.without_collecting():
        assert not gc.isenabled()
        kept = a_cycle()
    try:
        assert gc.isenabled()
        after = a_cycle()
        gc.collect()
        assert after() is None
        assert kept() is not None
    finally:
        gc.unfreeze()


def test_it_stays_off_where_it_was_off_and_comes_back_after_an_error():
    with pytest.raises(ImportError), quiet.without_collecting():
        raise ImportError
    assert gc.isenabled()
    gc.disable()
    try:
        with quiet.without_collecting():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
