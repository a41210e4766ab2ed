"""The rate with the lowest validation loss is chosen, and none is tried twice."""

import shutil
from dataclasses import dataclass, replace

import pytest

from models import Card
from tests.training import studies
from training import tables
from training import tune as tuning
from training.recipe import Diverged, Stage, TrainingError
from training.tables import read
from training.tune import data_of, tune

LOSSES = {0.01: 0.2, 0.001: 0.5}


@pytest.fixture
def trials(tmp_path, monkeypatch):
    """The trainings that were asked for, as (optimizer, rate, epochs, steps), none of them done."""
    asked = []

    def train(recipe, run, plan, source, weights, out, epochs, say, setup):
        asked.append((plan.optimizer.name, plan.optimizer.rate, epochs, plan.steps))
        if plan.optimizer.rate == 0.1:
            raise Diverged("its loss is not finite.")
        found = {"accuracy": 0.5, "loss": LOSSES[plan.optimizer.rate] / epochs}
        return Card(recipe.task, run, "TinyNet", studies.LABELS, 32, 1, results={"validation": found})

    monkeypatch.setattr(tuning, "train", train)
    monkeypatch.setattr(tuning, "data_of", lambda recipe, source, weights: f"{source} {weights}")
    monkeypatch.setattr(tables, "STUDIES", tmp_path)
    return asked


def tuned(epochs: int = 1, steps: int | None = None, **changes):
    recipe = studies.recipe()
    plan = recipe.plans["adam"]
    plan = replace(plan, optimizer=replace(plan.optimizer, **changes))
    return tune(recipe, "adam", plan, "data", "weights", epochs, steps, say=lambda _: None)


def test_the_best_rate_has_the_lowest_loss_and_a_diverged_one_comes_last(trials):
    rows = tuned()
    assert trials == [("Adam", 0.1, 1, None), ("Adam", 0.01, 1, None), ("Adam", 0.001, 1, None)]
    assert [float(row["learning_rate"]) for row in rows] == [0.01, 0.001, 0.1]
    table = read(tuning.table_of("made"))
    assert [row["val_loss"] for row in table] == ["nan", "0.20000", "0.50000"]
    assert set(table[0]) == set(tuning.COLUMNS)
    assert sorted(path.name for path in tuning.table_of("made").parent.iterdir()) == ["rates.csv"]


def test_a_rate_is_not_tried_twice(trials):
    tuned(tried=(0.01,))
    tuned()
    assert [rate for _, rate, *_ in trials] == [0.01, 0.1, 0.001]
    rows = tuned()
    assert len(trials) == 3
    assert float(rows[0]["learning_rate"]) == 0.01


def test_two_runs_of_a_task_may_be_tuned_at_once(trials, monkeypatch):
    tried = []

    def train(*_, **__):
        if not tried:
            tried.append(0.01)
            tuned(tried=(0.01,), epochs=2)
        return Card(
            "made", "adam", "TinyNet", studies.LABELS, 32, 1, results={"validation": {"accuracy": 1, "loss": 0}}
        )

    monkeypatch.setattr(tuning, "train", train)
    tuned(tried=(0.1, 0.01))
    assert [row["epochs"] for row in read(tuning.table_of("made"))] == ["2", "1", "1"]


def test_trials_of_another_length_are_another_comparison(trials):
    tuned(tried=(0.01,), epochs=4)
    tuned(tried=(0.01,), steps=7)
    rows = tuned(tried=(0.001,), epochs=1)
    assert [(row["epochs"], row["steps"]) for row in rows] == [("1", "")]
    assert [asked[2:] for asked in trials] == [(4, None), (1, 7), (1, None)]
    assert tuned(tried=(0.01,), steps=7)[0]["steps"] == "7"
    assert len(trials) == 3


def test_another_version_of_the_recipe_is_another_comparison(trials):
    recipe = studies.recipe()
    plan = recipe.plans["adam"]
    for one in (recipe, replace(recipe, original="0.9"), replace(recipe, input_size=recipe.input_size * 2)):
        rows = tune(one, "adam", plan, "data", "weights", 1, say=lambda _: None)
        assert [float(row["learning_rate"]) for row in rows] == [0.01, 0.001, 0.1]
    assert len(trials) == 2 * len(plan.optimizer.tried)
    tune(recipe, "adam", replace(plan, seed=7), "data", "weights", 1, say=lambda _: None)
    assert len(trials) == 3 * len(plan.optimizer.tried)


def test_a_stage_that_the_trials_do_not_reach_may_change(trials):
    recipe = studies.recipe()
    plan, (first, *_) = recipe.plans["adam"], recipe.stages
    for stages in ((first,), (replace(first, epochs=first.epochs + 4), Stage(epochs=3, trainable="head"))):
        tune(replace(recipe, stages=stages), "adam", plan, "data", "weights", 1, say=lambda _: None)
    assert len(trials) == len(plan.optimizer.tried)
    other = replace(first, trainable="all"), Stage(epochs=3)
    tune(replace(recipe, stages=other), "adam", plan, "data", "weights", 1, say=lambda _: None)
    assert len(trials) == 2 * len(plan.optimizer.tried)


def test_a_field_that_is_new_changes_no_version_until_it_is_used(trials):
    @dataclass(frozen=True)
    class Later(Stage):
        new: float | None = None

    recipe = studies.recipe()
    plan, (first, *_) = recipe.plans["adam"], recipe.stages
    for stage in (first, Later(**vars(first)), Later(**vars(first), new=0.5)):
        tune(replace(recipe, stages=(stage,)), "adam", plan, "data", "weights", 1, say=lambda _: None)
    assert len(trials) == 2 * len(plan.optimizer.tried)


def test_a_run_with_stages_of_its_own_is_compared_by_those(trials):
    recipe = studies.recipe()
    plan, (first, *_) = recipe.plans["adam"], recipe.stages
    for changes in ({}, {"stages": (first,)}, {"stages": (first, Stage(epochs=3))}):
        tune(recipe, "adam", replace(plan, changes=changes), "data", "weights", 1, say=lambda _: None)
    assert len(trials) == len(plan.optimizer.tried)
    own = {"stages": (replace(first, trainable="all"),)}
    tune(recipe, "adam", replace(plan, changes=own), "data", "weights", 1, say=lambda _: None)
    assert len(trials) == 2 * len(plan.optimizer.tried)


def test_rows_that_do_not_say_their_recipe_are_kept_and_not_compared(trials):
    tuned()
    table = tuning.table_of("made")
    lines = [line.rsplit(",", 2)[0] for line in table.read_text().splitlines()]
    table.write_text("\n".join(lines) + "\n")
    assert len(tuned()) == 3
    assert len(trials) == 6
    assert len(table.read_text().splitlines()) == 7


def test_other_pictures_or_base_weights_are_another_comparison(trials):
    recipe = studies.recipe()
    plan = recipe.plans["adam"]
    for source, weights in (("data", "weights"), ("mine", "weights"), ("mine", "others"), ("mine", "weights")):
        rows = tune(recipe, "adam", plan, source, weights, 1, say=lambda _: None)
        assert len(rows) == len(plan.optimizer.tried)
    assert len(trials) == 3 * len(plan.optimizer.tried)


def test_pictures_and_base_weights_are_known_by_what_they_hold(hub_folder, base_weights, tmp_path):
    recipe = studies.recipe()
    copied = shutil.copy(base_weights, tmp_path / "copied.h5")
    other = studies.write_hub(tmp_path / "other", first=50)
    known = data_of(recipe, str(hub_folder), str(base_weights))
    assert data_of(recipe, str(hub_folder), str(copied)) == known
    assert len({known, data_of(recipe, str(other), str(copied)), data_of(recipe, str(hub_folder), "imagenet")}) == 3
    for source, weights in (("nowhere", str(copied)), (str(hub_folder), "nowhere.h5")):
        with pytest.raises(TrainingError, match="nowhere"):
            data_of(recipe, source, weights)


def test_a_run_with_the_studys_own_rate_has_nothing_to_choose(trials):
    with pytest.raises(TrainingError, match="nothing to choose"):
        tuned(tried=())
