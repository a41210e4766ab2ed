"""Every recipe can be trained as it stands, and its rates are those that its table of trials found best."""

import re
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

import models
from tests.training import studies
from training import recipes
from training.recipe import Optimizer, Plan, TrainingError
from training.tables import read
from training.tune import table_of, version_of

TUNED = [
    (task, run)
    for task, run in (name.split("/") for name in models.names())
    if recipes.find(task).plans[run].optimizer.tried
]


@pytest.mark.parametrize("task", recipes.names())
def test_a_recipe_is_whole(task):
    recipe = recipes.find(task)
    assert recipe.task == task
    assert len(set(recipe.labels)) == len(recipe.labels)
    assert recipe.units == (1 if len(recipe.labels) == 2 else len(recipe.labels))
    assert recipe.epochs > 0
    assert recipe.plans


def test_the_guide_s_recipe_is_one():
    guide = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    ((task, code),) = re.findall(r"`training/recipes/(\w+)\.py`:\n\n((?:    .*\n|\n)+)", guide)
    module = {}
    exec(textwrap.dedent(code), module)
    assert module["RECIPE"].task == task
    assert set(module["RECIPE"].plans) == {"sgd", "adam"}
    assert all(plan.optimizer.rate in plan.optimizer.tried for plan in module["RECIPE"].plans.values())


@pytest.mark.parametrize(("labels", "units"), [("abc", 1), ("abc", 2), ("ab", 3)])
def test_logits_that_the_classes_do_not_need_are_one_sentence(labels, units):
    with pytest.raises(TrainingError, match=rf"made has {len(labels)} classes and units={units}, where (1 or 2|3) are"):
        studies.recipe(labels=tuple(labels), units=units)


@pytest.mark.parametrize(("task", "run"), TUNED)
def test_the_chosen_rate_is_the_best_of_those_tried(task, run):
    recipe = recipes.find(task)
    chosen = recipe.plans[run].optimizer
    # A second seed takes the rate that was chosen with the first.
    plans = {name: plan for name, plan in recipe.plans.items() if plan.optimizer == chosen}

    def same(row: dict[str, str]) -> bool:
        # What was tried with other options is another version's; the oldest table names none.
        return "recipe" not in row or row["recipe"] == version_of(recipe, plans[row["run"]], int(row["epochs"]))

    rows = [row for row in read(table_of(task)) if row["run"] in plans and same(row)]
    losses = {float(row["learning_rate"]): float(row["val_loss"]) for row in rows}
    assert set(losses) == set(chosen.tried)
    assert chosen.rate == min(losses, key=losses.__getitem__)


def test_the_pair_of_a_task_differs_by_the_optimizer_alone():
    for task in recipes.names():
        plans = recipes.find(task).plans
        if {"sgd", "adam"} <= set(plans):
            assert (plans["sgd"].seed, plans["sgd"].steps) == (plans["adam"].seed, plans["adam"].steps)
            assert plans["sgd"].optimizer.schedule == plans["adam"].optimizer.schedule


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("cats_vs_dogs", "named TASK/RUN"),
        ("cats_vs_dogs/nobody", "no run called 'nobody'; it has: sgd, adam"),
        ("birds/adam", "no recipe for 'birds'; the recipes here are: .*cats_vs_dogs"),
        ("__init__/adam", "no recipe"),
    ],
)
def test_an_unknown_name_is_one_sentence(name, sentence):
    with pytest.raises(TrainingError, match=sentence):
        recipes.find_plan(name)


def test_a_run_has_the_batch_size_and_the_changes_of_its_plan_and_the_rest_of_the_recipe():
    recipe = recipes.find("cifar10")
    plan = Plan(Optimizer("SGD", rate=0.1), batch_size=16, changes={"input_size": 96})
    assert recipe.of(plan) == replace(recipe, batch_size=16, input_size=96)
    assert recipe.of(replace(plan, batch_size=None)) == replace(recipe, input_size=96)
    # A study that gives a run a batch size among its changes means that.
    assert recipe.of(Plan(plan.optimizer, changes={"batch_size": 8})).batch_size == 8


def test_the_dry_run_of_food_101_is_the_full_study_on_five_classes():
    plans = recipes.find("food101").plans
    full, dry = plans["adam-full"].changes, plans["dry-run"].changes
    assert (full["input_size"], full["source_size"]) == (dry["input_size"], dry["source_size"]) == (224, None)
    assert [(stage.epochs, stage.trainable) for stage in full["stages"]] == [(15, "head"), (10, "all")]
    assert [stage.trainable for stage in dry["stages"]] == ["head", "all"]
    assert len(dry["labels"]) == dry["units"] == 5
    assert set(dry["labels"]) <= set(recipes.find("food101").labels)
    assert dry["subset"]
