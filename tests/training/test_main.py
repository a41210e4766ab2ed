"""The command line: results on stdout, one sentence on stderr, and an exit status that a script can use."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from models import Card
from tests.training import studies
from training import __main__ as command
from training import data, loop, recipes, records
from training.cache import Cache
from training.evaluate import evaluate
from training.setup import Setup

ROOT = Path(__file__).parents[2]


def asked(*words: object, before: str = "") -> subprocess.CompletedProcess:
    """`python -m training` in a process of its own, after some lines of Python."""
    code = f"import runpy, sys; sys.argv[0] = 'training'\n{before}\nrunpy.run_module('training', run_name='__main__')"
    return subprocess.run([sys.executable, "-c", code, *map(str, words)], cwd=ROOT, capture_output=True, text=True)


PLAIN = """
from models.quiet import import_keras
import_keras()
import keras
from tests.training import studies
keras.applications.PlainNet = studies.plain_net
"""


def test_evaluate_prints_one_line_of_json_and_nothing_else(whole, hub_folder):
    said = asked("evaluate", whole.out, "--data", hub_folder, "--split", "test", "--json", before=PLAIN)
    assert said.returncode == 0, said.stderr
    assert said.stdout.count("\n") == 1
    found = json.loads(said.stdout)
    own = evaluate(whole.model, data.load(str(hub_folder), "test", studies.LABELS, 32), whole.card)
    # The checkpoint is stored in float16.
    assert found == {"accuracy": pytest.approx(own.accuracy), "loss": pytest.approx(own.loss, abs=2e-3), "n": 10}


def test_evaluate_sees_pictures_as_the_card_says(whole, tmp_path, capfd):
    run = tmp_path / "run"
    shutil.copytree(whole.out, run)
    card = json.loads((run / "card.json").read_text())
    card["preprocessing"] |= {"fit": "squash", "source_size": 12}
    (run / "card.json").write_text(json.dumps(card))
    for label, name in enumerate(("Cats", "Dogs")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(3):
            wide = studies.picture(label, 50 + number, 60)[10:50]
            (tmp_path / "pictures" / name / f"{number}.png").write_bytes(studies.png(wide))
    source = str(tmp_path / "pictures")
    own = evaluate(whole.model, data.load(source, None, studies.LABELS, 12, "squash"), whole.card)
    plain = evaluate(whole.model, data.load(source, None, studies.LABELS, 32), whole.card)
    assert command.main(["evaluate", str(run), "--data", source, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["n"] == 6
    assert abs(found["loss"] - own.loss) < abs(found["loss"] - plain.loss) / 10
    assert command.main(["evaluate", str(run), "--data", source]) == 0
    assert f"accuracy {found['accuracy']:.4f}  loss {found['loss']:.4f}  n 6" in capfd.readouterr().out


def test_a_result_is_saved_to_the_card_and_changes_nothing_else(whole, hub_folder, tmp_path, monkeypatch, capfd):
    run = tmp_path / "run"
    shutil.copytree(whole.out, run)
    before = json.loads((run / "card.json").read_text())
    words = ["evaluate", str(run), "--data", str(hub_folder), "--split", "test", "--json"]
    assert command.main(words) == 0
    assert json.loads((run / "card.json").read_text()) == before
    # Another split, evaluated and saved while this one is.
    before["results"]["other"] = {"accuracy": 0.5}

    def meanwhile(*given):
        (run / "card.json").write_text(json.dumps(before))
        return evaluate(*given)

    monkeypatch.setattr("training.evaluate.evaluate", meanwhile)
    assert command.main([*words, "--save"]) == 0
    found = json.loads(capfd.readouterr().out.splitlines()[-1])
    after = json.loads((run / "card.json").read_text())
    sha256 = data.load(str(hub_folder), "test", studies.LABELS, 32).sha256
    assert after["results"].pop("test") == found | {"sha256": sha256}
    assert after == before


def test_pictures_that_a_run_was_trained_on_are_told_where_they_judge_it(whole, hub_folder, tmp_path, caplog):
    source = studies.leak(hub_folder, tmp_path / "made", "test", (2, 1))
    words = ["evaluate", str(whole.out), "--data", str(source), "--split"]
    assert command.main([*words, "test"]) == 0
    told = "3 of the 7 pictures to judge by had a part in the training, too."
    assert caplog.messages.count(told) == 1
    assert command.main([*words, "train"]) == 0
    # What lies beside them now is not what the run was trained on.
    train = next(source.rglob("train-*.parquet"))
    studies.write_parquet(train, studies.rows_of((5, 5)), studies.features_of(label=studies.LABELS))
    assert command.main([*words, "test"]) == 0
    assert sum("had a part in the training" in message for message in caplog.messages) == 1


def test_train_says_where_its_run_lies_which_trials_and_sweeps_have_for_a_while_only(whole, monkeypatch, capfd):
    monkeypatch.setattr(loop, "train", lambda *_: whole.card)
    assert command.main(["train", "cifar10/adam", "--out", "here"]) == 0
    assert capfd.readouterr().out == "written to here\n"
    assert whole.said[-1].startswith("made/sgd: validation accuracy ")
    assert str(whole.out) not in "".join(whole.said)


def test_a_recipe_without_a_data_set_asks_for_pictures(monkeypatch, capfd):
    table = studies.recipe(hub=None, original=None)
    monkeypatch.setattr(recipes, "find", lambda task: table)
    for words in (["train", "made/sgd"], ["tune", "made/adam"], ["sweep", "made"], ["pack", "made", "--split", "a"]):
        assert command.main([*words, *(["--out", "none"] if words[0] == "pack" else [])]) == 2
        assert (
            capfd.readouterr().err
            == "The recipe of made names no data set on the Hub: name your pictures with --data.\n"
        )
    assert command.main(["list", "made"]) == 0
    said = capfd.readouterr().out
    assert "4 epochs of your own pictures\n" in said
    assert "original" not in said


def test_tensorflow_is_imported_for_shards_without_its_own_lines(hub_folder, tmp_path, monkeypatch):
    came = []
    monkeypatch.setattr(command, "import_keras", lambda: came.append("quietly"))
    monkeypatch.setattr(records, "pack", lambda *_: came.append("packed"))
    words = ["pack", "cifar10", "--data", str(hub_folder), "--split", "test", "--out", str(tmp_path)]
    assert command.main(words) == 0
    assert came == ["quietly", "packed"]


def test_nobody_is_warned_that_each_network_of_a_sweep_is_traced(caplog, capfd):
    assert command.main(["list", "cats_vs_dogs"]) == 0
    step = tf.function(lambda number: number, autograph=False)
    for number in range(6):
        step(number)
    assert caplog.messages == []
    tf.get_logger().warning("Another warning")
    assert caplog.messages == ["Another warning"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("evaluate", "cats_vs_dogs/nobody", "--data", "DATA", "--split", "test"), "no run or folder called"),
        (("evaluate", "RUN", "--data", "nowhere", "--split", "test"), "no data folder nowhere"),
        (("evaluate", "RUN", "--data", "DATA", "--split", "holdout"), "no split 'holdout'; it has: test, train"),
        (("evaluate", "RUN", "--data", "DATA"), "one must be chosen"),
        (("train", "cats_vs_dogs/nobody"), "no run called 'nobody'"),
        (("train", "nothing"), "named TASK/RUN"),
        (("train", "cats_vs_dogs/adam", "--data", "nowhere"), "no data folder nowhere"),
        (("train", "cats_vs_dogs/adam", "--data", "DATA", "--epochs", "0"), "at least one epoch"),
        (("train", "cats_vs_dogs/adam", "--data", "DATA", "--weights", "nothing.h5"), "no weights file nothing.h5"),
        (("tune", "birds/adam"), "no recipe for 'birds'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_status_2(words, sentence, whole, hub_folder, capfd):
    places = {"RUN": str(whole.out), "DATA": str(hub_folder)}
    assert command.main([places.get(word, word) for word in words]) == 2
    out, error = capfd.readouterr()
    assert sentence in error
    assert error.count("\n") == 1
    assert out.count("\n") <= 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("train", "made/sgd", "--cache-gb", "nan"), "a number of gigabytes"),
        (("train", "made/sgd", "--cache-gb", "inf"), "a number of gigabytes"),
        (("tune", "made/sgd", "--steps", "0"), "a whole number from 1 on"),
        (("tune", "made/sgd", "--steps", "-5"), "a whole number from 1 on"),
    ],
)
def test_a_number_that_is_none_is_refused_before_anything_is_done(words, sentence, capfd):
    with pytest.raises(SystemExit):
        command.main([*words])
    assert sentence in capfd.readouterr().err


def test_an_unknown_run_ends_a_process_without_a_traceback():
    said = asked("evaluate", "cats_vs_dogs/nobody", "--data", ".", "--split", "test", "--json")
    assert said.returncode == 2
    assert not said.stdout
    assert said.stderr.startswith("There is no run or folder called 'cats_vs_dogs/nobody'")
    assert said.stderr.count("\n") == 1


@pytest.fixture
def recipe(monkeypatch):
    """The small study as a recipe that the command line knows."""
    made = studies.recipe()
    monkeypatch.setattr(recipes, "names", lambda: ["made"])
    monkeypatch.setattr(recipes, "find", lambda task: made)
    return made


def test_train_writes_a_run_that_its_own_command_makes_again(recipe, hub_folder, base_weights, tmp_path, capfd):
    words = ["train", "made/sgd", "--data", str(hub_folder), "--weights", str(base_weights), "--out", str(tmp_path)]
    assert command.main([*words, "--seed", "3", "--epochs", "1"]) == 0
    said = capfd.readouterr().out
    assert "16 pictures to train on, 8 to validate, 1 epochs" in said
    assert "epoch 1 of 1" in said
    card = Card.read(tmp_path / "card.json")
    assert card.command.split()[:5] == ["python", "-m", "training", "train", "made/sgd"]
    assert card.command.endswith("--weights plain.weights.h5 --seed 3 --epochs 1")
    assert card.seed == 3
    assert command.main([*words, "--resume"]) == 2
    assert "is finished" in capfd.readouterr().err


def test_list_shows_every_run_with_its_result_or_none(recipe, monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(command, "CHECKPOINTS", tmp_path)
    folder = tmp_path / "made" / "adam"
    folder.mkdir(parents=True)
    results = {"validation": {"accuracy": 0.75, "n": 8}, "best": {"val_accuracy": 0.8}}
    Card("made", "adam", "TinyNet", studies.LABELS, 32, 1, results=results).write(folder / "card.json")
    assert command.main(["list"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert "original: none" in lines[1]
    assert next(line for line in lines if "made/adam" in line).endswith("validation accuracy 0.7500 (n 8)")
    assert next(line for line in lines if "made/sgd" in line).endswith("not trained yet")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (KeyboardInterrupt(), "--resume goes on from there"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "rates.csv"), "rates.csv cannot be read or written"),
    ],
)
def test_a_stop_is_one_sentence(recipe, monkeypatch, capfd, error, sentence):
    def stop(*_, **__):
        raise error

    monkeypatch.setattr("training.loop.train", stop)
    assert command.main(["train", "made/sgd", "--data", "."]) == 2
    said = capfd.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_how_a_training_runs_is_asked_for_by_flags(recipe, monkeypatch, tmp_path):
    asked_for = []
    monkeypatch.setattr("training.loop.train", lambda *arguments: asked_for.append(arguments[-1]))
    assert command.main(["train", "made/sgd", "--data", "x"]) == 0
    flags = ["--mixed", "--devices", "all", "--logs", str(tmp_path), "--cache-gb", "0.5"]
    assert command.main(["train", "made/sgd", "--data", "x", *flags]) == 0
    assert asked_for == [Setup(), Setup(Cache(most=500_000_000), True, True, tmp_path)]


def test_pack_writes_shards_that_evaluate_reads(recipe, whole, hub_folder, tmp_path, capfd):
    arguments = ["pack", "made", "--data", str(hub_folder), "--split", "test", "--out", str(tmp_path)]
    assert command.main([*arguments, "--shard-size", "4"]) == 0
    said = capfd.readouterr().out.splitlines()
    assert said[:2] == ["4 pictures in 1 shards", "8 pictures in 2 shards"]
    assert said[-1] == f"10 pictures in 3 shards, written to {tmp_path}"
    results = []
    for source in (hub_folder, tmp_path):
        assert command.main(["evaluate", str(whole.out), "--data", str(source), "--split", "test", "--json"]) == 0
        results.append(json.loads(capfd.readouterr().out))
    assert results[0] == results[1]
    assert command.main([*arguments, "--shard-size", "0"]) == 2
    assert "at least one picture" in capfd.readouterr().err
