"""The card of a training that is done."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models import Card
from training import data, stretches
from training.job import Job
from training.records import Packed


def card_of(job: Job, history: list[dict[str, float]], ran: Sequence[dict[str, Any]]) -> Card:
    """The card of a job with this history and where it ran; what its weights come to is found when they are saved."""
    recipe, plan = job.recipe, job.plan
    chosen = plan.optimizer
    best = {
        "accuracy": max(row["accuracy"] for row in history),
        "loss": min(row["loss"] for row in history),
        "val_accuracy": max(row["val_accuracy"] for row in history),
        "val_loss": min(row["val_loss"] for row in history),
    }
    why = "best validation loss of the rates tried, see assets/studies" if chosen.tried else "not tuned"
    return Card(
        task=recipe.task,
        run=job.run,
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
        base_weights=job.base,
        optimizer={"name": chosen.name, "learning_rate": chosen.rate, **chosen.options, "schedule": chosen.schedule},
        training={
            "batch_size": recipe.batch_size,
            "steps_per_epoch": job.steps,
            "stages": [stage.facts for stage in job.stages],
            "warmup": recipe.warmup,
            "augmentation": recipe.augmentation.facts,
            "label_smoothing": recipe.label_smoothing,
            "l2": recipe.l2,
            "rates_tried": list(chosen.tried),
            "why_this_rate": why,
            "batch_norm": "trained" if job.stages[0].trainable == "scratch" else "frozen",
            "precision": stretches.precision(ran),
        },
        data={
            **({"hub": recipe.hub} if recipe.hub else {}),
            "shares": dict(recipe.shares),
            "subset": recipe.subset,
            "train": _facts(job.training),
            "validation": _facts(job.validation),
        },
        seed=plan.seed,
        epochs=len(history),
        seconds=round(sum(row["seconds"] for row in history), 1),
        cpu_seconds=round(sum(row["cpu_seconds"] for row in history), 1),
        machine=stretches.machines(ran),
        results={"best": best},
        command=f"python -m training train {recipe.task}/{job.run} --data DATA --weights "
        f"{job.weights if job.weights == 'imagenet' else Path(job.weights).name} --seed {plan.seed}"
        + (f" --epochs {len(history)}" if job.stages != recipe.stages else "")
        + stretches.flags(ran),
    )


def _facts(split: data.Split | Packed) -> dict[str, str | int]:
    return {"sha256": split.sha256, "n": len(split), "skipped": len(split.skipped)}
