"""Many runs of a study, one after the other: each once, whatever becomes of the others."""

import io
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from models import Card
from training import loop, sweep
from training.recipe import Augmentation, Stage, TrainingError
from training.recipes import caltech256, cifar100
from training.tables import read

FINE = tuple(f"fine{index}" for index in range(100))


def small(filters):
    """A network as `keras.applications` has them: two blocks of one convolution each."""

    def network(include_top, weights, input_shape):
        x = inputs = keras.Input(input_shape)
        for block in (1, 2):
            x = keras.layers.Conv2D(filters, 3, strides=2, name=f"block{block}_conv")(x)
            x = keras.layers.BatchNormalization(name=f"block{block}_bn")(x)
            x = keras.layers.Activation("relu", name=f"block{block}_activation")(x)
        return keras.Model(inputs, x)

    return network


@pytest.fixture(scope="module")
def twins():
    """Two networks among `keras.applications`."""
    keras.applications.Small, keras.applications.Smaller = small(4), small(2)
    yield ("Small", "Smaller")
    del keras.applications.Small, keras.applications.Smaller


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Made pictures under CIFAR-100's columns: three of each superclass to train on, one to validate."""
    folder = tmp_path_factory.mktemp("cifar100")
    labels = cifar100.RECIPE.labels
    features = {
        "img": {"_type": "Image"},
        "fine_label": {"names": list(FINE), "_type": "ClassLabel"},
        "coarse_label": {"names": list(labels), "_type": "ClassLabel"},
    }
    random = np.random.default_rng(0)
    for split, count in (("train", 3), ("validation", 1), ("test", 1)):
        pictures = random.integers(0, 255, (count * len(labels), 32, 32, 3), "uint8")
        coarse = np.arange(len(pictures)) % len(labels)
        table = pyarrow.table(
            {
                "img": [{"bytes": png(picture), "path": None} for picture in pictures],
                "fine_label": [int(index) * 5 for index in coarse],
                "coarse_label": [int(index) for index in coarse],
            }
        )
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        parquet.write_table(table.replace_schema_metadata(metadata), folder / f"{split}-00000-of-00001.parquet")
    return folder


def png(picture):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def recipe(twins):
    """Two networks and two shares of the study, each share with its own optimizer, two steps each."""
    optimizers = {"80 %": "Adam", "head": "SGD"}
    names = {"Xception": twins[0], "EfficientNetB0": twins[1]}
    plans = {}
    for run, plan in cifar100.RECIPE.plans.items():
        changes = dict(plan.changes)
        chosen = changes["architecture"] in names and plan.steps is None
        if chosen and plan.optimizer.name == optimizers.get(changes["stages"][0].trainable):
            changes["architecture"] = names[changes["architecture"]]
            plans[run] = replace(
                plan, steps=2, changes=changes | {"stages": (replace(changes["stages"][0], epochs=1),)}
            )
    return replace(
        cifar100.RECIPE, plans=plans, input_size=32, source_size=None, batch_size=10, augmentation=Augmentation()
    )


@pytest.fixture(scope="module")
def swept(recipe, data, tmp_path_factory):
    """The folder of studies after the sweep, and what was said."""
    out, said = tmp_path_factory.mktemp("studies"), []
    failed = sweep.sweep(
        recipe,
        ["*-80-*", "*-head-*"],
        str(data),
        "random",
        out / "none",
        out,
        test=True,
        say=said.append,
        train=sweep.train_one,
    )
    assert not failed
    return out, said


def test_the_table_has_the_studys_columns_and_a_row_for_each_run(recipe, swept):
    rows = read(swept[0] / "cifar100" / "table.csv")
    assert tuple(rows[0]) == cifar100.RECIPE.columns
    assert [row["run"] for row in rows] == list(recipe.plans)
    assert {(row["architecture"], row["trainable"], row["optimizer"]) for row in rows} == {
        (architecture, share, optimizer)
        for architecture in ("Small", "Smaller")
        for share, optimizer in (("80 %", "Adam"), ("head", "SGD"))
    }
    assert len(rows) == 4
    for row in rows:
        assert row["steps_per_epoch"] == "2"
        assert 0 <= float(row["val_accuracy"]) <= 1
        assert float(row["memory_mb"]) > 10
        assert float(row["seconds"]) >= 0


def test_it_leaves_cards_and_histories_and_no_weights(recipe, swept):
    runs = swept[0] / "cifar100" / "runs"
    assert {folder.name for folder in runs.iterdir()} == set(recipe.plans)
    for folder in runs.iterdir():
        assert {file.name for file in folder.iterdir()} == {"card.json", "history.csv"}
        assert Card.read(folder / "card.json").results["test"]["n"] == 20


def test_a_run_that_is_there_is_not_trained_again(recipe, swept, data):
    def never(*_):
        raise AssertionError

    said = []
    sweep.sweep(recipe, [], str(data), "random", swept[0] / "none", swept[0], say=said.append, train=never)
    assert len(said) == 4
    assert said[0] == f"1 of 4: cifar100/{next(iter(recipe.plans))} is there"


def test_a_run_that_is_there_says_what_it_lacks(recipe, swept, tmp_path):
    run, plan = next(iter(recipe.plans.items()))
    card = Card.read(swept[0] / "cifar100" / "runs" / run / "card.json")
    made_card(recipe, run, plan, tmp_path / "cifar100" / run)
    replace(card, results={"validation": card.results["validation"]}).write(tmp_path / "cifar100" / run / "card.json")
    said = []
    sweep.sweep(recipe, [run], "data", "random", tmp_path, tmp_path, epochs=3, test=True, say=said.append)
    folder = tmp_path / "cifar100" / run
    assert said[0].endswith(
        f"is there, but with 1 epochs instead of 3 and without a test; delete {folder} to train it anew"
    )


def test_a_run_that_fails_stops_no_other(recipe, tmp_path):
    def train(recipe, run, plan, source, weights, place, *rest):
        if "sgd" in run:
            raise TrainingError("it broke.")
        made_card(recipe, run, plan, place)

    said = []
    failed = sweep.sweep(recipe, [], "data", "random", tmp_path, tmp_path, say=said.append, train=train)
    assert len(failed) == 2
    assert failed[0].endswith("-sgd: it broke.")
    assert len(read(tmp_path / "cifar100" / "table.csv")) == 2


def made_card(recipe, run, plan, place):
    place.mkdir(parents=True)
    Card(
        recipe.task,
        run,
        "Small",
        recipe.labels,
        32,
        20,
        optimizer={"name": plan.optimizer.name, "learning_rate": 0.1, "schedule": "cosine"},
        training={"stages": [{"epochs": 1, "trainable": "head"}], "steps_per_epoch": 2},
        results={"validation": {"accuracy": 0.5, "loss": 1.0, "n": 20}},
    ).write(place / "card.json")
    (place / "history.csv").write_text("epoch,loss,accuracy,val_loss,val_accuracy\n1,1,0.5,1,0.5\n")


def test_where_all_fail_the_first_reason_is_told(recipe, tmp_path):
    def train(*_):
        raise TrainingError("it broke.")

    with pytest.raises(TrainingError, match=r"None of 4 runs of cifar100 could be trained; the first: .*: it broke"):
        sweep.sweep(recipe, [], "data", "random", tmp_path, tmp_path, say=lambda _: None, train=train)


def test_no_run_of_that_name_is_one_sentence(recipe):
    with pytest.raises(TrainingError, match=r"No run of cifar100 is called vgg\* or nothing"):
        sweep.chosen(recipe, ["vgg*", "nothing"])


def test_without_a_test_split_nothing_is_trained(recipe, data, tmp_path, monkeypatch):
    for split in ("train", "validation"):
        (tmp_path / f"{split}-0.parquet").symlink_to(data / f"{split}-00000-of-00001.parquet")
    monkeypatch.setattr(loop, "train", None)
    run, plan = next(iter(recipe.plans.items()))
    with pytest.raises(TrainingError, match="no split 'test'"):
        sweep.train_one(recipe, run, plan, str(tmp_path), "random", tmp_path / "run", None, True)


def test_a_run_whose_test_failed_is_only_tested_again(recipe, data, tmp_path, monkeypatch, caplog):
    run, plan = next(iter(recipe.plans.items()))
    source = shutil.copytree(data, tmp_path / "pictures")
    shutil.copy(next(source.glob("train-*")), next(source.glob("test-*")))
    asked = recipe, run, plan, str(source), "random", tmp_path / "run", None, True
    with monkeypatch.context() as patch, pytest.raises(TrainingError, match="it broke"):
        patch.setattr(sweep, "_tested", fails)
        sweep.train_one(*asked)
    monkeypatch.setattr(loop, "train", None)
    sweep.train_one(*asked)
    card = Card.read(tmp_path / "run" / "card.json")
    assert card.results["test"]["n"] == 60
    assert card.training["memory_mb"] > 0
    assert "60 of the 60 pictures to judge by had a part in the training, too." in caplog.messages


def test_a_run_that_cannot_go_on_names_the_folder_that_is_in_its_way(recipe, data, tmp_path, monkeypatch):
    run, plan = next(iter(recipe.plans.items()))
    (tmp_path / "run.unfinished").mkdir()
    (tmp_path / "run.unfinished" / "state-001.weights.h5").touch()
    monkeypatch.setattr(loop, "train", fails)
    with pytest.raises(TrainingError, match=r"it broke\. .*run\.unfinished; without that folder the run begins anew\."):
        sweep.train_one(recipe, run, plan, str(data), "random", tmp_path / "run", None, False)


def fails(*_, **__):
    raise TrainingError("it broke.")


def test_a_process_tells_why_it_failed(recipe, tmp_path, monkeypatch):
    # A process has it in a third of the time that TensorFlow takes.
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    run, plan = next(iter(recipe.plans.items()))
    with pytest.raises(TrainingError, match="A seed is a whole number"):
        sweep.in_a_process(recipe, run, replace(plan, seed=-1), str(tmp_path), "random", tmp_path / "run", None, False)


@pytest.mark.parametrize(
    ("source", "weights", "epochs", "sentence"),
    [
        ("nowhere", "random", None, "no data folder nowhere"),
        (".", "nothing.h5", None, "no weights file nothing.h5"),
        (".", "random", 0, "at least one epoch"),
    ],
)
def test_what_no_run_can_begin_with_takes_no_process(recipe, tmp_path, monkeypatch, source, weights, epochs, sentence):
    monkeypatch.setattr(sweep, "multiprocessing", None)
    run, plan = next(iter(recipe.plans.items()))
    with pytest.raises(TrainingError, match=sentence):
        sweep.in_a_process(recipe, run, plan, source, weights, tmp_path / "run", epochs, False)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_nothing_trains_on_once_its_sweep_has_ended(data, tmp_path, sent):
    words = ["sweep", "cifar100", "--runs", "cnn1-32", "--data", str(data), "--out", str(tmp_path), "--epochs", "99999"]
    process = subprocess.Popen(
        [sys.executable, "-m", "training", *words],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert process.stdout
        assert any("60 pictures to train on" in line for line in process.stdout)
        process.send_signal(sent)
        # What trains on holds the pipe open.
        process.communicate(timeout=60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == (2 if sent == signal.SIGINT else -sent)


def test_caltechs_sizes_run_on_any_class_folders_with_the_loss_in_its_parts(twins, tmp_path):
    random = np.random.default_rng(0)
    for name in ("cake", "pie", "soup"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(12):
            picture = random.integers(0, 255, (20, 20, 3), "uint8")
            (tmp_path / "pictures" / name / f"{number}.png").write_bytes(png(picture))
    plans = {
        run: replace(plan, changes={"architecture": network, "input_size": 20})
        for (run, plan), network in zip(caltech256.RECIPE.plans.items(), twins, strict=False)
    }
    stages = (Stage(1, "head"), Stage(1))
    recipe = replace(caltech256.RECIPE, plans=plans, stages=stages, shares={"validation": 0.3, "test": 0.3}, l2=0.01)
    # What a sweep leaves that was stopped between training a run and putting it in its place.
    made_card(recipe, "b0", plans["b0"], tmp_path / "caltech256" / "runs" / "b0.unfinished")
    sweep.sweep(
        recipe,
        [],
        str(tmp_path / "pictures"),
        "random",
        tmp_path,
        tmp_path,
        test=True,
        say=lambda _: None,
        train=sweep.train_one,
    )
    out = tmp_path / "caltech256"
    rows = read(out / "training_results.csv")
    assert [(row["run"], row["epoch"]) for row in rows] == [("b0", "1"), ("b0", "2"), ("b1", "1"), ("b1", "2")]
    for row in rows:
        assert float(row["loss"]) == pytest.approx(float(row["cross_entropy"]) + float(row["l2"]), abs=1e-4)
        assert float(row["l2"]) > 0
    assert float(rows[1]["l2"]) > float(rows[0]["l2"])
    card = Card.read(out / "runs" / "b1" / "card.json")
    assert card.labels == ("cake", "pie", "soup")
    counts = [card.data["train"]["n"], card.data["validation"]["n"], card.results["test"]["n"]]
    assert sum(counts) == 36
    assert min(counts) > 3
    assert [row["architecture"] for row in read(out / "table.csv")] == list(twins)


def test_the_study_is_whole():
    plans = cifar100.RECIPE.plans
    shares = {plan.changes["stages"][0].trainable for plan in plans.values()}
    assert shares == {"all", "90 %", "80 %", "head", "scratch"}
    transferred = [plan for plan in plans.values() if plan.changes["stages"][0].trainable != "scratch"]
    assert len({plan.changes["architecture"] for plan in transferred}) == 10
    assert len({plan.optimizer.name for plan in transferred}) == 5
    assert {plan.changes["input_size"] for plan in plans.values() if "input_size" in plan.changes} == {32, 78}
    assert {plan.steps for plan in plans.values()} == {None, 250, 500, 1250}
    assert plans["xception-90-adam"].changes["stages"] == (Stage(5, "90 %"),)
    assert all(hasattr(keras.applications, plan.changes["architecture"]) for plan in transferred)
    assert all(hasattr(keras.optimizers, plan.optimizer.name) for plan in plans.values())


def test_in_its_own_process_too_nobody_is_warned_that_each_network_is_traced(monkeypatch, caplog):
    sent = []
    tracing = logging.getLogger("tensorflow")
    monkeypatch.setattr(tracing, "filters", [])
    monkeypatch.setattr(sweep.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sweep, "_end_with_parent", lambda: None)
    monkeypatch.setattr(sweep, "train_one", lambda: tracing.warning("5 calls triggered tf.function retracing."))
    sweep._child(SimpleNamespace(send=sent.append))
    assert sent == [None]
    assert not caplog.messages
