"""Turns: the order, the places that are told, and those who leave."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event, Lock

import pytest

from ui import turns
from ui.turns import Turns


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Whoever waits is told so without delay."""
    monkeypatch.setattr(turns, "SILENT_SECONDS", 0.0)
    monkeypatch.setattr(turns, "SAY_SECONDS", 0.01)


class Visitor:
    """Somebody with a turn in a thread of their own; what they are told."""

    def __init__(self, pool: ThreadPoolExecutor, line: Turns, leaves: bool = False):
        self.told: list[tuple[int, int]] = []
        self.heard, self.served, self.done = Event(), Event(), Event()
        self.leaves = leaves
        self.end = pool.submit(self._come, line)

    def _come(self, line: Turns) -> None:
        with line.turn(self._hear):
            self.served.set()
            assert self.done.wait(30)

    def _hear(self, place: int, length: int) -> None:
        self.told.append((place, length))
        self.heard.set()
        if self.leaves:
            raise ConnectionError

    def waits(self) -> "Visitor":
        assert self.heard.wait(30)
        return self


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_first_come_first_served_and_each_is_told_the_place(pool):
    line = Turns(2)
    working = [Visitor(pool, line) for _ in range(2)]
    assert all(one.served.wait(30) for one in working)
    # One after another, so that their order is known.
    waiting = [Visitor(pool, line).waits() for _ in range(3)]
    assert [one.told[0] for one in waiting] == [(1, 1), (2, 2), (3, 3)]
    order = []
    for leaves, comes in zip([*working, waiting[0]], waiting, strict=True):
        leaves.done.set()
        assert comes.served.wait(30)
        order.append([one.served.is_set() for one in waiting])
    assert order == [[True, False, False], [True, True, False], [True, True, True]]
    places = [place for place, _ in waiting[2].told]
    assert places == sorted(places, reverse=True)
    for one in (*working, *waiting):
        one.done.set()
        one.end.result(30)


def test_no_more_at_once_than_there_are_turns(pool):
    line, lock = Turns(2), Lock()
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        with line.turn(lambda *_: None):
            with lock:
                inside += 1
                most = max(most, inside)
            Event().wait(0.002)
            with lock:
                inside -= 1

    for one in [pool.submit(work) for _ in range(40)]:
        one.result(30)
    assert (inside, most) == (0, 2)


def test_who_leaves_while_waiting_gives_up_the_place(pool):
    line = Turns(1)
    first = Visitor(pool, line)
    assert first.served.wait(30)
    gone = Visitor(pool, line, leaves=True)
    with pytest.raises(ConnectionError):
        gone.end.result(30)
    last = Visitor(pool, line).waits()
    assert last.told[0] == (1, 1)
    first.done.set()
    assert last.served.wait(30)
    last.done.set()


def test_a_turn_that_breaks_is_over(pool):
    line = Turns(1)
    with suppress(ValueError), line.turn(lambda *_: None):
        raise ValueError
    one = Visitor(pool, line)
    assert one.served.wait(30)
    one.done.set()
    one.end.result(30)
    assert one.told == []
