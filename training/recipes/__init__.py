"""The studies, one file each, with their hyperparameters in one frozen table named RECIPE."""

import inspect
import pkgutil
from importlib import import_module

from training.recipe import Plan, Recipe, TrainingError


def names() -> list[str]:
    """The tasks that have a recipe."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(task: str) -> Recipe:
    """The recipe of a task.

    Raises:
        TrainingError: if there is none.
    """
    if task not in names():
        raise TrainingError(f"There is no recipe for {task!r}; the recipes here are: {', '.join(names())}.")
    return import_module(f"{__name__}.{task}").RECIPE


def describe(task: str) -> str:
    """What the file of a recipe says of it.

    Raises:
        TrainingError: if there is none.
    """
    find(task)
    return inspect.getdoc(import_module(f"{__name__}.{task}")) or ""


def find_plan(name: str) -> tuple[Recipe, str, Plan]:
    """The recipe, the run's own name and its plan, from `<task>/<run>`.

    Raises:
        TrainingError: if the name has another form, or no such task or run exists.
    """
    task, slash, run = name.partition("/")
    if not slash:
        raise TrainingError(f"A training is named TASK/RUN, for example cats_vs_dogs/adam; {name!r} is not.")
    recipe = find(task)
    if run not in recipe.plans:
        raise TrainingError(f"{task} has no run called {run!r}; it has: {', '.join(recipe.plans)}.")
    return recipe, run, recipe.plans[run]
