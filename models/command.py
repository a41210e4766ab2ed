"""How a command of `python -m ...` ends: with a status, and one plain sentence where it cannot do what was asked."""

import os
import sys
from collections.abc import Callable

REFUSED = 2
"""The exit status where what was asked cannot be done."""
UNREAD = 141
"""The exit status where nobody reads on, as behind `| head`: the one that shells give a program that ends of it."""


def status_of(command: Callable[[], int | None], plain: tuple[type[Exception], ...], kept: str = "") -> int:
    """Run a command.

    Args:
        command: gives the exit status; none is 0.
        plain: errors whose message is the sentence.
        kept: what "Stopped" goes on with where a person stops it.

    Returns:
        The exit status.
    """
    try:
        status = command() or 0
        sys.stdout.flush()
    except BaseException as error:
        if _stopped(error):
            return _refuse(f"Stopped{kept}.")
        if isinstance(error, plain):
            return _refuse(str(error))
        if isinstance(error, BrokenPipeError):
            # Python flushes once more when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return UNREAD
        if isinstance(error, OSError):
            return _refuse(f"{error.filename or 'A file'} cannot be read or written: {error.strerror}.")
        raise
    return status


def _stopped(error: BaseException | None) -> bool:
    """Whether a person stopped it: of a Ctrl-C while it traces, TensorFlow may make a SystemError or TypeError."""
    while error and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _refuse(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return REFUSED
