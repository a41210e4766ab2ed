"""Trainings of the small study that note what they see, begin with and end with."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models import load
from tests.training import studies
from training import loop, state, views
from training.cache import Cache
from training.evaluate import evaluate, load_for
from training.recipe import Recipe
from training.setup import Setup
from training.tables import read

EPOCHS = 4


class Training:
    """One training of the small study, perhaps in several goes.

    Attributes:
        out: its folder.
        batches: a hash of each augmented batch, in the order seen.
        first, last: the weights before the first epoch of the first go, and those that were saved.
        model: as it was saved.
        card: as it was written.
        cache: where the output of frozen layers is kept.
        setup: how else it runs.
        said: the lines of progress.
    """

    def __init__(self, out: Path, source: Path, base: Path):
        self.out, self.source, self.base = out, source, base
        self.cache = Cache(out.parent / "features")
        self.setup = Setup()
        self.batches: list[str] = []
        self.said: list[str] = []
        self.first: list[np.ndarray] = []
        self.last: list[np.ndarray] = []

    def __call__(self, recipe: Recipe | None = None, run: str = "sgd", resume: bool = False, **changes) -> "Training":
        recipe = recipe or studies.recipe()
        see, epoch, save = views.views, loop.Trained.epoch, loop.save

        def noting_views(pictures, indices, augmentation, *rest):
            seen = see(pictures, indices, augmentation, *rest)
            digest = hashlib.sha256(seen.tobytes()).hexdigest()
            # The first batch of an epoch is made once more, for its shape.
            if augmentation != views.PLAIN and digest not in self.batches:
                self.batches.append(digest)
            return seen

        def noting_epoch(trained, number):
            self.first = self.first or trained.model.get_weights()
            return epoch(trained, number)

        def noting_save(model, *rest):
            self.model, self.last = model, model.get_weights()
            return save(model, *rest)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(views, "views", noting_views)
            patch.setattr(loop.Trained, "epoch", noting_epoch)
            patch.setattr(loop, "save", noting_save)
            plan = replace(recipe.plans[run], **changes)
            self.card = loop.train(
                recipe,
                run,
                plan,
                str(self.source),
                str(self.base),
                self.out,
                resume=resume,
                say=self.said.append,
                setup=replace(self.setup, cache=self.cache),
            )
        return self

    @property
    def history(self) -> list[dict[str, str]]:
        """The rows of the history, so far or in the end, without what a clock says."""
        so_far = self.out / state.SO_FAR
        rows = read(so_far if so_far.is_file() else self.out / "history.csv")
        return [{key: value for key, value in row.items() if not key.endswith("seconds")} for row in rows]


def same(one: list[np.ndarray], other: list[np.ndarray], tolerance: float = 1e-6) -> bool:
    """Whether two lists of weights agree."""
    return all(np.allclose(a, b, rtol=0, atol=tolerance) for a, b in zip(one, other, strict=True))


def assert_same_end(one: Training, other: Training) -> None:
    """Both ended with the same weights, history and card, and left nothing but the checkpoint."""
    assert one.history == other.history
    assert one.card.results == other.card.results
    assert one.card.epochs == other.card.epochs
    assert one.card.fingerprint == pytest.approx(other.card.fingerprint, abs=1e-6)
    assert same(one.last, other.last)
    assert {file.name for file in one.out.iterdir()} == {"card.json", "history.csv", "model.weights.h5"}


def assert_its_own_results(run: Training) -> None:
    """What the card says of validation is what anybody finds who loads the checkpoint."""
    found = load(run.out)
    pictures = load_for(found.card, str(run.source), "validation")
    assert evaluate(found.model, pictures, found.card).summary() == run.card.results["validation"]
