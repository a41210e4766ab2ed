"""A random search is of what the recipe says, goes on after a stop, and looks at the test split once."""

import re
import shutil
from dataclasses import replace

import keras
import pytest

from tests.training import studies
from training import data, search
from training.evaluate import Evaluation
from training.recipe import Plan, Space, Stage, TrainingError
from training.tables import read

SPACE = Space(run="sgd", optimizers=("Adam", "SGD"), rates=(0.001, 0.1), batch_sizes=(4, 8), epochs=(2, 3), patience=2)


@pytest.fixture(scope="module")
def recipe():
    return studies.recipe(
        search=SPACE,
        plans={
            "sgd": Plan(
                studies.recipe().plans["sgd"].optimizer,
                changes={"architecture": "CNN1", "input_size": 16, "stages": (Stage(1, "scratch"),)},
            )
        },
    )


@pytest.fixture(scope="module")
def searched(recipe, hub_folder, tmp_path_factory):
    """A search stopped while its second trial ended, then asked for again; what was said, and the rows."""
    out = tmp_path_factory.mktemp("search")
    table = out / "search.csv"
    said: list[str] = []
    tested: list[data.Split] = []
    evaluate = search.evaluate

    def stop(line):
        said.append(line)
        if len(_ended(said)) == 2:
            raise KeyboardInterrupt

    def noting(model, split, recipe) -> Evaluation:
        tested.append(split)
        return evaluate(model, split, recipe)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "evaluate", noting)
        with pytest.raises(KeyboardInterrupt):
            search.search(recipe, str(hub_folder), 2, out / "trials", table, say=stop)
        assert not tested
        rows = search.search(recipe, str(hub_folder), 2, out / "trials", table, say=said.append)
        assert read(table) == [{"test_accuracy": ""} | row for row in rows]
        # A third one begun and stopped is left alone by who wants no more than there are.
        with pytest.raises(KeyboardInterrupt):
            search.search(recipe, str(hub_folder), 3, out / "trials", table, say=_interrupt)
        assert search.search(recipe, str(hub_folder), 2, out / "trials", table, say=said.append) == rows
    return said, rows, tested


def test_a_stopped_search_goes_on_and_trains_no_trial_twice(searched):
    said, rows, _ = searched
    # Two before the stop, of which the second was lost; it again after; then the sentence on the best.
    first, lost, again = _ended(said)
    assert first != lost == again
    assert said[-1].startswith("best of 2")
    assert len({row["trial"] for row in rows}) == 2


def test_a_trial_says_what_it_tries_and_every_epoch(searched):
    said, rows, _ = searched
    begun = [line for line in said if line.startswith("a trial of ")]
    assert len(begun) == 3 and begun[1] == begun[2]
    for row in rows:
        assert any(f"optimizer {row['optimizer']}" in line and row["learning_rate"] in line for line in begun)
    epochs = [line for line in said if re.match(r"  epoch \d of at most \d: loss \d.* validation [01]\.\d{4}$", line)]
    trained = sum(int(re.search(r"after (\d) epochs$", line)[1]) for line in _ended(said))
    assert len(epochs) == trained


@pytest.fixture(scope="module")
def one_trial(recipe, hub_folder, tmp_path_factory):
    """What a search of one trial keeps."""
    out = tmp_path_factory.mktemp("one") / "trials"
    search.search(recipe, str(hub_folder), 1, out, out.parent / "search.csv", say=lambda line: None)
    return out


@pytest.mark.parametrize("name", ["oracle.json", "trial_*/trial.json"])
def test_a_search_that_was_killed_while_it_wrote_is_one_sentence(recipe, hub_folder, one_trial, tmp_path, name):
    out = shutil.copytree(one_trial, tmp_path / "trials")
    kept = next(out.glob(f"*/{name}"))
    kept.write_bytes(kept.read_bytes()[:40])
    with pytest.raises(TrainingError, match=r"trials.\S+ holds of a search is damaged; remove it"):
        search.search(recipe, str(hub_folder), 2, out, tmp_path / "search.csv", say=lambda line: None)


def _interrupt(line: str) -> None:
    raise KeyboardInterrupt


def _ended(said: list[str]) -> list[str]:
    return [line for line in said if re.search(r"after \d epochs$", line)]


def test_trials_are_drawn_from_the_space(searched):
    for row in searched[1]:
        assert row["optimizer"] in SPACE.optimizers
        assert SPACE.rates[0] <= float(row["learning_rate"]) <= SPACE.rates[1]
        assert int(row["batch_size"]) in SPACE.batch_sizes
        assert int(row["epochs"]) in SPACE.epochs
        assert 1 <= int(row["epochs_trained"]) <= int(row["epochs"])
    assert len({row["learning_rate"] for row in searched[1]}) == 2


def test_the_best_on_validation_comes_first_and_alone_is_tested_once(searched, hub_folder):
    _, rows, tested = searched
    accuracies = [float(row["val_accuracy"]) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert [bool(row.get("test_accuracy")) for row in rows] == [True, False]
    assert {split.sha256 for split in tested} == {data.load(str(hub_folder), "test", studies.LABELS, 16).sha256}
    # Once for each table that was asked for.
    assert len(tested) == 2


def test_a_trial_stops_early_and_lowers_its_rate_first(recipe, hub_folder):
    training, validation = (data.load(str(hub_folder), split, studies.LABELS, 16) for split in ("train", "validation"))
    space = replace(SPACE, rates=(1e-9, 2e-9), epochs=(30,), optimizers=("SGD",), patience=4, reduction=0.5)
    recipe = recipe.of(recipe.plans["sgd"])
    network = search._network(recipe, space, 0, training, validation, lambda _: None)
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    model = network.build(hp)
    before = float(model.optimizer.learning_rate)
    found = network.fit(hp, model, callbacks=[])
    # Nothing is learned at such a rate, so the first epoch stays the best.
    assert found["epochs_trained"] == 5
    assert float(model.optimizer.learning_rate) == pytest.approx(before / 4)
    assert isinstance(model.optimizer, keras.optimizers.SGD)


def test_a_recipe_without_a_search_is_one_sentence(hub_folder, tmp_path):
    with pytest.raises(TrainingError, match="The recipe of made has no search"):
        search.search(studies.recipe(), str(hub_folder), 1, tmp_path, tmp_path / "search.csv")


def test_a_search_has_a_trial(recipe, hub_folder, tmp_path):
    with pytest.raises(TrainingError, match="at least one trial"):
        search.search(recipe, str(hub_folder), 0, tmp_path, tmp_path / "search.csv")


def test_trials_with_other_pictures_are_a_search_of_their_own(recipe, hub_folder, one_trial, tmp_path):
    other = studies.write_hub(tmp_path / "other", first=50)
    out = shutil.copytree(one_trial, tmp_path / "trials")
    found = []
    for source in (hub_folder, other):
        said: list[str] = []
        search.search(recipe, str(source), 1, out, tmp_path / "search.csv", say=said.append)
        found.append(len(_ended(said)))
    assert found == [0, 1]
