"""What the About page says of the runs, and what their cards say."""

import pytest

from ui import about, runs

PAIRS = [task for task in runs.tasks() if {f"{task}/sgd", f"{task}/adam"} <= set(runs.runs_of(task))]


@pytest.mark.parametrize("task", PAIRS)
def test_what_else_differs_between_the_two_is_said(task):
    sgd, adam = (runs.cards()[f"{task}/{run}"].optimizer for run in ("sgd", "adam"))
    differs = {key for key in sgd | adam if sgd.get(key) != adam.get(key)} - {"name", "learning_rate", "momentum"}
    assert (runs.task_title(task) in about.IDEA) == bool(differs)


@pytest.mark.parametrize("task", PAIRS)
def test_the_cells_of_the_top_are_told_for_each_size(task):
    side = runs.cards()[f"{task}/sgd"].input_size
    words = " ".join(about.MAPS.split())
    assert f"{side // 32} by {side // 32} in" in words
    assert str(side) in words
