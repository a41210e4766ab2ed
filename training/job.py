"""One training as it was asked for, with its data: what the loop, the state and the card go by."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training import data
from training.recipe import Plan, Recipe, Stage, TrainingError
from training.records import Packed


@dataclass(frozen=True)
class Job:
    """What is trained, on what, and where it goes.

    Attributes:
        recipe, run, plan: what to train; the recipe's batch is that of the plan.
        stages: the recipe's, or the beginning of them for a trial.
        steps: an epoch.
        training, validation: the pictures; those to train on may be streamed.
        base: what the card says of the base weights.
        weights: what was asked for as base weights.
        out: the checkpoint folder.
        mixed: whether layers compute in bfloat16.
    """

    recipe: Recipe
    run: str
    plan: Plan
    stages: tuple[Stage, ...]
    steps: int
    training: data.Split | Packed
    validation: data.Split
    base: dict[str, str]
    weights: str
    out: Path
    mixed: bool = False

    @property
    def epochs(self) -> int:
        """Epochs of all stages together."""
        return sum(stage.epochs for stage in self.stages)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that must be the same for a training to go on.

        Not the machine and not the precision, which somebody may have to change on the way: the card says which was
        whose.
        """
        recipe, chosen = self.recipe, self.plan.optimizer
        return {
            "run": f"{recipe.task}/{self.run}",
            "optimizer": [chosen.name, chosen.rate, dict(chosen.options), chosen.schedule, recipe.warmup],
            "seed": self.plan.seed,
            "number of epochs": [stage.facts for stage in self.stages],
            "number of steps": [self.steps, recipe.batch_size],
            "augmentation": recipe.augmentation.facts,
            "input size": [recipe.input_size, recipe.source_size, recipe.fit],
            "head": [recipe.units, recipe.dropout, recipe.head_norm, recipe.label_smoothing],
            # Only where it is asked for, so that a training begun before it could be goes on.
            **({"L2": recipe.l2} if recipe.l2 else {}),
            "data set": self.training.sha256,
            "validation split": self.validation.sha256,
            # Their order is part of the order of the pictures, and from memory it is another.
            **(
                {"packing of the pictures": [Path(file).name for file in self.training.files]}
                if isinstance(self.training, Packed)
                else {}
            ),
            "file of base weights": self.base.get("sha256", self.base["name"]),
        }


def shorten(stages: tuple[Stage, ...], epochs: int | None) -> tuple[Stage, ...]:
    """The stages of a training that stops after so many epochs; the last stage may also become longer.

    Raises:
        TrainingError: if no epoch is left.
    """
    if epochs is None:
        return stages
    if epochs < 1:
        raise TrainingError("A training has at least one epoch.")
    kept = []
    for stage in stages:
        count = min(stage.epochs, epochs) if stage is not stages[-1] else epochs
        if count:
            kept.append(replace(stage, epochs=count))
        epochs -= count
    return tuple(kept)
