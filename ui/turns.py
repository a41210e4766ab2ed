"""Whose turn it is: a few explanations at a time, in the order in which they were asked for.

More at once would not be faster, only unfair: every visitor's page would slow down, and nobody could say for how long.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

SILENT_SECONDS = 0.5
"""A wait as short as this is not worth a word."""
LOOK_UP_SECONDS = 0.5
"""How often somebody who waits is asked whether they are still there."""


class Turns:
    """A queue in front of something that `at_once` threads may do at the same time."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        # The first ones are at work, the others wait.
        self._line: list[object] = []
        self._moved = Condition()

    @contextmanager
    def turn(self, say: Callable[[int, int], None]) -> Iterator[None]:
        """Wait for a turn, and have it until the end of the block.

        Args:
            say: called in this thread with the place in the queue (1 is the next) and the queue's length, first after
                SILENT_SECONDS, then twice a second; what it raises ends the wait, and the place is given up.
        """
        ticket, told, seconds = object(), None, SILENT_SECONDS
        with self._moved:
            self._line.append(ticket)
        try:
            while (standing := self._standing(ticket, told, seconds))[0] > 0:
                say(*standing)
                told, seconds = standing, LOOK_UP_SECONDS
            yield
        finally:
            with self._moved:
                self._line.remove(ticket)
                self._moved.notify_all()

    def _standing(self, ticket: object, told: tuple[int, int] | None, seconds: float) -> tuple[int, int]:
        """A ticket's place (0 or less: its turn) and the length, once they are news, or after `seconds`."""

        def now() -> tuple[int, int]:
            return self._line.index(ticket) + 1 - self._at_once, len(self._line) - self._at_once

        def news() -> bool:
            # Before anything was told, the turn alone is news.
            return now()[0] <= 0 if told is None else now() != told

        with self._moved:
            self._moved.wait_for(news, seconds)
            return now()
