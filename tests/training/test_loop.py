"""A training is decided by its seed, and by nothing else but what its recipe says."""

import json
import shutil

import keras
import numpy as np
import pytest

from models import load
from tests.training import studies
from tests.training.runs import EPOCHS, assert_its_own_results, assert_same_end, same
from training import stages
from training.evaluate import Evaluation
from training.job import shorten
from training.objective import prepare
from training.recipe import Diverged, Optimizer, Plan, Stage, TrainingError


def test_the_history_has_every_epoch_and_the_card_its_best(whole):
    rows = whole.history
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    best = whole.card.results["best"]
    assert best["val_accuracy"] == max(float(row["val_accuracy"]) for row in rows)
    assert best["loss"] == min(float(row["loss"]) for row in rows)
    assert whole.card.results["validation"]["n"] == 8
    assert whole.card.results["validation"]["accuracy"] == pytest.approx(float(rows[-1]["val_accuracy"]))
    assert whole.card.epochs == EPOCHS
    assert len([line for line in whole.said if line.startswith("epoch ")]) == EPOCHS


def test_the_checkpoint_is_the_model_that_was_trained(whole):
    pictures = np.stack([studies.picture(label, number, 32) for label in (0, 1) for number in range(4)])
    stored, trained = (np.asarray(model(pictures.astype("float32"))) for model in (load(whole.out).model, whole.model))
    # float16 moves all logits together by a little, and hardly one picture against another.
    np.testing.assert_allclose(stored, trained, rtol=3e-3)
    apart = [logits - logits.mean() for logits in (stored, trained)]
    assert np.abs(apart[0] - apart[1]).max() < np.ptp(trained) / 50


def test_the_results_are_those_of_the_checkpoint_as_it_is_stored(whole):
    assert_its_own_results(whole)
    assert list(whole.card.results) == ["validation", "best"]


def test_both_optimizers_begin_with_the_same_weights_and_see_the_same_batches(whole, adam):
    assert same(whole.first, adam.first, 0)
    assert whole.batches == adam.batches
    assert len(set(whole.batches)) == len(whole.batches) == EPOCHS * 2
    assert not same(whole.last, adam.last, 1e-3)


def test_the_cards_of_both_differ_by_the_optimizer_alone(whole, adam):
    ours, theirs = whole.card, adam.card
    for name in ("architecture", "labels", "input_size", "units", "head", "preprocessing", "base_weights", "data"):
        assert getattr(ours, name) == getattr(theirs, name)
    kept = {"rates_tried", "why_this_rate"}
    assert {key: value for key, value in ours.training.items() if key not in kept} == {
        key: value for key, value in theirs.training.items() if key not in kept
    }
    assert ours.optimizer == {"name": "SGD", "learning_rate": 0.01, "momentum": 0.9, "schedule": "cosine"}
    assert theirs.optimizer["name"] == "Adam"
    assert json.loads((whole.out / "card.json").read_text())["optimizer"] == ours.optimizer


def test_the_seed_decides_everything(training, whole):
    # Where nothing was begun, --resume begins.
    again = training(resume=True)
    assert_same_end(again, whole)
    assert again.batches == whole.batches


def test_another_seed_gives_another_head_and_other_batches(training, whole):
    other = training(studies.recipe(stages=(Stage(1),)), seed=1)
    assert not set(other.batches) & set(whole.batches)
    *backbone, kernel, _ = other.first
    assert not same([kernel], whole.first[-2:-1], 1e-3)
    # The backbone's weights come from the file, whatever the seed.
    assert all(
        np.array_equal(ours, theirs)
        for ours, theirs in zip(backbone, whole.first[:-2], strict=True)
        if ours.dtype == "float32"
    )


def test_a_constant_rate_fewer_steps_than_a_pass_and_a_batch_of_its_own(training):
    run = training(studies.recipe(stages=(Stage(2),)), "steady")
    assert [float(row["learning_rate"]) for row in run.history] == pytest.approx([0.01, 0.01])
    assert len(run.batches) == 2
    assert run.card.training["steps_per_epoch"] == 1
    assert run.card.training["batch_size"] == 4


def test_pictures_that_are_trained_on_and_judged_by_are_told(training, hub_folder, tmp_path, caplog):
    training.source = studies.leak(hub_folder, tmp_path / "made", "validation", (1, 1))
    training(studies.recipe(stages=(Stage(1, "head"),)))
    assert "2 of the 6 pictures to judge by had a part in the training, too." in caplog.messages


def test_a_block_of_a_later_stage_that_is_not_there_is_told_before_anything_is_trained(training):
    with pytest.raises(TrainingError, match="has no block '9' to train from"):
        training(studies.recipe(stages=(Stage(1, "head"), Stage(1, "9"))))
    assert not any(training.out.iterdir())


def test_a_training_that_diverges_says_so_and_replaces_nothing(training, whole):
    shutil.copytree(whole.out, training.out)
    before = {file.name: file.read_bytes() for file in training.out.iterdir()}
    with pytest.raises(Diverged, match=r"made/steady diverged in epoch 1: .* below 1e\+30 may help"):
        training(studies.recipe(stages=(Stage(2),)), "steady", optimizer=Optimizer("SGD", 1e30, schedule="constant"))
    assert {file.name: file.read_bytes() for file in training.out.iterdir()} == before


def rates_of(recipe, plan: Plan, stage: Stage, steps: int) -> list[float]:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    prepare(model, recipe, plan, stage, steps)
    schedule = model.optimizer._learning_rate
    return [float(schedule(step)) for step in range(steps * stage.epochs + 1)]


def test_the_cosine_rises_to_the_rate_and_falls_to_nothing():
    table = studies.recipe(warmup=0.1)
    rates = rates_of(table, table.plans["adam"], Stage(10, rate=0.5), steps=10)
    peak = 0.01 * 0.5
    rising = [peak * step / 10 for step in range(10)]
    falling = [peak * (1 + np.cos(np.pi * step / 90)) / 2 for step in range(91)]
    assert np.allclose(rates, rising + falling, atol=1e-8)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.1), (1, 1.0), (4, 0.1), (40, 0.0)])
def test_no_step_is_lost_where_the_rate_has_no_time_to_rise(steps, warmup):
    table = studies.recipe(warmup=warmup)
    rates = rates_of(table, table.plans["adam"], Stage(1), steps)
    assert np.allclose(rates, [0.01 * (1 + np.cos(np.pi * step / steps)) / 2 for step in range(steps + 1)], atol=1e-8)


def test_the_head_alone_is_trained_in_the_first_stage(training):
    run = training(studies.recipe(stages=(Stage(1, "head"),)))
    moved = [
        variable.path
        for variable, first in zip(run.model.weights, run.first, strict=True)
        if not np.array_equal(first, variable.numpy()) and "seed" not in variable.path
    ]
    assert sorted(moved) == ["logits/bias", "logits/kernel"]


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_one_sentence(training, seed):
    with pytest.raises(TrainingError, match="A seed is a whole number from 0"):
        training(seed=seed)


def test_a_large_seed_sets_every_dropout():
    model = keras.Sequential([keras.layers.Dropout(0.5)])
    states = set()
    for seed, epoch in ((2**32 - 1, 3), (0, 3), (0, 4)):
        stages.reseed(model, seed, epoch)
        states.add(tuple(np.asarray(model.layers[0].seed_generator.state)))
    assert len(states) == 3


@pytest.mark.parametrize(
    ("epochs", "expected"), [(None, (2, 2)), (1, (1,)), (2, (2,)), (3, (2, 1)), (4, (2, 2)), (6, (2, 4))]
)
def test_fewer_epochs_end_the_stages_early(epochs, expected):
    stages = studies.recipe().stages
    kept = shorten(stages, epochs)
    assert tuple(stage.epochs for stage in kept) == expected
    assert all(stage.trainable == whole.trainable for stage, whole in zip(kept, stages, strict=False))


def test_no_epochs_at_all_is_one_sentence():
    with pytest.raises(TrainingError, match="at least one epoch"):
        shorten(studies.recipe().stages, 0)


@pytest.mark.parametrize("units", [1, 2])
def test_the_loss_is_the_cross_entropy_of_the_logits(units):
    table = studies.recipe(units=units)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units)])
    prepare(model, table, table.plans["sgd"], Stage(1), 1)
    random = np.random.default_rng(0)
    x, y = random.normal(0, 2, (12, 3)).astype("float32"), random.integers(0, 2, 12)
    loss, accuracy = model.evaluate(x, y, verbose=0)
    found = Evaluation(np.asarray(model(x)), y)
    assert loss == pytest.approx(found.loss, rel=1e-5)
    assert accuracy == pytest.approx(found.accuracy)
