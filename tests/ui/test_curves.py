"""What the Curves page is told of a task."""

import json
from dataclasses import replace

import pytest

import models
from training.tables import read
from ui import curves, runs


def test_the_page_shows_what_the_files_say():
    meta = curves.meta("cats_vs_dogs")
    assert meta["classes"] == 2
    assert [run["id"] for run in meta["runs"]] == [name.split("/")[1] for name in runs.runs_of("cats_vs_dogs")]
    assert {run["id"] for run in meta["runs"] if run["first"]} == {"sgd", "adam"}
    for run in meta["runs"]:
        folder = models.CHECKPOINTS / "cats_vs_dogs" / run["id"]
        card = json.loads((folder / "card.json").read_text())
        for told, row in zip(run["history"], read(folder / "history.csv"), strict=True):
            assert told == {key: float(row[key]) for key in told}
            assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(told)
        assert run["test"] == card["results"]["test"]["accuracy"]
        assert run["best"] == {key: card["results"]["best"][key] for key in run["best"]}
        assert run["hue"] == {"SGD": "a", "Adam": "b"}[card["optimizer"]["name"]]


def test_each_run_has_the_hue_that_it_has_on_look_and_a_place_among_those_of_it():
    told = {run["id"]: (run["hue"], run["nth"]) for run in curves.meta("cifar10")["runs"]}
    assert told == {"sgd": ("a", 0), "adam": ("b", 0), "cnn1": ("c", 0), "cnn2": ("c", 1), "cnn3": ("c", 2)}


def test_the_recipe_is_that_of_the_card():
    told = dict(curves.recipe(runs.cards()["cats_vs_dogs/sgd"]))
    assert told["network"] == "EfficientNetB0, 1 logit"
    assert told["trained on"] == "2,900 photographs"
    assert told["views"] == "turned up to 40°, shear 0.2, zoom 0.2, mirrored"
    assert told["trained"] == "all blocks, 3 epochs"
    assert told["schedule"] == "cosine, after a rise in the first 10 % of a stage"
    assert dict(curves.recipe(runs.cards()["cats_vs_dogs/sgd-study"]))["schedule"] == "constant"


def test_the_page_says_whose_the_recipe_is(monkeypatch):
    meta = curves.meta("cifar10")
    assert (meta["whose"], dict(meta["recipe"])["network"]) == ("SGD and Adam", "EfficientNetB0, 10 logits")
    cards = runs.cards()
    small = {name: card for name, card in cards.items() if name.startswith(("cats_vs_dogs/", "cifar10/cnn"))}
    monkeypatch.setattr(runs, "cards", lambda: small)
    meta = curves.meta("cifar10")
    assert (meta["whose"], dict(meta["recipe"])["sees"]) == ("CNN1", "32 x 32 px")
    assert [run["id"] for run in meta["runs"] if run["first"]] == ["cnn1"]
    # Of runs without a history nothing is told, and nothing of another task's.
    monkeypatch.setattr(curves, "history", lambda name: [])
    meta = curves.meta("cifar10")
    assert (meta["whose"], meta["recipe"], meta["classes"]) == ("", [], 10)


def test_where_the_two_recipes_differ_it_is_said_whose_is_what():
    cards = {"SGD": runs.cards()["cats_vs_dogs/sgd"], "Adam": runs.cards()["cats_vs_dogs/adam-study"]}
    told = dict(curves.recipes(cards))
    assert told["batch"] == "SGD: 32, 91 steps an epoch; Adam: 20, 90 steps an epoch"
    assert told["trained on"] == "2,900 photographs"
    assert curves.recipes({"": cards["SGD"]}) == curves.recipe(cards["SGD"])


def test_what_explains_the_two_losses_is_told_where_the_card_has_it():
    cards = {title: runs.cards()[f"food101/{title.lower()}"] for title in ("SGD", "Adam")}
    told = dict(curves.meta("food101")["recipe"])
    # The entropy of the smoothed labels: 0.1 / 101 for each of 100 classes, the rest for the right one.
    assert "smoothed by 0.1 in training, whose loss is never below 0.78" in told["loss"]
    assert told["precision"] == cards["SGD"].training["precision"]
    assert told["optimizers"] == curves.optimizers(cards)
    assert told["optimizers"].startswith("SGD: momentum 0.9, each variable's gradient cut at a norm of 0.1; Adam: the")
    assert "loss" not in dict(curves.meta("cats_vs_dogs")["recipe"])


def test_each_run_of_the_pair_took_its_time_on_every_machine_that_it_ran_on():
    here, gpu = ("8 cores, arm64, Linux, Python 3.11.7, keras 3.15.1 on jax" + more for more in ("", ", NVIDIA H200"))
    card = replace(runs.cards()["cats_vs_dogs/sgd"], seconds=180.0)
    for machine, told in ((here, "8 cores"), (gpu, "NVIDIA H200"), (f"{gpu}; {here}", "NVIDIA H200 and 8 cores")):
        one = replace(card, machine=machine)
        assert curves.took({"": one}) == f"3 min on {told}"
        assert curves.took({"SGD": one, "Adam": replace(one, seconds=240.0)}) == f"SGD 3 min, Adam 4 min on {told}"


def test_the_page_says_how_long_each_run_of_the_pair_took_and_no_other():
    cards = {run: runs.cards()[f"cats_vs_dogs/{run}"] for run in ("sgd", "adam")}
    told = dict(curves.meta("cats_vs_dogs")["recipe"])["took"]
    assert told.startswith(", ".join(f"{runs.title(card.name)} {card.seconds / 60:.0f} min" for card in cards.values()))
    assert "seed" not in told


def test_the_note_is_the_study_s_own_words_without_its_tables_and_commands(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "STUDIES", tmp_path)
    assert curves._note("letters") == []
    (tmp_path / "letters").mkdir()
    text = (
        "# letters\n\nOne network,\ntwo optimizers: `sgd` and `adam`:\n\n    train sgd\n    train adam --resume\n\n"
        "The first alone\ntrains both.\n\n| a | b |\n\n## Again\n\n```sh\npython -m training\n```\n"
    )
    (tmp_path / "letters" / "note.md").write_text(text)
    assert curves._note("letters") == [
        ("p", "One network, two optimizers: sgd and adam:"),
        ("pre", "train sgd\ntrain adam --resume"),
        ("p", "The first alone trains both."),
    ]


@pytest.mark.parametrize("content", [None, "", "epoch,loss\n1,much\n", "\x00\x01"])
def test_a_history_that_cannot_be_read_is_none(content, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "CHECKPOINTS", tmp_path)
    if content is not None:
        (tmp_path / "history.csv").write_text(content)
    assert not any(curves.history(""))
