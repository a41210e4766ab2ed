"""`python -m benchmarks training`: the processor time to a validation accuracy, against Keras' fine-tuning tutorial.

Both start from the same weights, see the same decoded photographs at the same size and are judged on the same
validation split after each epoch, in this process, one after the other. Counted are the CPU-seconds of everything
from the built network and the decoded photographs on: tracing, compiling, augmentation, training, validation. Ours
trains the head on features that are computed once for each of a few augmented views.
"""

import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import fine_tuning, machine, study
from benchmarks.errors import BenchmarkError

STUDY = Path(__file__).parents[1] / "assets" / "studies" / "training_speed"
TASK = "cats_vs_dogs"
SEED = 0
EPOCHS, VIEWS, RATE = 30, 2, 0.003
"""Of our training: at most so many epochs, views of each photograph, and the rate of its Adam."""


def main(source: str | None, weights: str, target: float) -> int:
    """Measure both; returns the exit status.

    Raises:
        BenchmarkError: if either does not come as far in all its epochs, or data or weights cannot be had.
    """
    from training import recipes
    from training.loop import begin, load
    from training.recipe import Optimizer, Plan, Stage, TrainingError

    plan = Plan(Optimizer("Adam", RATE, schedule="constant"), seed=SEED)
    recipe = replace(
        recipes.find(TASK),
        stages=(Stage(EPOCHS, "head", views=VIEWS),),
        batch_size=fine_tuning.BATCH,
        plans={"speed": plan},
    )
    facts = machine.describe()
    try:
        training, validation = (
            load(source or f"hf://datasets/{recipe.hub}", split, recipe) for split in ("train", "validation")
        )
        start, _ = begin(recipe, plan, weights)
        tutorial = fine_tuning.build(start, len(recipe.labels))
        ways = {
            "Parallax: features of frozen layers kept": _ours(start, recipe, training, validation),
            "keras.io: fine-tuning tutorial": fine_tuning.epochs(tutorial, training, validation),
        }
        curves = [row for name, accuracies in ways.items() for row in _run(name, accuracies, target)]
    except TrainingError as error:
        raise BenchmarkError(str(error)) from error
    last = {row["recipe"]: row for row in curves}
    ours, theirs = (float(last[name]["cpu_seconds"]) for name in ways)
    rows = [row | {"times_ours": f"{cpu / ours:.1f}"} for row, cpu in zip(last.values(), (ours, theirs), strict=True)]
    study.write(STUDY / "curve.csv", curves)
    study.write(STUDY / "table.csv", rows)
    facts |= {
        "task": TASK,
        "target": target,
        "input_size": recipe.input_size,
        "train": {"n": len(training), "sha256": training.sha256},
        "validation": {"n": len(validation), "sha256": validation.sha256},
        "weights": Path(weights).name,
    }
    (STUDY / "machine.json").write_text(json.dumps(facts, indent=2) + "\n")
    return 0


def _run(name: str, accuracies: Iterable[float], target: float) -> Iterator[dict[str, str]]:
    """A row for each epoch until the target is reached."""
    wall, cpu = time.perf_counter(), time.process_time()
    for epoch, accuracy in enumerate(accuracies, 1):
        row = {
            "recipe": name,
            "epochs": str(epoch),
            "val_accuracy": f"{accuracy:.4f}",
            "cpu_seconds": f"{time.process_time() - cpu:.1f}",
            "seconds": f"{time.perf_counter() - wall:.1f}",
        }
        print("  ".join(row.values()), flush=True)
        yield row
        if accuracy >= target:
            return
    raise BenchmarkError(f"{name} does not reach a validation accuracy of {target}; ask for less with --target.")


def _ours(model: Any, recipe: Any, training: Any, validation: Any) -> Iterator[float]:
    """The validation accuracy after each epoch of our training."""
    from training.cache import Cache
    from training.job import Job
    from training.stages import Trained

    (stage,), plan = recipe.stages, recipe.plans["speed"]
    steps = -(-len(training) // recipe.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        job = Job(recipe, "speed", plan, recipe.stages, steps, training, validation, {}, "", Path(folder))
        trained = Trained(model, job, stage, Cache(Path(folder)), print)
        for epoch in range(stage.epochs):
            yield trained.epoch(epoch)["val_accuracy"]
