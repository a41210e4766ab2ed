"""`python -m models`: what is there, what is known about it, and whether it can be trusted."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from PIL import Image

from models import Card, graphs, load, names, save
from models import __main__ as command
from models.describe import facts
from tests.training.studies import tiny_net

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "assets" / "checkpoints"
SIZE = 32
RESULTS = {
    "validation": {"accuracy": 0.975, "loss": 0.0812345, "n": 400},
    "best": {"val_accuracy": 0.98, "val_loss": 0.07},
    "test": {"accuracy": 0.9612, "loss": 0.1, "n": 500, "sha256": "c0ffee"},
}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(4)
    keras.applications.SmallNet = tiny_net
    yield graphs.build("SmallNet", SIZE, 1)
    del keras.applications.SmallNet


@pytest.fixture(scope="module")
def checkpoints(model, tmp_path_factory):
    """Two runs: one with everything, one whose card is damaged and whose weights are gone."""
    folder = tmp_path_factory.mktemp("checkpoints")
    card = Card(
        "cats_vs_dogs",
        "adam",
        "SmallNet",
        ("cat", "dog"),
        SIZE,
        1,
        head={"dropout": 0.2},
        preprocessing={"fit": "crop", "pixels": "0..255", "source_size": None},
        optimizer={"name": "Adam", "learning_rate": 0.0003, "schedule": "cosine"},
        training={"batch_size": 32, "stages": [{"epochs": 3, "trainable": "all", "rate": 1.0}]},
        data={"hub": "microsoft/cats_vs_dogs", "shares": {}, "subset": False, "train": {"n": 2900, "sha256": "ab"}},
        seed=7,
        epochs=3,
        results=RESULTS,
        machine="2 cores",
        seconds=120,
        command="python -m training train cats_vs_dogs/adam",
    )
    save(model, card, folder / "cats_vs_dogs" / "adam")
    (folder / "cats_vs_dogs" / "torn").mkdir()
    (folder / "cats_vs_dogs" / "torn" / "card.json").write_text("{")
    return folder


@pytest.fixture(autouse=True)
def at_home(checkpoints, monkeypatch):
    """The runs that the command line knows by name."""
    monkeypatch.setattr(command, "CHECKPOINTS", checkpoints)


def said(capfd, *words: object) -> str:
    """What a command that succeeds prints."""
    status = command.main([str(word) for word in words])
    out, error = capfd.readouterr()
    assert (status, error) == (0, "")
    return out


def refused(capfd, *words: object) -> str:
    """The one sentence on stderr of a command that cannot be done."""
    status = command.main([str(word) for word in words])
    out, error = capfd.readouterr()
    assert (status, out) == (2, "")
    assert error.count("\n") == 1
    assert error.endswith(".\n")
    return error


def test_list_is_a_table_of_runs(capfd, checkpoints):
    head, adam, torn = (line.split("  ") for line in said(capfd, "list").splitlines())
    cells = [[word.strip() for word in row if word.strip()] for row in (head, adam, torn)]
    # A small network's weights, which have 0.0 MB.
    size = (checkpoints / "cats_vs_dogs/adam/model.weights.h5").stat().st_size / 1e3
    assert cells == [
        ["run", "optimizer", "seed", "validation", "test", "size"],
        ["cats_vs_dogs/adam", "Adam 0.0003", "7", "0.9750", "0.9612", f"{size:.1f} kB"],
        ["cats_vs_dogs/torn", "damaged card", "-", "-", "-", "no weights"],
    ]


def test_list_of_nothing_says_so(capfd, monkeypatch, tmp_path):
    monkeypatch.setattr(command, "CHECKPOINTS", tmp_path)
    assert said(capfd, "list") == f"There are no runs in {tmp_path}.\n"


def test_card_says_what_there_is_for_a_person(capfd):
    lines = said(capfd, "card", "cats_vs_dogs/adam").splitlines()
    facts = {line[:20].strip(): line[20:].strip() for line in lines[1:]}
    assert lines[0] == "cats_vs_dogs/adam"
    assert facts["network"] == "SmallNet, 32 px, 1 logit for cat, dog"
    assert facts["sees"] == "the square in the middle, pixels 0..255"
    assert facts["optimizer"] == "Adam, learning rate 0.0003, schedule cosine"
    assert facts["stages"] == "epochs 3, trainable all, rate 1"
    assert facts["data"] == "microsoft/cats_vs_dogs, 2900 for train"
    assert facts["test results"] == "accuracy 0.9612, loss 0.1, n 500"
    assert facts["took"] == "2 min on 2 cores"
    assert facts["made by"] == "python -m training train cats_vs_dogs/adam"
    assert "started from" not in facts


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*/*/card.json")), ids=lambda file: file.parent.name)
def test_every_shipped_card_is_said(file):
    card = Card.read(file)
    told = facts(card)
    assert f"{card.data['train']['n']} for train" in told["data"]
    assert f"n {card.results['test']['n']}" in told["test results"]


@pytest.mark.parametrize("ending", ["", ".keras"])
def test_a_name_too_long_for_a_file_is_one_sentence(capfd, ending):
    assert "File name too long" in refused(capfd, "check", "a" * 300 + ending)


def test_card_as_json_is_the_card(capfd, checkpoints):
    out = said(capfd, "card", checkpoints / "cats_vs_dogs/adam", "--json")
    assert out.count("\n") == 1
    assert json.loads(out) == json.loads((checkpoints / "cats_vs_dogs/adam/card.json").read_text())


def test_check_of_a_run_says_that_it_is_its_card_s(capfd, checkpoints):
    sentences = said(capfd, "check", "cats_vs_dogs/adam").splitlines()
    sha256 = load(checkpoints / "cats_vs_dogs/adam").card.sha256
    assert sentences[0] == "cats_vs_dogs/adam can be used: SmallNet, 32 px, 1 logit for cat, dog."
    assert sentences[1] == f"The weights are those of its card (sha256 {sha256[:12]})."
    assert sentences[2] == "It gives the logits of its card on the fixed picture."


def test_check_says_what_it_could_not_check(capfd, checkpoints, tmp_path):
    folder = tmp_path / "bare"
    shutil.copytree(checkpoints / "cats_vs_dogs/adam", folder)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"sha256": "", "fingerprint": []}))
    out = said(capfd, "check", folder)
    assert "no sha256" in out
    assert "no fingerprint" in out


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"sha256": "0" * 64}, "not those of its card"),
        ({"fingerprint": [3.5]}, "does not give the logits of its card"),
        ({"architecture": "EfficientNetB9"}, "no network called 'EfficientNetB9'"),
        ({"units": 2}, "do not fit SmallNet"),
    ],
)
def test_check_refuses_what_is_not_its_card_s(capfd, checkpoints, tmp_path, change, sentence):
    folder = tmp_path / "other"
    shutil.copytree(checkpoints / "cats_vs_dogs/adam", folder)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | change))
    assert sentence in refused(capfd, "check", folder)


@pytest.mark.parametrize("nested", [False, True])
def test_check_of_a_strangers_keras_file_says_what_it_is(capfd, model, tmp_path, nested):
    stranger = model
    if nested:
        image = keras.Input((SIZE, SIZE, 3))
        inner = graphs.backbone_of(model)
        pooled = keras.layers.GlobalAveragePooling2D()(inner(image))
        stranger = keras.Model(image, keras.layers.Dense(5)(pooled), name="mine")
    stranger.save(tmp_path / "mine.keras")
    first, second, third = said(capfd, "check", tmp_path / "mine.keras").splitlines()
    count = len(model.layers) - (1 if nested else 0)
    wanted = ("mine", "5 logits", count + 1) if nested else ("smallnet", "1 logit", count)
    assert first == "mine.keras can be used: {}, 32 px, {}, {} layers.".format(*wanted)
    assert second == ("It has 2 blocks of an EfficientNet: 1a 2a.")
    assert third.startswith("It has no card")


def small(seen: tuple, *layers) -> keras.Model:
    return keras.Sequential([keras.Input(seen), *layers])


def test_check_of_another_kind_of_network(capfd, tmp_path):
    network = small(
        (None, None, 3), keras.layers.Conv2D(4, 3), keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(3)
    )
    network.save(tmp_path / "plain.keras")
    out = said(capfd, "check", tmp_path / "plain.keras")
    assert "224 px, 3 logits, 3 layers" in out
    assert "no blocks of an EfficientNet" in out


@pytest.mark.parametrize(
    "stranger",
    [
        small((8,), keras.layers.Dense(3)),
        small((8, 8, 1), keras.layers.Flatten(), keras.layers.Dense(3)),
        small((8, 6, 3), keras.layers.Flatten(), keras.layers.Dense(3)),
        small((8, 8, 3), keras.layers.Conv2D(2, 3)),
    ],
    ids=["numbers", "grey", "not square", "a map"],
)
def test_a_model_that_is_no_classifier_of_pictures_is_one_sentence(capfd, tmp_path, stranger):
    stranger.save(tmp_path / "odd.keras")
    assert "no classifier" in refused(capfd, "check", tmp_path / "odd.keras")


def test_a_model_with_two_inputs_is_one_sentence(capfd, tmp_path):
    one, two = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    keras.Model([one, two], keras.layers.GlobalMaxPooling2D()(one + two)).save(tmp_path / "two.keras")
    assert "no classifier" in refused(capfd, "check", tmp_path / "two.keras")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("check", "cats_vs_dogs/nobody"), "the runs here are: cats_vs_dogs/adam, cats_vs_dogs/torn"),
        (("card", "cats_vs_dogs/nobody"), "the runs here are"),
        (("check", "nothing.keras"), "There is no file nothing.keras"),
        (("card", "mine.keras"), "has no card"),
        (("card", "cats_vs_dogs/torn"), "damaged or not JSON"),
        (("check", "cats_vs_dogs/torn"), "damaged or not JSON"),
        (("check", str(ROOT / "pyproject.toml")), "neither a folder with a card.json nor a .keras file"),
        (("check", "hf://nobody"), "is named hf://user/repo"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_status_2(capfd, words, sentence):
    assert sentence in refused(capfd, *words)


def test_an_export_is_one_sentence_unless_a_card_lies_beside_it(capfd, tmp_path):
    (tmp_path / "saved_model.pb").touch()
    for word in ("check", "card"):
        assert f"{tmp_path} is a SavedModel" in refused(capfd, word, tmp_path)
    (tmp_path / "card.json").write_text("{}")
    assert "SavedModel" not in refused(capfd, "card", tmp_path)


@pytest.mark.skipif(not names(), reason="no run is shipped yet")
def test_a_shipped_run_is_found_good_and_nothing_else_is_printed():
    ended = subprocess.run(
        [sys.executable, "-m", "models", "check", names()[0]], cwd=ROOT, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line.partition(" ")[0] for line in ended.stdout.splitlines()] == [names()[0], "The", "It"]


def test_listing_does_not_wait_for_keras():
    code = "import sys; from models.__main__ import main; main(['list']); print('keras' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    "words",
    [
        ["models", "check", "cats_vs_dogs/adam"],
        ["explain", "{photo}", "--model", "cats_vs_dogs/adam", "--out", "{out}"],
        ["training", "train", "cats_vs_dogs/adam", "--data", ".", "--out", "{out}"],
    ],
    ids=lambda words: words[0],
)
def test_a_backend_that_is_not_there_is_one_sentence(words, tmp_path):
    photo = tmp_path / "photo.png"
    Image.new("RGB", (32, 32)).save(photo)
    asked = [word.format(photo=photo, out=tmp_path / "out") for word in words]
    # What was remembered of a run needs no Keras.
    surroundings = os.environ | {"KERAS_BACKEND": "theano", "PARALLAX_GRAPHS": ""}
    ended = subprocess.run(
        [sys.executable, "-m", *asked], cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("Keras cannot be had with KERAS_BACKEND=theano here; it knows")
    assert "Traceback" not in ended.stderr
