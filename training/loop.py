"""Train one run of a recipe, epoch by epoch, so that a kill loses at most the epoch under way."""

import csv
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from models import Card, save
from models.graphs import build
from models.store import sha256
from training import data, views
from training.evaluate import evaluate
from training.recipe import Plan, Recipe, Stage, TrainingError

HISTORY = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds", "cpu_seconds")


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

    stages = _shorten(recipe.stages, epochs)
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
    base = _start(model, recipe, weights)
    out.mkdir(parents=True, exist_ok=True)
    history = _read_history(out) if resume else []
    if not resume:
        for old in out.glob("state-*.weights.h5"):
            old.unlink()
    steps = plan.steps or -(-len(training) // recipe.batch_size)
    try:
        _run_stages(model, recipe, plan, stages, steps, training, validation, out, history, resume, say)
        return _finish(
            model, recipe, run, plan, stages, steps, training, validation, out, history, base, source, weights, say
        )
    except OSError as error:
        raise TrainingError(
            f"{out} cannot be written ({error.strerror or error}); what was saved before "
            "is kept, and --resume goes on from there."
        ) from error


def _run_stages(
    model: Any,
    recipe: Recipe,
    plan: Plan,
    stages: tuple[Stage, ...],
    steps: int,
    training: data.Split,
    validation: data.Split,
    out: Path,
    history: list[dict[str, float]],
    resume: bool,
    say: Callable[[str], None],
) -> None:
    total = sum(stage.epochs for stage in stages)
    done = _last_state(out) if resume else 0
    del history[done:]
    first = 0
    for stage in stages:
        last = first + stage.epochs
        if done < last:
            _unfreeze(model, stage.trainable)
            _compile(model, recipe, plan, stage, steps)
            if first < done:
                _load_state(model, out, done)
            elif done == first and done:
                _load_state(model, out, done, weights_only=True)
            for epoch in range(max(first, done), last):
                history.append(_epoch(model, recipe, plan, epoch, steps, training, validation))
                _save_state(model, out, epoch + 1)
                _write_history(out, history)
                say(_progress(history, total))
        first = last


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
    return {
        "epoch": epoch + 1,
        "loss": logs["loss"][0],
        "accuracy": logs["accuracy"][0],
        "val_loss": found.loss,
        "val_accuracy": found.accuracy,
        "learning_rate": rate,
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
    }


def pictures(split: data.Split, recipe: Recipe, seed: int, epoch: int, steps: int) -> Any:
    """The batches of one epoch as a Keras data set, the same for every optimizer.

    With fewer steps than one pass, an epoch is the beginning of its own random order.
    """
    import keras

    order = views.order(len(split), seed, epoch)
    order = np.resize(order, min(steps * recipe.batch_size, max(len(split), steps * recipe.batch_size)))
    order = order[: len(split)] if steps == -(-len(split) // recipe.batch_size) else order

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
            generator.state.assign(np.array([seed * 1000 + epoch, index], dtype="uint32"))


def _start(model: Any, recipe: Recipe, weights: str) -> dict[str, str]:
    """Load the backbone's weights; returns what the card says of them."""
    import keras

    if weights == "imagenet":
        network = getattr(keras.applications, recipe.architecture)
        shape = (recipe.input_size, recipe.input_size, 3)
        donor = network(include_top=False, weights="imagenet", input_shape=shape)
        by_name = {layer.name: layer for layer in model.layers}
        for layer in donor.layers:
            # Keras' own ImageNet graph scales once more than ours; its Rescaling layers hold no weights.
            if layer.name in by_name and layer.weights and "normalization" not in layer.name:
                by_name[layer.name].set_weights(layer.get_weights())
        normalization = next((la for la in model.layers if isinstance(la, keras.layers.Normalization)), None)
        if normalization is not None:
            mean, variance = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]) ** 2
            normalization.set_weights([mean, variance, np.array(0)])
            normalization.finalize_state()
        return {"name": "imagenet", "source": f"keras {keras.__version__}"}
    from models.graphs import backbone_of

    file = Path(weights)
    if not file.is_file():
        raise TrainingError(f"There is no weights file {weights}.")
    try:
        backbone_of(model).load_weights(file)
    except Exception as error:
        raise TrainingError(
            f"{file.name} does not hold the weights of {recipe.architecture} without its head."
        ) from error
    return {"name": file.name, "sha256": sha256(file)}


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
        rate = keras.optimizers.schedules.CosineDecay(0.0, total - warmup, warmup_target=peak, warmup_steps=warmup)
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


def _state(out: Path, epoch: int) -> Path:
    return out / f"state-{epoch:03d}.weights.h5"


def _last_state(out: Path) -> int:
    return max((int(file.name.split("-")[1].split(".")[0]) for file in out.glob("state-*.weights.h5")), default=0)


def _save_state(model: Any, out: Path, epoch: int) -> None:
    """Weights and optimizer after an epoch; the file's name appears only when it is whole."""
    unfinished = out / "unfinished.weights.h5"
    model.save_weights(unfinished)
    unfinished.replace(_state(out, epoch))
    if epoch > 1:
        _state(out, epoch - 1).unlink(missing_ok=True)


def _load_state(model: Any, out: Path, epoch: int, weights_only: bool = False) -> None:
    optimizer = model.optimizer
    try:
        if weights_only:
            model.optimizer = None
        model.load_weights(_state(out, epoch))
    except Exception as error:
        raise TrainingError(f"{_state(out, epoch)} is damaged; train again without --resume.") from error
    finally:
        model.optimizer = optimizer


def _read_history(out: Path) -> list[dict[str, float]]:
    file = out / "history.csv"
    if not file.is_file():
        return []
    with file.open(newline="") as rows:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(rows)]


def _write_history(out: Path, history: list[dict[str, float]]) -> None:
    unfinished = out / "unfinished.csv"
    with unfinished.open("w", newline="") as file:
        writer = csv.DictWriter(file, HISTORY)
        writer.writeheader()
        for row in history:
            writer.writerow({key: int(row[key]) if key == "epoch" else f"{row[key]:.6g}" for key in HISTORY})
    unfinished.replace(out / "history.csv")


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
            "train": {"sha256": training.sha256, "n": len(training)},
            "validation": {"sha256": validation.sha256, "n": len(validation)},
        },
        seed=plan.seed,
        epochs=len(history),
        seconds=round(sum(row["seconds"] for row in history), 1),
        cpu_seconds=round(sum(row["cpu_seconds"] for row in history), 1),
        machine=machine(),
        results={"validation": found.summary(), "best": best},
        command=f"python -m training train {recipe.task}/{run} --data DATA --weights "
        f"{weights if weights == 'imagenet' else Path(weights).name} --seed {plan.seed}",
    )
    card = save(model, card, out)
    for state in out.glob("state-*.weights.h5"):
        state.unlink()
    say(f"{card.name}: validation accuracy {found.accuracy:.4f}, written to {out}")
    return card


def machine() -> str:
    """One line on what this runs on."""
    import keras

    return (
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}, "
        f"keras {keras.__version__} on {keras.backend.backend()}"
    )
