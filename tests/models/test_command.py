"""A command ends with one sentence where it cannot do what was asked, and without a word where nobody reads on."""

import errno
import os
import subprocess
import sys

import pytest

from models.command import status_of


def raising(error: BaseException):
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (LookupError("There is no such run."), "There is no such run."),
        (OSError(errno.EACCES, os.strerror(errno.EACCES), "a.csv"), "a.csv cannot be read or written: Permission"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "A file cannot be read or written: No space"),
        (KeyboardInterrupt(), "Stopped; what was finished is kept."),
    ],
)
def test_what_cannot_be_done_is_one_sentence(error, sentence, capsys):
    assert status_of(raising(error), (LookupError,), "; what was finished is kept") == 2
    out, said = capsys.readouterr()
    assert not out
    assert said.startswith(sentence)
    assert said.count("\n") == 1


def test_a_ctrl_c_of_which_tensorflow_makes_an_error_of_its_own_is_one(capsys):
    def traced() -> int:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            # As Keras raises it, without the frames that are not a user's.
            raise SystemError("returned a result with an exception set") from None

    def command() -> int:
        try:
            return traced()
        except SystemError as error:
            raise LookupError("That is no network.") from error

    assert status_of(command, (LookupError,), "; what was finished is kept") == 2
    assert capsys.readouterr().err == "Stopped; what was finished is kept.\n"


def test_a_fault_of_ours_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        status_of(raising(ZeroDivisionError()), (LookupError,))


@pytest.mark.parametrize("lines", [1, 100_000])
def test_output_that_nobody_reads_ends_the_command_without_a_word(lines):
    """One line is written only when Python ends; many while the command runs."""
    program = (
        f"import sys; from models.command import status_of; sys.exit(status_of(lambda: print('a\\n' * {lines}), ()))"
    )
    reads, writes = os.pipe()
    os.close(reads)
    ended = subprocess.run([sys.executable, "-c", program], stdout=writes, stderr=subprocess.PIPE, text=True)
    os.close(writes)
    assert (ended.returncode, ended.stderr) == (141, "")
