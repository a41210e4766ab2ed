"""Whose turn it is: a few explanations at a time, in the order in which they were asked for.

More at once would not be faster, only unfair: every visitor's page would slow down, and nobody could say for how long.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

SILENT_SECONDS = 0.5
"""A wait as short as this is not worth a word."""
SAY_SECONDS = 1.0
"""How often somebody who waits is told the place; with many who wait, words cost as much as explanations."""


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
                SILENT_SECONDS, then every SAY_SECONDS; what it raises ends the wait, and the place is given up.
        """
        ticket, seconds = object(), SILENT_SECONDS
        with self._moved:
            self._line.append(ticket)
        try:
            while (standing := self._standing(ticket, seconds))[0] > 0:
                say(*standing)
                seconds = SAY_SECONDS
            yield
        finally:
            with self._moved:
                self._line.remove(ticket)
                self._moved.notify_all()

    def _standing(self, ticket: object, seconds: float) -> tuple[int, int]:
        """A ticket's place (0 or less: its turn) and the queue's length, at its turn or after so many seconds."""

        def place() -> int:
            return self._line.index(ticket) + 1 - self._at_once

        with self._moved:
            self._moved.wait_for(lambda: place() <= 0, seconds)
            return place(), len(self._line) - self._at_once
