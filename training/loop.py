"""Train one run of a recipe, epoch by epoch, so that a kill loses at most the epoch under way."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from models import Card, save
from models.graphs import build
from training import data, state, views
from training.evaluate import evaluate
from training.recipe import Plan, Recipe, Stage, TrainingError
from training.start import start


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

    Returns:
        The card, as written.

    Raises:
        TrainingError: if data, weights or the state file are not usable, or the disk is full.
    """
    import keras

    if not 0 <= plan.seed < 2**32:
        raise TrainingError(f"A seed is a whole number from 0 to 4294967295, and {plan.seed} is not.")
    recipe = replace(recipe, batch_size=plan.batch_size or recipe.batch_size)
    stages = _shorten(recipe.stages, epochs)
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
    settings = _settings(recipe, run, plan, stages, steps, training, base)
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not resume:
            state.clear(out)
        history = _run_stages(model, recipe, plan, stages, steps, training, validation, out, settings, say)
        return _finish(
            model, recipe, run, plan, stages, steps, training, validation, out, history, base, source, weights, say
        )
    except OSError as error:
        state.clear_unfinished(out)
        # HDF5 gives its whole log as the reason, so the number decides.
        reason = os.strerror(error.errno) if error.errno else "input/output error"
        raise TrainingError(
            f"{out} cannot be written ({reason}); what was saved before is kept, and --resume goes on from there."
        ) from error


def _settings(
    recipe: Recipe, run: str, plan: Plan, stages: tuple[Stage, ...], steps: int, training: data.Split, base: dict
) -> dict[str, Any]:
    """Everything that must be the same for a training to go on as if it had not stopped."""
    chosen = plan.optimizer
    return {
        "run": f"{recipe.task}/{run}",
        "optimizer": [chosen.name, chosen.rate, dict(chosen.options), chosen.schedule, recipe.warmup],
        "seed": plan.seed,
        "number of epochs": [vars(stage) for stage in stages],
        "number of steps": [steps, recipe.batch_size],
        "augmentation": vars(recipe.augmentation),
        "input size": [recipe.input_size, recipe.source_size, recipe.fit],
        "head": [recipe.units, recipe.dropout, recipe.head_norm, recipe.label_smoothing],
        "data set": training.sha256,
        "file of base weights": base.get("sha256", base["name"]),
    }


def _run_stages(
    model: Any,
    recipe: Recipe,
    plan: Plan,
    stages: tuple[Stage, ...],
    steps: int,
    training: data.Split,
    validation: data.Split,
    out: Path,
    settings: dict[str, Any],
    say: Callable[[str], None],
) -> list[dict[str, float]]:
    """Train the epochs that no state has yet; returns the history of all."""
    total = sum(stage.epochs for stage in stages)
    done = state.last(out)
    history = state.read_history(out, done)
    if done:
        state.check(out, done, settings)
    if done == total:
        state.load(model, out, done, weights_only=True)
    first = 0
    for stage in stages:
        last = first + stage.epochs
        if done < last:
            _unfreeze(model, stage.trainable)
            _compile(model, recipe, plan, stage, steps)
            if done and first <= done:
                state.load(model, out, done, weights_only=first == done)
            for epoch in range(max(first, done), last):
                history.append(_epoch(model, recipe, plan, epoch, steps, training, validation))
                state.write_history(out, history)
                state.save(model, out, epoch + 1, settings)
                say(_progress(history, total))
        first = last
    return history


def _epoch(
    model: Any, recipe: Recipe, plan: Plan, epoch: int, steps: int, training: data.Split, validation: data.Split
) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    reseed(model, plan.seed, epoch)
    batches = pictures(training, recipe, plan.seed, epoch, steps)
    rate = float(np.asarray(model.optimizer.learning_rate))
    logs = model.fit(
        batches, epochs=epoch + 1, initial_epoch=epoch, shuffle=False, verbose=1 if os.isatty(1) else 0
    ).history
    found = evaluate(model, validation, recipe)
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


def pictures(split: data.Split, recipe: Recipe, seed: int, epoch: int, steps: int) -> Any:
    """The batches of one epoch as a Keras data set, the same for every optimizer.

    With fewer steps than one pass, an epoch is the beginning of its own random order.
    """
    import keras

    one_pass = steps == -(-len(split) // recipe.batch_size)
    order = np.resize(views.order(len(split), seed, epoch), len(split) if one_pass else steps * recipe.batch_size)

    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return -(-len(order) // recipe.batch_size)

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            chosen = order[index * recipe.batch_size :][: recipe.batch_size]
            seen = views.views(split.pictures, chosen, recipe.augmentation, recipe.input_size, seed, epoch)
            return seen.astype("float32"), split.labels[chosen]

    return Batches(workers=1)


def reseed(model: Any, seed: int, epoch: int) -> None:
    """Set every dropout's generator from (seed, epoch), so that a resumed epoch drops what it would have."""
    for index, layer in enumerate(model.layers):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(np.array([(seed * 1000 + epoch) % 2**32, index], dtype="uint32"))


def _unfreeze(model: Any, trainable: str) -> None:
    """Train the head and whole blocks from `trainable` on; BatchNorm of the backbone stays frozen."""
    import keras

    names = [layer.name for layer in model.layers]
    pool = names.index("pool")
    starts = {"all": 0, "head": pool}
    first = starts.get(trainable)
    if first is None:
        first = next((i for i, name in enumerate(names) if name.startswith(f"block{trainable}")), None)
    if first is None:
        raise TrainingError(f"{model.name} has no block {trainable!r} to train from.")
    for index, layer in enumerate(model.layers):
        frozen_norm = index < pool and isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = index >= first and not frozen_norm


def _compile(model: Any, recipe: Recipe, plan: Plan, stage: Stage, steps: int) -> None:
    import keras

    chosen = plan.optimizer
    peak = chosen.rate * stage.rate
    total = steps * stage.epochs
    rate: Any = peak
    if chosen.schedule == "cosine":
        warmup = max(1, round(total * recipe.warmup))
        falling = max(1, total - warmup)
        rate = keras.optimizers.schedules.CosineDecay(0.0, falling, warmup_target=peak, warmup_steps=warmup)
    optimizer = getattr(keras.optimizers, chosen.name)(learning_rate=rate, **chosen.options)
    if recipe.units == 1:
        loss: Any = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
        accuracy: Any = keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    optimizer.build(model.trainable_variables)
    model.compile(optimizer=optimizer, loss=loss, metrics=[accuracy], jit_compile=False)


def _shorten(stages: tuple[Stage, ...], epochs: int | None) -> tuple[Stage, ...]:
    if epochs is None:
        return stages
    if epochs < 1:
        raise TrainingError("A training has at least one epoch.")
    kept = []
    for stage in stages:
        count = min(stage.epochs, epochs) if stage is not stages[-1] else epochs
        if count:
            kept.append(Stage(count, stage.trainable, stage.rate))
        epochs -= count
    return tuple(kept)


def _progress(history: list[dict[str, float]], total: int) -> str:
    row = history[-1]
    left = (total - len(history)) * row["seconds"]
    return (
        f"epoch {len(history)} of {total}: loss {row['loss']:.4f}, accuracy {row['accuracy']:.4f}, validation "
        f"{row['val_accuracy']:.4f} (loss {row['val_loss']:.4f}), {left / 60:.0f} min left"
    )


def _finish(
    model: Any,
    recipe: Recipe,
    run: str,
    plan: Plan,
    stages: tuple[Stage, ...],
    steps: int,
    training: data.Split,
    validation: data.Split,
    out: Path,
    history: list[dict[str, float]],
    base: dict[str, str],
    source: str,
    weights: str,
    say: Callable[[str], None],
) -> Card:
    found = evaluate(model, validation, recipe)
    chosen = plan.optimizer
    best = {
        "accuracy": max(row["accuracy"] for row in history),
        "loss": min(row["loss"] for row in history),
        "val_accuracy": max(row["val_accuracy"] for row in history),
        "val_loss": min(row["val_loss"] for row in history),
    }
    why = "best validation loss of the rates tried, see assets/studies" if chosen.tried else "the study's own"
    card = Card(
        task=recipe.task,
        run=run,
        architecture=recipe.architecture,
        labels=recipe.labels,
        input_size=recipe.input_size,
        units=recipe.units,
        head={"dropout": recipe.dropout, "head_norm": recipe.head_norm},
        preprocessing={
            "pixels": "0..255",
            "fit": recipe.fit,
            "source_size": recipe.source_size,
            "interpolation": "antialiased bilinear",
        },
        base_weights=base,
        optimizer={"name": chosen.name, "learning_rate": chosen.rate, **chosen.options, "schedule": chosen.schedule},
        training={
            "batch_size": recipe.batch_size,
            "steps_per_epoch": steps,
            "stages": [vars(s) for s in stages],
            "warmup": recipe.warmup,
            "augmentation": vars(recipe.augmentation),
            "label_smoothing": recipe.label_smoothing,
            "rates_tried": list(chosen.tried),
            "why_this_rate": why,
            "batch_norm": "frozen",
        },
        data={
            "hub": recipe.hub,
            "train": {"sha256": training.sha256, "n": len(training), "skipped": len(training.skipped)},
            "validation": {"sha256": validation.sha256, "n": len(validation), "skipped": len(validation.skipped)},
        },
        seed=plan.seed,
        epochs=len(history),
        seconds=round(sum(row["seconds"] for row in history), 1),
        cpu_seconds=round(sum(row["cpu_seconds"] for row in history), 1),
        machine=machine(),
        results={"validation": found.summary(), "best": best},
        command=f"python -m training train {recipe.task}/{run} --data DATA --weights "
        f"{weights if weights == 'imagenet' else Path(weights).name} --seed {plan.seed}"
        + (f" --epochs {len(history)}" if stages != recipe.stages else ""),
    )
    card = save(model, card, out)
    state.clear(out)
    say(f"{card.name}: validation accuracy {found.accuracy:.4f}, written to {out}")
    return card


def machine() -> str:
    """One line on what this runs on."""
    import keras

    return (
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}, "
        f"keras {keras.__version__} on {keras.backend.backend()}"
    )
