"""Train one run of a recipe, epoch by epoch, so that a kill loses at most the epoch under way."""

import math
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models import Card, save
from models.graphs import build
from training import data, progress, records, sources, state, stretches
from training.evaluate import evaluate
from training.freeze import unfreeze
from training.job import Job, shorten
from training.recipe import Diverged, Plan, Recipe, TrainingError
from training.setup import Setup
from training.stages import Trained
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
    setup: Setup | None = None,
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
        setup: how it runs on this machine.

    Returns:
        The card, as written.

    Raises:
        TrainingError: if data, weights or the state file are not usable, or the disk is full.
        Diverged: if the loss is not finite; what was saved before stays.
    """
    if not 0 <= plan.seed < 2**32:
        raise TrainingError(f"A seed is a whole number from 0 to 4294967295, and {plan.seed} is not.")
    recipe = sources.with_classes(recipe.of(plan), source)
    stages = shorten(recipe.stages, epochs)
    if resume and not state.last(out) and (out / "card.json").is_file():
        raise TrainingError(f"The training in {out} is finished; leave out --resume to train it again.")
    setup = setup or Setup()
    training = records.packed(source, "train", recipe) or load(source, "train", recipe)
    validation = load(source, "validation", recipe)
    data.warn_of_known(validation, set(training.digests))
    say(
        f"{recipe.task}/{run}: {len(training)} pictures to train on, {len(validation)} to validate, "
        f"{sum(stage.epochs for stage in stages)} epochs"
    )
    if stages[0].trainable == "scratch":
        weights = "random"
    steps = plan.steps or -(-len(training) // recipe.batch_size)
    board = progress.Board(setup.logs, f"{recipe.task}/{run}")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with setup():
            model, base = begin(recipe, plan, weights)
            job = Job(recipe, run, plan, stages, steps, training, validation, base, weights, out, setup.mixed)
            if not resume:
                # Only now: what was trained before is worth more than a command that cannot begin.
                state.clear(out)
            history, ran = _run_stages(model, job, setup, board, say)
        card = save(
            model,
            card_of(job, history, ran),
            out,
            lambda kept: {"validation": evaluate(kept, validation, recipe).summary()},
        )
    except OSError as error:
        state.clear_unfinished(out)
        # HDF5 gives its whole log as the reason, so the number decides.
        reason = os.strerror(error.errno) if error.errno else "input/output error"
        raise TrainingError(
            f"{out} cannot be written ({reason}); what was saved before is kept, and --resume goes on from there."
        ) from error
    state.finish(out)
    say(f"{card.name}: validation accuracy {card.results['validation']['accuracy']:.4f}")
    return card


def load(source: str, split: str, recipe: Recipe) -> data.Split:
    """A split as a recipe wants it, see `training.data.load`."""
    size = recipe.source_size or recipe.input_size
    return data.load(source, split, recipe.labels, size, recipe.fit, shares=recipe.shares, subset=recipe.subset)


def begin(recipe: Recipe, plan: Plan, weights: str) -> tuple[Any, dict[str, str]]:
    """The network that the first epoch starts from, and what the card says of its base weights."""
    # What Keras draws, it draws from Python's generator; its own function for this would import TensorFlow as well.
    random.seed(plan.seed)
    model = build(recipe.architecture, recipe.input_size, recipe.units, recipe.dropout, recipe.head_norm)
    return model, start(model, recipe.architecture, weights)


def _run_stages(
    model: Any, job: Job, setup: Setup, board: progress.Board, say: Callable[[str], None]
) -> tuple[list[dict[str, float]], list[dict[str, Any]]]:
    """Train the epochs that no state has yet; returns the history of all, and where they ran."""
    for stage in job.stages:
        # A block that the network lacks is told before hours go into the stages before it.
        unfreeze(model, stage.trainable)
    done = state.last(job.out)
    history = state.read_history(job.out, done)
    ran = state.check(job.out, done, job.settings) if done else []
    if done < job.epochs and (sentence := stretches.changed(ran, job)):
        say(sentence)
    if done == job.epochs:
        state.load(model, job.out, done, weights_only=True)
    first = 0
    for stage in job.stages:
        last = first + stage.epochs
        if done < last:
            if done and first <= done:
                state.load(model, job.out, done, weights_only=True)
            trained = Trained(model, job, stage, setup.cache, say)
            if first < done:
                state.load(model, job.out, done)
            for epoch in range(max(first, done), last):
                history.append(trained.epoch(epoch))
                _require_finite(history, job)
                state.write_history(job.out, history)
                ran = stretches.lengthen(ran, job)
                state.save(model, job.out, epoch + 1, job.settings, ran)
                board.write(history[-1])
                say(progress.line(history, last, job.epochs))
        first = last
    return history, ran


def _require_finite(history: list[dict[str, float]], job: Job) -> None:
    if not all(math.isfinite(history[-1][name]) for name in ("loss", "val_loss")):
        raise Diverged(
            f"{job.recipe.task}/{job.run} diverged in epoch {len(history)}: its loss is not finite. "
            f"A learning rate below {job.plan.optimizer.rate:g} may help."
        )
