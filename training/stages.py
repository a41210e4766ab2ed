"""A network as one stage of a recipe trains it."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from training import progress, views
from training.batches import batches_of, fed
from training.cache import Cache
from training.evaluate import evaluate_views
from training.features import Features, forward_of
from training.freeze import cut, joined, unfreeze
from training.job import Job
from training.objective import prepare
from training.recipe import Stage
from training.records import Packed, whole
from training.setup import alone, threads, twin


class Trained:
    """A network as one stage trains it: what is frozen runs apart, and only once where views are bounded.

    Attributes:
        model: the whole, with the optimizer of the rest, so that a state holds both.
        rest: the part that is trained, compiled; the whole where nothing is frozen.
        training, validation: what the part is fed with.
    """

    def __init__(self, model: Any, job: Job, stage: Stage, cache: Cache, say: Callable[[str], None]):
        recipe, seed = job.recipe, job.plan.seed
        self.model, self._job, self._say = model, job, say
        pictures = np.empty(0) if isinstance(job.training, Packed) else job.training.pictures
        self._views = views.Views(pictures, recipe.augmentation, recipe.input_size, seed, stage.views)
        self.training: views.Source = self._views
        self.validation: views.Source = views.plain(job.validation.pictures, recipe.input_size)
        self._kept: list[Features] = []
        unfreeze(model, stage.trainable)
        self.rest = model
        parts = cut(model, stage.trainable)
        if parts is not None and isinstance(job.training, Packed):
            # Streamed pictures run through the whole network, whose frozen part drops nothing all the same.
            self.rest = joined(parts)
        elif parts is not None:
            self.rest, forward = parts.rest, forward_of(model, parts)
            if stage.views is None:
                cache = replace(cache, most=0)
            self._kept = [Features(parts, source, cache, forward, say) for source in (self.training, self.validation)]
            self.training, self.validation = self._kept
        # What frozen layers make is computed and kept in one place, by one thread.
        self._threads = 1 if self._kept else threads()
        # Before it is compiled, for a copy would need to know the loss by name.
        self._judge = twin(self.rest)
        prepare(self.rest, recipe, job.plan, stage, job.steps)
        model.optimizer = self.rest.optimizer

    def epoch(self, epoch: int) -> dict[str, float]:
        """Train one epoch and validate; returns a row of `history.csv`."""
        import keras

        job = self._job
        wall, cpu = time.perf_counter(), time.process_time()
        reseed(self.model, job.plan.seed, epoch)
        rate = float(np.asarray(keras.ops.convert_to_numpy(self.rest.optimizer.learning_rate)))
        verbose, callbacks = progress.within(epoch, job.steps, self._say)
        with whole(job.training):
            logs = self.rest.fit(
                self._batches(epoch),
                epochs=epoch + 1,
                initial_epoch=epoch,
                shuffle=False,
                verbose=verbose,
                callbacks=callbacks,
            ).history
        with alone():
            if self._judge is not self.rest:
                self._judge.set_weights(self.rest.get_weights())
            found = evaluate_views(self._judge, self.validation, job.validation.labels, beside=self._threads)
        for features in self._kept:
            features.keep()
        row = {
            "epoch": epoch + 1,
            "loss": logs["loss"][0],
            "accuracy": logs["accuracy"][0],
            "val_loss": found.loss,
            "val_accuracy": found.accuracy,
            "learning_rate": rate,
            "seconds": time.perf_counter() - wall,
            "cpu_seconds": time.process_time() - cpu,
        }
        if "cross_entropy" in logs:
            row |= {"cross_entropy": logs["cross_entropy"][0], "l2": logs["loss"][0] - logs["cross_entropy"][0]}
        # As many digits as history.csv keeps, so that a resumed training ends with the same card.
        return {key: float(f"{value:.6g}") for key, value in row.items()}

    def _batches(self, epoch: int) -> Any:
        job = self._job
        size, pictures = job.recipe.batch_size, job.training
        if isinstance(pictures, Packed):
            return pictures.batches(self._views, size, job.steps, epoch)
        return fed(batches_of(self.training, pictures.labels, size, job.steps, job.plan.seed, epoch, self._threads))


def reseed(model: Any, seed: int, epoch: int) -> None:
    """Set every dropout's generator from (seed, epoch), so that a resumed epoch drops what it would have."""
    for index, layer in enumerate(model.layers):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(np.array([(seed * 1000 + epoch) % 2**32, index], dtype="uint32"))
