"""Which runs there are, what they are called, and which can lie side by side."""

import gc
import weakref

import numpy as np
import pytest
from PIL import Image

import models
from explain import Explainer
from models import Card, ModelError
from tests.explain.networks import classifier, few
from ui import runs


def card(name: str, **other) -> Card:
    task, run = name.split("/")
    facts = {"architecture": "EfficientNetB0", "labels": ("cat", "dog"), "input_size": 224, "units": 1} | other
    return Card(task, run, **facts)


@pytest.fixture
def checkpoints(tmp_path, monkeypatch):
    """A folder of cards alone; loading one gives its name, or fails where the name says so."""

    def add(name: str, **other) -> None:
        (tmp_path / name).mkdir(parents=True)
        card(name, **other).write(tmp_path / name / "card.json")

    def find(name: str) -> models.Run:
        if "damaged" in name:
            raise ModelError("The weights are not those of its card.")
        return models.Run(name, card(name), lambda: name)

    monkeypatch.setattr(models, "CHECKPOINTS", tmp_path)
    monkeypatch.setattr(models, "names", lambda: models.store.names(tmp_path))
    monkeypatch.setattr(models, "find", find)
    monkeypatch.setattr(runs, "remember", lambda run: run.model)
    monkeypatch.setattr(runs, "prepare", lambda network, _: network)
    monkeypatch.setattr(runs, "_refused", set())
    # A name leaves no garbage, and to look for some takes a second among all that other tests have loaded.
    monkeypatch.setattr(gc, "collect", lambda: 0)
    for kept in (runs.cards, runs._shipped):
        kept.cache_clear()
    yield add
    for kept in (runs.cards, runs._shipped):
        kept.cache_clear()


def test_cats_and_dogs_come_first_and_the_pair_before_other_seeds(checkpoints):
    for name in ("cifar10/sgd", "cats_vs_dogs/adam-seed1", "cats_vs_dogs/adam", "cats_vs_dogs/sgd-seed1"):
        checkpoints(name)
    checkpoints("cats_vs_dogs/sgd")
    assert runs.tasks() == ["cats_vs_dogs", "cifar10"]
    names = [name.split("/")[1] for name in runs.runs_of("cats_vs_dogs")]
    assert names == ["sgd", "adam", "sgd-seed1", "adam-seed1"]
    assert [runs.title(name) for name in runs.runs_of("cats_vs_dogs")] == ["SGD", "Adam", "SGD seed 1", "Adam seed 1"]
    assert [runs.title(f"cifar10/{run}") for run in ("cnn3", "tuned")] == ["CNN3", "tuned"]


def test_a_damaged_card_is_left_out(checkpoints, tmp_path):
    checkpoints("cats_vs_dogs/sgd")
    (tmp_path / "cats_vs_dogs" / "adam").mkdir()
    (tmp_path / "cats_vs_dogs" / "adam" / "card.json").write_text("{")
    assert runs.runs_of("cats_vs_dogs") == ["cats_vs_dogs/sgd"]


def test_no_checkpoints_are_no_tasks(checkpoints):
    assert runs.tasks() == []


def test_a_run_that_cannot_be_loaded_is_named_and_the_rest_is_shown(checkpoints):
    for name in ("pets/adam-damaged", "pets/sgd"):
        checkpoints(name)
    fit, sentences = runs.usable(["pets/adam-damaged", "pets/sgd"])
    assert fit == ["pets/sgd"]
    assert sentences == ["Adam damaged cannot be shown. The weights are not those of its card."]
    assert runs.at_hand(["pets/adam-damaged", "pets/sgd"])


def test_a_run_that_gave_way_to_others_is_no_longer_at_hand(checkpoints):
    names = [f"pets/sgd-seed{number}" for number in range(runs.MOST_LOADED + 1)]
    for name in names:
        checkpoints(name)
        assert not runs.at_hand([name])
        runs.usable([name])
        assert runs.at_hand([name])
    assert not runs.at_hand(names[:1])
    assert runs.at_hand(names[1:])


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"input_size": 160}, "takes pictures of 160 px and SGD of 224 px"),
        ({"labels": ("dog", "cat")}, "tells other classes apart than SGD"),
        ({"labels": ("cat", "dog", "cow")}, "tells 3 classes apart and SGD 2"),
        ({"architecture": "EfficientNetB3"}, "has other layers than SGD"),
    ],
)
def test_runs_that_cannot_lie_side_by_side(checkpoints, other, why):
    checkpoints("pets/sgd")
    checkpoints("pets/adam", **other)
    checkpoints("wolves/sgd", **other)
    fit, sentences = runs.usable(["pets/sgd", "pets/adam"])
    assert fit == ["pets/sgd"]
    assert sentences == [f"Adam {why}: their maps cannot lie side by side."]
    # Two of one title are told apart by their tasks.
    (sentence,) = runs.usable(["pets/sgd", "wolves/sgd"])[1]
    assert sentence == f"wolves/sgd {why.replace('SGD', 'pets/sgd')}: their maps cannot lie side by side."


def test_the_same_run_on_both_sides_is_one(checkpoints):
    checkpoints("pets/sgd")
    assert runs.usable(["pets/sgd", "pets/sgd"]) == (["pets/sgd"], [])


@pytest.mark.parametrize("also", ["", "class 3", "nothing"])
def test_among_many_classes_the_likeliest_are_explained_and_one_that_is_asked_for(monkeypatch, also):
    count = runs.MOST_CLASSES + 5
    labels = tuple(f"class {number}" for number in range(count))
    network = classifier(few(32), units=count)
    # The likelier, the later: the first five are not explained by themselves.
    network.layers[-1].kernel.assign(np.zeros(network.layers[-1].kernel.shape))
    network.layers[-1].bias.assign(np.arange(count))
    explainer = Explainer(network, labels)
    monkeypatch.setattr(runs, "explainer", lambda name: explainer)
    (found,) = runs.explain(Image.new("RGB", (40, 40), "teal"), ["task/run"], also=also).values()
    likeliest = labels[:4:-1]
    assert found.targets == (likeliest if also != "class 3" else (*likeliest[:-1], "class 3"))


class Network:
    """Something that only a collection of garbage takes away."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture
def networks(monkeypatch):
    """Loading gives a Network, and what was loaded before comes back afterwards."""
    monkeypatch.setattr(models, "find", lambda name: models.Run(name, card("task/run"), Network))
    monkeypatch.setattr(runs, "remember", lambda run: run.model)
    monkeypatch.setattr(runs, "prepare", lambda network, _: network)
    before = list(runs._shipped.cache.items())
    runs._shipped.cache.clear()
    gc.unfreeze()
    yield
    runs._shipped.cache.clear()
    for key, value in before:
        runs._shipped.cache[key] = value


def test_what_is_loaded_is_left_out_of_collections_until_it_is_given_up(networks, monkeypatch):
    first = weakref.ref(runs._shipped("0"))
    assert gc.get_freeze_count() > len(gc.get_objects())
    with monkeypatch.context() as patch:
        # What goes now, goes at once; a collection takes a second among all that other tests have loaded.
        patch.setattr(gc, "collect", lambda: 0)
        for number in range(1, runs.MOST_LOADED):
            runs._shipped(str(number))
    assert first() is not None
    runs._shipped(str(runs.MOST_LOADED))
    assert first() is not None
    # It went out of the cache with the last load, and goes from memory with the next one.
    runs._shipped("another")
    assert first() is None


def test_a_few_networks_are_kept_and_the_one_longest_unused_goes(networks, monkeypatch):
    monkeypatch.setattr(gc, "collect", lambda: 0)
    loaded = {name: runs._shipped(name) for name in "abcdef"}
    assert runs._shipped("a") is loaded["a"]
    runs._shipped("g")
    assert len(runs._shipped.cache) == runs.MOST_LOADED
    assert runs._shipped("a") is loaded["a"]
    assert runs._shipped("b") is not loaded["b"]
