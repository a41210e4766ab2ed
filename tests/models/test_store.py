"""A run saved is the run loaded: in a new process, with the right weights and the right graph, or not at all."""

import errno
import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np
import pytest

from models import Card, ModelError, Run, find, graphs, load, save
from models.fingerprint import fingerprint, picture, same
from models.store import CHECKPOINTS
from tests.explain.networks import small_net

ROOT = Path(__file__).parents[2]
SIZE = 64


@pytest.fixture(scope="module")
def small():
    """Its name among `keras.applications`."""
    keras.applications.SmallNet = small_net
    yield "SmallNet"
    del keras.applications.SmallNet


@pytest.fixture(scope="module")
def model(small):
    keras.utils.set_random_seed(3)
    built = graphs.build(small, SIZE, 1)
    for layer in built.layers:
        if isinstance(layer, keras.layers.Normalization):
            # The values that a training sets; with the defaults a lost mean would go unseen.
            layer.set_weights([np.array([0.5, 0.4, 0.3]), np.array([0.05, 0.06, 0.07]), np.array(0)])
            layer.finalize_state()
        if isinstance(layer, keras.layers.BatchNormalization):
            # Without this an untrained network answers every picture with nearly zero.
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights([gamma * 2, beta + 0.1, mean, variance * 0.5])
    return built


@pytest.fixture(scope="module")
def card(small):
    return Card("cats_vs_dogs", "test", small, ("cat", "dog"), SIZE, 1, head={"dropout": 0.2})


@pytest.fixture(scope="module")
def folder(model, card, tmp_path_factory):
    where = tmp_path_factory.mktemp("checkpoints") / "cats_vs_dogs" / "test"
    save(model, card, where)
    return where


def test_a_new_process_gives_the_same_logits(folder):
    code = (
        "import sys, models; from models.quiet import import_keras; import_keras();"
        "from models.fingerprint import fingerprint; import keras; from tests.explain.networks import small_net;"
        "keras.applications.SmallNet = small_net;"
        "run = models.load(sys.argv[1]); print(*fingerprint(run.model, run.input_size))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    here = load(folder).card.fingerprint
    assert np.allclose([float(word) for word in said.stdout.split()], here, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "folder", sorted(CHECKPOINTS.glob("*/*")), ids=lambda folder: f"{folder.parent.name}/{folder.name}"
)
def test_what_is_shipped_is_small_and_complete(folder):
    assert {file.name for file in folder.iterdir()} == {"card.json", "history.csv", "model.weights.h5"}
    assert (folder / "model.weights.h5").stat().st_size < 8e6


def test_all_that_is_shipped_is_at_most_80_mb():
    assert sum(file.stat().st_size for file in CHECKPOINTS.rglob("*") if file.is_file()) <= 80e6


def test_weights_are_stored_as_float16_and_little_is_lost(model, folder):
    import h5py

    kinds = set()
    with h5py.File(folder / "model.weights.h5") as file:
        file.visititems(lambda _, item: kinds.add(str(item.dtype)) if hasattr(item, "dtype") else None)
    assert "float32" not in kinds
    run = load(folder)
    for stored, own in zip(run.model.get_weights(), model.get_weights(), strict=True):
        # Dropout's generator has integers of its own.
        assert own.dtype != "float32" or np.allclose(stored, own, rtol=1e-3, atol=1e-5)


def test_what_float16_cannot_hold_is_stored_as_it_is(model, card, tmp_path):
    wide = graphs.build(card.architecture, SIZE, 1)
    graphs.copy_weights(model, wide)
    norm = next(layer for layer in wide.layers if isinstance(layer, keras.layers.BatchNormalization))
    gamma, beta, mean, variance = norm.get_weights()
    norm.set_weights([gamma, beta, mean, variance + 70_000])
    save(wide, card, tmp_path)
    stored = load(tmp_path).model.get_layer(norm.name).get_weights()
    assert np.array_equal(stored[3], variance + 70_000)
    assert np.array_equal(stored[0], gamma.astype("float16"))


def test_the_fingerprint_catches_other_weights(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    stranger = graphs.build("SmallNet", SIZE, 1)
    stranger.save_weights(other / "model.weights.h5")
    with pytest.raises(ModelError, match="not those of its card"):
        load(other)
    content = json.loads((other / "card.json").read_text())
    (other / "card.json").write_text(json.dumps(content | {"sha256": ""}))
    with pytest.raises(ModelError, match="does not give the logits of its card"):
        load(other)


def test_the_fingerprint_catches_another_graph(folder):
    run = load(folder)
    image = keras.Input((SIZE, SIZE, 3))
    scaled = keras.Model(image, run.model(keras.layers.Rescaling(1 / 255)(image)))
    assert same(run.card.fingerprint, fingerprint(run.model, SIZE))
    assert not same(run.card.fingerprint, fingerprint(scaled, SIZE))


def test_a_run_is_shown_without_all_that_its_card_says(folder):
    run = load(folder)
    assert repr(run) == "Run(name='cats_vs_dogs/test')"


def test_a_run_that_is_found_is_built_when_its_model_is_asked_for(folder, monkeypatch):
    built = []
    monkeypatch.setattr(graphs, "build", lambda *what, **head: built.append(what) or keras.Model())
    run = find(folder)
    assert (run.labels, run.input_size, built) == (("cat", "dog"), SIZE, [])
    with pytest.raises(ModelError, match="do not fit"):
        _ = run.model
    assert len(built) == 1


def test_a_runs_identity_is_all_that_decides_what_it_computes(folder, tmp_path):
    def identity(**other) -> str:
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
        replace(Card.read(folder / "card.json"), **other).write(tmp_path / "card.json")
        return find(tmp_path).identity

    same = identity()
    assert same == identity() == find(folder).identity != ""
    assert identity(labels=("dog", "cat"), results={"test": {"accuracy": 1.0}}) == same
    others = {"architecture": "B1", "input_size": 96, "units": 2, "head": {"dropout": 0.2, "head_norm": True}}
    assert len({same, *(identity(**{fact: value}) for fact, value in others.items())}) == 5
    assert identity(sha256="") == ""
    identity()
    (tmp_path / "model.weights.h5").write_bytes(b"others")
    with pytest.raises(ModelError, match="not those of its card"):
        find(tmp_path)


def test_loading_leaves_a_model_that_does_not_train(folder):
    run = load(folder)
    before = [weight.copy() for weight in run.model.get_weights()]
    run.model(picture(SIZE), training=True)
    assert not run.model.trainable_weights
    assert all(np.array_equal(a, b) for a, b in zip(before, run.model.get_weights(), strict=True))


@pytest.mark.parametrize("free", [0, 100_000])
def test_a_full_disk_is_one_error_and_the_run_before_stays(folder, model, card, tmp_path, monkeypatch, free):
    shutil.copytree(folder, tmp_path / "run")
    before = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    full = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(OSError, match="No space left"):
        save(model, card, tmp_path / "run")
    assert {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()} == before


def test_a_card_that_cannot_be_written_leaves_the_one_before(card, tmp_path, monkeypatch):
    card.write(tmp_path / "card.json")
    before = (tmp_path / "card.json").read_text()

    def write_half(path, text, **_):
        with path.open("w") as file:
            file.write(text[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", write_half)
    with pytest.raises(OSError, match="No space left") as caught:
        replace(card, seed=1).write(tmp_path / "card.json")
    assert caught.value.filename == str(tmp_path / "card.json")
    assert [file.read_text() for file in tmp_path.iterdir()] == [before]


@pytest.mark.parametrize("part", ["results", "optimizer", "data", "head"])
@pytest.mark.parametrize("value", [None, [], 3])
def test_a_card_with_a_part_of_another_kind_is_one_plain_sentence(card, tmp_path, part, value):
    (tmp_path / "card.json").write_text(json.dumps({**asdict(card), part: value}))
    with pytest.raises(ModelError, match="another kind"):
        Card.read(tmp_path / "card.json")


@pytest.mark.parametrize(
    "change",
    [
        {"seconds": None},
        {"results": {"test": 3}},
        {"preprocessing": {"fit": []}},
        {"training": {"stages": [1]}},
        {"training": {"augmentation": "none"}},
    ],
)
def test_a_card_with_something_of_another_kind_deeper_in_is_one_plain_sentence(card, tmp_path, change):
    (tmp_path / "card.json").write_text(json.dumps({**asdict(card), **change}))
    with pytest.raises(ModelError, match="another kind"):
        Card.read(tmp_path / "card.json")


@pytest.mark.parametrize("harm", ["missing", "truncated", "no card", "card is not json", "card lacks its task"])
def test_a_damaged_checkpoint_is_one_plain_sentence(folder, tmp_path, harm):
    hurt = tmp_path / "hurt"
    shutil.copytree(folder, hurt)
    weights, card = hurt / "model.weights.h5", hurt / "card.json"
    if harm == "missing":
        weights.unlink()
    elif harm == "truncated":
        weights.write_bytes(weights.read_bytes()[:50_000])
    elif harm == "no card":
        card.unlink()
    elif harm == "card is not json":
        card.write_text("{")
    else:
        card.write_text(
            json.dumps({key: value for key, value in json.loads(card.read_text()).items() if key != "task"})
        )
    with pytest.raises(ModelError) as caught:
        load(hurt)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) > 20


def test_an_unknown_run_names_those_that_there_are(folder):
    with pytest.raises(ModelError, match="cats_vs_dogs/test"):
        load("cats_vs_dogs/nobody", folder.parents[1])
    assert load("cats_vs_dogs/test", folder.parents[1]).name == "cats_vs_dogs/test"


def test_a_keras_file_loads_without_a_card(model, tmp_path):
    path = tmp_path / "mine.keras"
    model.save(path)
    run = load(path)
    assert run.labels == ("0", "1")
    assert np.allclose(run.model(picture(SIZE)), model(picture(SIZE), training=False), rtol=1e-4, atol=1e-5)


def test_a_file_of_keras_2_is_told_what_to_become(tmp_path):
    path = tmp_path / "model.h5"
    path.write_bytes(b"\x89HDF")
    with pytest.raises(ModelError, match=r'save it with model\.save\("model\.keras"\)\.$'):
        load(path)


@pytest.mark.parametrize(("labels", "numbered"), [("0 1 2", True), ("cat dog 2", False), ("1 2 3", False)])
def test_classes_that_are_only_numbered_have_no_names(labels, numbered):
    card = Card("task", "run", "CNN1", tuple(labels.split()), SIZE, 3)
    assert Run("task/run", card, lambda: None).numbered is numbered
