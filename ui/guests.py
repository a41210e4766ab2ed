"""Models that visitors bring: measured, checked on photographs, and only then shown; bounded in all."""

import gc
import re
import tempfile
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import models
from explain import ExplainError, PhotoError, check, photo
from explain.compiled import NOWHERE
from explain.network import network_of
from models import ModelError
from ui import runs, samples

PREFIX = "yours/"
"""What tells a guest's name from a run's."""
MOST_WEIGHTS = 250_000_000
"""Of all guests of all visitors; each is kept some three times, by Keras, flattened, and by the engine."""
MOST_VALUES = 150_000_000
"""Numbers behind the maps of one photograph: activations, and a gradient of each for every class."""
PHOTOGRAPHS = 4
"""Samples that a guest is checked on."""

SAY_SECONDS = 0.2
"""How often a page that waits is told how far a model is."""

Progress = Callable[[float, str], None]

_door = threading.Lock()


class GuestError(Exception):
    """A model that is not shown.

    Attributes:
        reasons: one sentence for each.
    """

    def __init__(self, *reasons: str) -> None:
        super().__init__(" ".join(reasons))
        self.reasons = reasons


class Arrival:
    """A model on its way in, in a thread of its own: a click ends the run of the page that waits for it.

    Once nobody holds this any more, as when its visitor brings another, it goes no further.

    Args:
        take: `from_file` or `from_hub`; it and `what` it takes, but for the progress.
    """

    def __init__(self, take: Callable[..., tuple[str, runs.Guest]], *what: Any) -> None:
        self._told = (0.0, "")
        self._found: Future[tuple[str, runs.Guest]] = Future()
        mine, found = weakref.ref(self), self._found

        def tell(done: float, doing: str) -> None:
            if (arrival := mine()) is None:
                raise CancelledError
            arrival._told = (done, doing)

        def work() -> None:
            try:
                found.set_result(take(*what, tell))
            except BaseException as error:
                found.set_exception(error)

        threading.Thread(target=work, name="guest", daemon=True).start()

    def wait(self, progress: Progress) -> tuple[str, runs.Guest]:
        """What `take` returns or raises; what `progress` raises ends the wait, and another may follow."""
        while not self._found.done():
            progress(*self._told)
            wait([self._found], SAY_SECONDS)
        return self._found.result()


def from_file(content: bytes, file: str, progress: Progress) -> tuple[str, runs.Guest]:
    """Take in a `.keras` file.

    Args:
        content: of the file.
        file: what its visitor calls it.
        progress: told how far it is (0..1) and what is being done.

    Returns:
        The name that tells it from all others, and the guest, which stays for as long as somebody holds it.

    Raises:
        GuestError: if it is not to be shown.
    """
    # What a browser calls a file may be anything, and this becomes a file's name here.
    title = re.sub(r"[^\w.-]+", "_", Path(file.replace("\\", "/")).name.removesuffix(".keras"))[-40:].strip("._")
    with _one_by_one(progress), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, f"{title or 'model'}.keras")
        try:
            path.write_bytes(content)
        except OSError as error:
            raise GuestError(f"{path.name} could not be kept for a moment: {error.strerror}.") from error
        return _welcome(str(path), path.stem, progress)


def from_hub(name: str, progress: Progress) -> tuple[str, runs.Guest]:
    """Take in `hf://user/repo[@revision]`, as `from_file` does a file."""
    with _one_by_one(progress):
        return _welcome(name, name.removeprefix("hf://").partition("@")[0].rpartition("/")[2], progress)


@contextmanager
def _one_by_one(progress: Progress) -> Iterator[None]:
    """Each may take much memory for a moment."""
    progress(0.0, "Waiting for the model of another visitor")
    with _door:
        yield


def _welcome(source: str, title: str, progress: Progress) -> tuple[str, runs.Guest]:
    progress(0.1, f"Reading {title}")
    try:
        run = models.load(source)
        weights = run.model.count_params()
        _find_room(weights)
        _count_values(run)
        progress(0.4, f"Checking {title} on {PHOTOGRAPHS} photographs")
        findings = check(run.model, islice(_photographs(), PHOTOGRAPHS), run.labels)
        errors = [finding.sentence for finding in findings if finding.severity == "error"]
        if errors:
            raise GuestError(*errors)
        progress(0.7, f"Preparing the maps of {title}")
        # Nothing of a visitor's model stays when it goes.
        explainer = runs.prepare(run.model, run.card, NOWHERE)
    except (ModelError, ExplainError) as error:
        raise GuestError(str(error)) from error
    remarks = tuple(finding.sentence for finding in findings)
    if run.numbered:
        remarks += ("Its classes have no names: beside a run with as many, they take that run's in their order.",)
    name = f"{PREFIX}{uuid.uuid4().hex[:12]}"
    guest = runs.Guest(title, run.card, explainer, weights, not run.numbered, remarks)
    runs.guests[name] = guest
    return name, guest


def _find_room(weights: int) -> None:
    # Networks are full of cycles: those whose visitor has left may still be there.
    gc.collect()
    if weights + sum(guest.weights for guest in list(runs.guests.values())) > MOST_WEIGHTS:
        raise ModelError("The models of other visitors take all the room here: try again when one has left.")


def _count_values(run: models.Run) -> None:
    shapes = [layer.shape for layer in network_of(run.model).layers]
    classes = min(len(run.labels), runs.MOST_CLASSES)
    values = (1 + classes) * sum(height * width * depth for height, width, depth in shapes)
    if values > MOST_VALUES:
        raise ModelError(
            f"{run.name} has {values:,} numbers behind the maps of one photograph; {MOST_VALUES:,} are the most that "
            "this page keeps: take a smaller picture, or fewer classes."
        )


def _photographs() -> Iterator[object]:
    for sample in samples.samples():
        try:
            yield photo.read(sample.path)
        except PhotoError:
            continue
