"""Train many runs of a study, each in a process of its own, and write the study's table.

A run that is done is not trained again, and one that was stopped goes on after its last whole epoch, so the same
command goes on with a sweep that was stopped. Only cards and histories are kept, in
`assets/studies/<task>/runs/<run>/`: whoever wants a run's weights trains it by its name.
"""

import hashlib
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from models import Card, ModelError
from models.quiet import import_keras
from models.store import WEIGHTS
from training import progress, studies
from training.job import shorten
from training.recipe import Plan, Recipe, TrainingError
from training.sources import find, rows_of, with_classes
from training.start import weights_file


def sweep(
    recipe: Recipe,
    patterns: Sequence[str],
    source: str,
    weights: str,
    checkpoints: Path,
    out: Path,
    epochs: int | None = None,
    test: bool = False,
    say: Callable[[str], None] = print,
    train: Callable[..., None] | None = None,
) -> list[str]:
    """Train the runs whose names fit and that are not trained yet, then write the study.

    Args:
        recipe: the study.
        patterns: names of runs, with `*` for any part of a name; none for all runs.
        source: the data, see `training.data.load`.
        weights: as for `training.loop.train`.
        checkpoints: where runs with weights lie.
        out: the folder of all studies.
        epochs: stop each training after so many, for a trial.
        test: whether to evaluate each run on the test split too.
        say: where a line of progress goes.
        train: what trains one run; `in_a_process` by default.

    Returns:
        The runs that failed, each as a sentence; the others are trained all the same.

    Raises:
        TrainingError: if no run fits, or none could be trained.
    """
    wanted = chosen(recipe, patterns)
    failed = []
    for number, (run, plan) in enumerate(wanted.items(), 1):
        trained, place = studies.places_of(recipe.task, run, checkpoints, out)
        there = next((folder for folder in (trained, place) if (folder / "card.json").is_file()), None)
        if there:
            lacks = _lacks(Card.read(there / "card.json"), recipe.of(plan), epochs, test)
            hint = f", but {' and '.join(lacks)}; delete {there} to train it anew" if lacks else ""
            say(f"{number} of {len(wanted)}: {recipe.task}/{run} is there{hint}")
            continue
        say(f"{number} of {len(wanted)}: {recipe.task}/{run}")
        try:
            (train or in_a_process)(recipe, run, plan, source, weights, place, epochs, test)
        except (TrainingError, ModelError) as error:
            failed.append(f"{run}: {error}")
            say(failed[-1])
    if len(failed) == len(wanted):
        raise TrainingError(f"None of {len(wanted)} runs of {recipe.task} could be trained; the first: {failed[0]}")
    studies.write(recipe, checkpoints, out)
    return failed


def _lacks(card: Card, recipe: Recipe, epochs: int | None, test: bool) -> list[str]:
    """What a run that is there has otherwise than it is asked for now."""
    wanted = sum(stage.epochs for stage in shorten(recipe.stages, epochs))
    said = [f"with {card.epochs} epochs instead of {wanted}"] if card.epochs != wanted else []
    return [*said, "without a test"] if test and "test" not in card.results else said


def chosen(recipe: Recipe, patterns: Sequence[str]) -> dict[str, Plan]:
    """The plans whose names fit one of the patterns, in the recipe's order.

    Raises:
        TrainingError: if none fits.
    """
    plans = {
        run: plan for run, plan in recipe.plans.items() if not patterns or any(fnmatchcase(run, p) for p in patterns)
    }
    if not plans:
        raise TrainingError(
            f"No run of {recipe.task} is called {' or '.join(patterns)}: see `python -m training list {recipe.task}`."
        )
    return plans


def in_a_process(
    recipe: Recipe, run: str, plan: Plan, source: str, weights: str, place: Path, epochs: int | None, test: bool
) -> None:
    """Train one run in a new process, so that its memory is its own and a kill for memory ends nothing else.

    It ends with the process that began it, however that ends.

    Raises:
        TrainingError: if the training fails or its process ends.
    """
    # What no run can begin with takes no process for each of two hundred.
    shorten(recipe.of(plan).stages, epochs)
    find(source)
    weights_file(weights)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    asked = recipe, run, plan, source, weights, place, epochs, test
    process = context.Process(target=_child, args=(theirs, *asked), daemon=True)
    process.start()
    theirs.close()
    try:
        error = ours.recv()
    except EOFError:
        process.join()
        raise TrainingError(f"its process ended with status {process.exitcode}, perhaps for lack of memory.") from None
    process.join()
    if error:
        raise TrainingError(error)


def _child(pipe: Any, *asked: Any) -> None:
    # Ctrl-C reaches both: the process that began this one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    progress.log()
    import_keras()
    try:
        train_one(*asked)
    except (TrainingError, ModelError) as error:
        pipe.send(str(error))
    else:
        pipe.send(None)


def _end_with_parent() -> None:
    """End this process once the one that began it has ended, killed perhaps."""
    parent: Any = multiprocessing.parent_process()
    parent.join()
    os._exit(1)


def train_one(
    recipe: Recipe, run: str, plan: Plan, source: str, weights: str, place: Path, epochs: int | None, test: bool
) -> None:
    """Train one run in this process and leave its card, with the memory it took, and its history in `place`."""
    from training import state
    from training.loop import train
    from training.memory import peak

    if test:
        _require_test(source, recipe.of(plan))
    # Only a whole result bears the name that says it is done.
    working = place.with_name(f"{place.name}.unfinished")
    begun = state.last(working) > 0
    if begun or not all((working / name).is_file() for name in ("card.json", WEIGHTS)):
        try:
            card = train(recipe, run, plan, source, weights, working, epochs, resume=begun, say=_say)
        except TrainingError as error:
            hint = f" This went on with what is in {working}; without that folder the run begins anew."
            raise TrainingError(f"{error}{hint if begun else ''}") from error
        replace(card, training=card.training | {"memory_mb": round(peak() / 1e6)}).write(working / "card.json")
    if test:
        card = Card.read(working / "card.json")
        tested = _tested(working, source)
        replace(card, results=card.results | {"test": tested}).write(working / "card.json")
    (working / WEIGHTS).unlink()
    shutil.rmtree(place, ignore_errors=True)
    working.rename(place)


def _require_test(source: str, recipe: Recipe) -> None:
    """See that there is a test split before hours go into a training.

    Raises:
        TrainingError: if there is none.
    """
    recipe = with_classes(recipe, source)
    next(rows_of(source, "test", recipe.labels, hashlib.sha256(), recipe.shares, recipe.subset), None)


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


def _tested(folder: Path, source: str) -> dict[str, Any]:
    from models import load
    from training.evaluate import evaluate, load_for

    run = load(folder)
    pictures = load_for(run.card, source, "test")
    return evaluate(run.model, pictures, run.card).summary() | {"sha256": pictures.sha256}
