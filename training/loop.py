"""Train one run of a recipe, epoch by epoch, so that a kill loses at most the epoch under way."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from models import Card, save
from models.graphs import build
from training import data, state, views
from training.batches import batches_of
from training.evaluate import evaluate, evaluate_views
from training.features import Cache, Features, forward_of
from training.freeze import cut, unfreeze
from training.job import Job, shorten
from training.objective import prepare
from training.recipe import Plan, Recipe, Stage, TrainingError
from training.start import start
from training.summary import card_of


def train(
    recipe: Recipe,
    run: str,
    plan: Plan,
    source: str,
    weights: str,
    out: Path,
    epochs: int | None = None,
    resume: bool = False,
    say: Callable[[str], None] = print,
    cache: Cache | None = None,
) -> Card:
    """Train a run and write its checkpoint folder.

    Args:
        recipe, run, plan: what to train; `plan.seed` decides all that is random.
        source: the data, see `training.data.load`.
        weights: `imagenet` (Keras' own) or a file for the backbone.
        out: the checkpoint folder; a state file lies there until the training is done.
        epochs: stop after so many, for a trial; the schedule is then that of the shorter training.
        resume: go on from the state file.
        say: where a line of progress goes.
        cache: where the output of frozen layers is kept, see `training.features`.

    Returns:
        The card, as written.

    Raises:
        TrainingError: if data, weights or the state file are not usable, or the disk is full.
    """
    import keras

    if not 0 <= plan.seed < 2**32:
        raise TrainingError(f"A seed is a whole number from 0 to 4294967295, and {plan.seed} is not.")
    recipe = replace(recipe, batch_size=plan.batch_size or recipe.batch_size)
    stages = shorten(recipe.stages, epochs)
    if resume and not state.last(out) and (out / "card.json").is_file():
        raise TrainingError(f"The training in {out} is finished; leave out --resume to train it again.")
    size = recipe.source_size or recipe.input_size
    training, validation = (
        data.load(source, split, recipe.labels, size, recipe.fit) for split in ("train", "validation")
    )
    say(
        f"{recipe.task}/{run}: {len(training)} pictures to train on, {len(validation)} to validate, "
        f"{sum(stage.epochs for stage in stages)} epochs"
    )
    keras.utils.set_random_seed(plan.seed)
    model = build(recipe.architecture, recipe.input_size, recipe.units, recipe.dropout, recipe.head_norm)
    base = start(model, recipe.architecture, weights)
    steps = plan.steps or -(-len(training) // recipe.batch_size)
    job = Job(recipe, run, plan, stages, steps, training, validation, base, weights, out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not resume:
            state.clear(out)
        history = _run_stages(model, job, cache or Cache(), say)
        found = evaluate(model, validation, recipe)
        card = save(model, card_of(job, history, found), out)
    except OSError as error:
        state.clear_unfinished(out)
        # HDF5 gives its whole log as the reason, so the number decides.
        reason = os.strerror(error.errno) if error.errno else "input/output error"
        raise TrainingError(
            f"{out} cannot be written ({reason}); what was saved before is kept, and --resume goes on from there."
        ) from error
    state.clear(out)
    say(f"{card.name}: validation accuracy {found.accuracy:.4f}, written to {out}")
    return card


def _run_stages(model: Any, job: Job, cache: Cache, say: Callable[[str], None]) -> list[dict[str, float]]:
    """Train the epochs that no state has yet; returns the history of all."""
    done = state.last(job.out)
    history = state.read_history(job.out, done)
    if done:
        state.check(job.out, done, job.settings)
    if done == job.epochs:
        state.load(model, job.out, done, weights_only=True)
    first = 0
    for stage in job.stages:
        last = first + stage.epochs
        if done < last:
            if done and first <= done:
                state.load(model, job.out, done, weights_only=True)
            trained = Trained(model, job, stage, cache, say)
            if first < done:
                state.load(model, job.out, done)
            for epoch in range(max(first, done), last):
                history.append(trained.epoch(epoch))
                state.write_history(job.out, history)
                state.save(model, job.out, epoch + 1, job.settings)
                say(_progress(history, job.epochs))
        first = last
    return history


class Trained:
    """A network as one stage trains it: what is frozen runs apart, and only once where views are bounded.

    Attributes:
        model: the whole, with the optimizer of the rest, so that a state holds both.
        rest: the part that is trained, compiled; the whole where nothing is frozen.
        training, validation: what the part is fed with.
    """

    def __init__(self, model: Any, job: Job, stage: Stage, cache: Cache, say: Callable[[str], None]):
        recipe, seed = job.recipe, job.plan.seed
        self.model, self._job = model, job
        self.training: views.Source = views.Views(
            job.training.pictures, recipe.augmentation, recipe.input_size, seed, stage.views
        )
        self.validation: views.Source = views.plain(job.validation.pictures, recipe.input_size)
        self._kept: list[Features] = []
        unfreeze(model, stage.trainable)
        self.rest = model
        parts = cut(model, stage.trainable)
        if parts is not None:
            self.rest, forward = parts.rest, forward_of(model, parts)
            if stage.views is None:
                cache = replace(cache, most=0)
            self._kept = [Features(parts, source, cache, forward, say) for source in (self.training, self.validation)]
            self.training, self.validation = self._kept
        prepare(self.rest, recipe, job.plan, stage, job.steps)
        model.optimizer = self.rest.optimizer

    def epoch(self, epoch: int) -> dict[str, float]:
        """Train one epoch and validate; returns a row of `history.csv`."""
        job = self._job
        wall, cpu = time.perf_counter(), time.process_time()
        reseed(self.model, job.plan.seed, epoch)
        batches = batches_of(self.training, job.training.labels, job.recipe.batch_size, job.steps, job.plan.seed, epoch)
        rate = float(np.asarray(self.rest.optimizer.learning_rate))
        logs = self.rest.fit(
            batches, epochs=epoch + 1, initial_epoch=epoch, shuffle=False, verbose=1 if os.isatty(1) else 0
        ).history
        found = evaluate_views(self.rest, self.validation, job.validation.labels)
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
        # As many digits as history.csv keeps, so that a resumed training ends with the same card.
        return {key: float(f"{value:.6g}") for key, value in row.items()}


def reseed(model: Any, seed: int, epoch: int) -> None:
    """Set every dropout's generator from (seed, epoch), so that a resumed epoch drops what it would have."""
    for index, layer in enumerate(model.layers):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(np.array([(seed * 1000 + epoch) % 2**32, index], dtype="uint32"))


def _progress(history: list[dict[str, float]], total: int) -> str:
    row = history[-1]
    left = (total - len(history)) * row["seconds"]
    return (
        f"epoch {len(history)} of {total}: loss {row['loss']:.4f}, accuracy {row['accuracy']:.4f}, validation "
        f"{row['val_accuracy']:.4f} (loss {row['val_loss']:.4f}), {left / 60:.0f} min left"
    )
