"""A study's table, curves and note say what its cards and histories say, and nothing else."""

import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import models
from models import Card
from tests.training import studies as made
from training import __main__ as command
from training import curves, recipes, studies, tables
from training.recipe import Optimizer, Plan, TrainingError
from training.tables import read

HISTORY = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds", "cpu_seconds")


def put(folder, recipe, run, accuracies, parts=False, **changes):
    """The card and history of a run that nobody has trained."""
    optimizer = recipe.plans[run].optimizer
    card = Card(
        recipe.task,
        run,
        "TinyNet",
        recipe.labels,
        32,
        1,
        optimizer={"name": optimizer.name, "learning_rate": optimizer.rate, "schedule": optimizer.schedule},
        training={"batch_size": 8, "steps_per_epoch": 2, "stages": [{"epochs": len(accuracies), "trainable": "all"}]},
        epochs=len(accuracies),
        seconds=12.3,
        cpu_seconds=20.0,
        machine="one machine",
        results={
            "validation": {"accuracy": accuracies[-1], "loss": 0.25, "n": 8},
            "test": {"accuracy": accuracies[-1] - 0.1, "loss": 0.5, "n": 10},
        },
        command=f"python -m training train made/{run}",
    )
    rows = [
        dict(zip(HISTORY, (epoch, 2 / epoch, value - 0.2, 1 / epoch, value, 0.01, 3, 5), strict=True))
        | ({"cross_entropy": 1.5 / epoch, "l2": 0.5 / epoch} if parts else {})
        for epoch, value in enumerate(accuracies, 1)
    ]
    folder.mkdir(parents=True)
    replace(card, **changes).write(folder / "card.json")
    tables.write(folder / "history.csv", list(rows[0]), rows)


@pytest.fixture
def recipe(monkeypatch):
    found = made.recipe()
    monkeypatch.setattr(recipes, "describe", lambda task: "What it is.\n\nWhat differs: everything.")
    monkeypatch.setattr(recipes, "find", lambda task: found)
    return found


@pytest.fixture
def places(recipe, tmp_path):
    """One run with weights, and one that a sweep has left."""
    put(tmp_path / "checkpoints" / "made" / "adam", recipe, "adam", [0.7, 0.9])
    put(tmp_path / "studies" / "made" / "runs" / "sgd", recipe, "sgd", [0.6, 0.8, 0.85])
    return tmp_path / "checkpoints", tmp_path / "studies"


def test_the_table_holds_what_cards_and_histories_hold(recipe, places):
    out = studies.write(recipe, *places)
    rows = read(out / "table.csv")
    assert [row["run"] for row in rows] == ["sgd", "adam"]
    sgd, adam = rows
    assert tuple(sgd) == studies.PAIR
    assert (sgd["optimizer"], sgd["learning_rate"], sgd["epochs"]) == ("SGD", "0.01", "3")
    assert (adam["accuracy"], adam["val_accuracy"], adam["test_accuracy"]) == ("0.7000", "0.9000", "0.8000")
    assert (adam["loss"], adam["val_loss"], adam["seconds"]) == ("1.0000", "0.2500", "12")


def test_curves_are_the_histories(recipe, places):
    out = studies.write(recipe, *places)
    rows = read(out / "curves.csv")
    assert tuple(rows[0]) == studies.CURVES
    assert [(row["run"], row["epoch"], row["val_accuracy"]) for row in rows] == [
        ("sgd", "1", "0.6"),
        ("sgd", "2", "0.8"),
        ("sgd", "3", "0.85"),
        ("adam", "1", "0.7"),
        ("adam", "2", "0.9"),
    ]
    assert {row["l2"] for row in rows} == {""}


def test_a_split_loss_stays_split(recipe, tmp_path):
    put(tmp_path / "made" / "runs" / "sgd", recipe, "sgd", [0.5, 0.6], parts=True)
    out = studies.write(recipe, tmp_path / "none", tmp_path)
    for row in read(out / "curves.csv"):
        assert float(row["cross_entropy"]) + float(row["l2"]) == pytest.approx(float(row["loss"]), abs=1e-5)
    with Image.open(out / "curves.png") as wide, Image.open(drawn(recipe, tmp_path, parts=False)) as narrow:
        assert wide.width > narrow.width


def test_the_note_says_the_recipes_words_the_numbers_and_the_commands(recipe, places):
    note = (studies.write(recipe, *places) / "note.md").read_text()
    assert note.startswith("# made\n\nWhat it is.\n\nWhat differs: everything.\n")
    assert "The original reported: none." in note
    assert "the best on validation is `adam` with 0.9000 (n 8), and 0.8000 (n 10) on test" in note
    assert "of 3 planned runs, 2 are trained" in note
    assert "| sgd | SGD | 0.01 |" in note
    assert "python -m training train made/adam\npython -m training study made\n" in note


def test_the_note_of_a_study_that_reproduces_nothing_speaks_of_no_original(recipe, places):
    note = (studies.write(replace(recipe, original=None), *places) / "note.md").read_text()
    assert "original" not in note
    assert "\n\nHere, of 3 planned runs" in note


def test_the_note_names_every_machine_once(recipe, tmp_path):
    for run, machine in {"adam": "a GPU; two cores", "sgd": "two cores; a GPU", "steady": "four cores"}.items():
        put(tmp_path / "checkpoints" / "made" / run, recipe, run, [0.9], machine=machine)
    note = (studies.write(recipe, tmp_path / "checkpoints", tmp_path / "studies") / "note.md").read_text()
    (line,) = [line for line in note.splitlines() if line.startswith("Machine")]
    assert sorted(line.removeprefix("Machine: ").removesuffix(".").split("; ")) == ["a GPU", "four cores", "two cores"]


def test_a_run_with_weights_goes_before_one_without(recipe, places):
    put(places[1] / "made" / "runs" / "adam", recipe, "adam", [0.1])
    assert [one.history[-1]["val_accuracy"] for one in studies.results(recipe, *places)] == [0.85, 0.9]


def test_what_a_card_of_somebody_else_s_does_not_say_stays_empty(recipe, places):
    put(places[0] / "made" / "steady", recipe, "steady", [0.99])
    Card("made", "steady", "TinyNet", recipe.labels, 32, 1).write(places[0] / "made" / "steady" / "card.json")
    out = studies.write(recipe, *places)
    row = read(out / "table.csv")[2]
    assert (row["run"], row["optimizer"], row["learning_rate"], row["val_accuracy"]) == ("steady", "", "", "")
    assert "the best on validation is `adam`" in (out / "note.md").read_text()
    found = [one for one in studies.results(recipe, *places) if one.run == "steady"]
    alone = studies.note(recipe, found, studies.table(found, studies.PAIR))
    assert "of 3 planned runs, 1 is trained.\n" in alone
    assert "Machine" not in alone
    assert "```sh\npython -m training study made\n```" in alone


def test_a_study_without_runs_is_one_sentence(recipe, tmp_path):
    with pytest.raises(TrainingError, match="No run of made is trained yet"):
        studies.write(recipe, tmp_path, tmp_path)


def drawn(recipe, folder, parts):
    """A picture of one run, beside those of other tests."""
    history = tuple({"epoch": 1, "loss": 1, "accuracy": 0.5, "val_loss": 1, "val_accuracy": 0.5} for _ in range(1))
    card = Card("made", "sgd", "TinyNet", recipe.labels, 32, 1, optimizer={"name": "SGD"})
    card = replace(card, training={"stages": [{"epochs": 1}]}, results={"validation": {"accuracy": 0.5}})
    path = folder / "narrow.png"
    curves.draw(recipe, [studies.Result("sgd", card, history)], path)
    return path


def colours_of(path):
    """How many pixels of a picture have each colour."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    values, counts = np.unique(pixels, axis=0, return_counts=True)
    return {"#{:02X}{:02X}{:02X}".format(*value): int(count) for value, count in zip(values, counts, strict=True)}


def test_sgd_is_blue_and_adam_orange(recipe, places):
    found = colours_of(studies.write(recipe, *places) / "curves.png")
    assert found["#0072B2"] > 500
    assert found["#D55E00"] > 500


def test_long_names_of_many_runs_stay_within_the_picture(recipe, tmp_path):
    plans = {f"inceptionresnetv2-90-rmsprop-{index}": Plan(Optimizer("SGD", 0.01)) for index in range(curves.MOST)}
    for run in plans:
        put(tmp_path / "made" / "runs" / run, replace(recipe, plans=plans), run, [0.5, 0.6])
    out = studies.write(replace(recipe, plans=plans), tmp_path / "none", tmp_path)
    with Image.open(out / "curves.png") as picture:
        assert (np.asarray(picture.convert("L"))[:, -3:] == 255).all()


def test_no_two_runs_look_alike_and_none_needs_its_colour(recipe):
    runs = [f"run{index}" for index in range(curves.MOST)]
    card = Card("made", "", "TinyNet", recipe.labels, 32, 1)
    results = [
        studies.Result(run, replace(card, run=run, optimizer={"name": "SGD" if index % 2 else "Adam"}), ())
        for index, run in enumerate(runs)
    ]
    styles = curves._styles(results)
    assert len({marker for _, marker, _ in styles.values()}) == len(runs)
    assert {colour for colour, _, _ in styles.values()} == {"#0072B2", "#D55E00"}


def test_a_dry_run_on_other_classes_is_told_and_never_the_best(recipe, places, monkeypatch, capsys):
    put(places[1] / "made" / "runs" / "steady", recipe, "steady", [0.99], labels=("cat", "no cat"))
    shown = []
    monkeypatch.setattr(studies, "draw", lambda recipe, results, path: shown.extend(one.run for one in results))
    out = studies.write(recipe, *places)
    assert [row["run"] for row in read(out / "table.csv")] == ["sgd", "adam", "steady"]
    note = (out / "note.md").read_text()
    assert "the best on validation is `adam`" in note
    assert "not to be compared with it: `steady` (2 classes: cat, no cat)." in note
    assert shown == ["sgd", "adam"]
    monkeypatch.setattr(command, "CHECKPOINTS", places[0])
    monkeypatch.setattr(tables, "STUDIES", places[1])
    assert command.main(["list", "made"]) == 0
    assert re.search(r"ours: .*0\.9000.* by adam", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("classes", "ours"),
    [(0, "validation accuracy 0.9000"), (2, "validation accuracy 0.9000"), (3, "nothing on its own classes")],
)
def test_where_any_classes_will_do_their_number_says_whose_they_are(recipe, places, monkeypatch, capsys, classes, ours):
    its_own = replace(recipe, labels=(), classes=classes)
    monkeypatch.setattr(recipes, "find", lambda task: its_own)
    note = (studies.write(its_own, *places) / "note.md").read_text()
    assert "the best on validation is `adam`" in note
    assert ("`sgd`, `adam` (2 classes: cat, dog)" in note) == (classes == 3)
    monkeypatch.setattr(command, "CHECKPOINTS", places[0])
    monkeypatch.setattr(tables, "STUDIES", places[1])
    assert command.main(["list", "made"]) == 0
    assert f"ours: {ours}" in capsys.readouterr().out


def test_of_many_runs_the_best_are_drawn(recipe, tmp_path, monkeypatch):
    plans = {f"run{index:02d}": Plan(Optimizer("SGD", 0.01)) for index in range(11)}
    recipe = replace(recipe, plans=plans, columns=("run", "architecture", "val_accuracy"))
    for index, run in enumerate(plans):
        put(tmp_path / "made" / "runs" / run, recipe, run, [0.5 + index / 100])
    shown = []
    monkeypatch.setattr(curves, "_styles", lambda found: shown.extend(found) or STYLES(found))
    out = studies.write(recipe, tmp_path / "none", tmp_path)
    assert [one.run for one in shown] == [f"run{index:02d}" for index in range(3, 11)]
    assert len(read(out / "table.csv")) == 11
    assert tuple(read(out / "table.csv")[0]) == recipe.columns


STYLES = curves._styles


def test_the_command_writes_and_names_the_folder(recipe, places, monkeypatch, capfd):
    monkeypatch.setattr(command, "CHECKPOINTS", places[0])
    monkeypatch.setattr(tables, "STUDIES", places[1])
    assert command.main(["study", "made"]) == 0
    assert capfd.readouterr().out == f"written to {places[1] / 'made'}\n"


def test_a_large_study_is_listed_by_what_is_trained(recipe, places, monkeypatch, capfd):
    monkeypatch.setattr(command, "CHECKPOINTS", places[0])
    monkeypatch.setattr(tables, "STUDIES", places[1])
    monkeypatch.setattr(recipes, "names", lambda: ["made"])
    monkeypatch.setattr(command, "MOST_LISTED", 2)
    assert command.main(["list"]) == 0
    said = capfd.readouterr().out
    assert "ours: validation accuracy 0.9000 (n 8), test accuracy 0.8000 (n 10) by adam" in said
    assert "made/sgd" in said
    assert "steady" not in said
    assert "and 1 more, not trained yet: `python -m training list made` names them" in said
    assert command.main(["list", "made"]) == 0
    assert "made/steady" in capfd.readouterr().out


def test_the_note_has_the_best_trials_of_a_search(recipe, places):
    trials = [{"trial": str(number), "val_accuracy": f"0.{90 - number}"} for number in range(12)]
    tables.write(places[1] / "made" / "search.csv", ("trial", "val_accuracy"), trials)
    note = (studies.write(recipe, *places) / "note.md").read_text()
    assert "best of 12 trials first:\n\n| trial | val_accuracy |\n| --- | --- |\n| 0 | 0.90 |" in note
    assert "| 9 | 0.81 |\n\n" in note
    assert "| 10 | 0.80 |" not in note


@pytest.mark.parametrize("task", [task for task in recipes.names() if (tables.STUDIES / task / "table.csv").is_file()])
def test_what_lies_in_assets_is_what_the_command_writes(task):
    recipe = recipes.find(task)
    found = [one for one in studies.results(recipe, models.CHECKPOINTS, tables.STUDIES) if one.history]
    columns = recipe.columns or studies.PAIR
    rows = studies.table(found, columns)
    folder = tables.STUDIES / task
    assert read(folder / "table.csv") == rows
    assert (folder / "note.md").read_text(encoding="utf-8") == studies.note(
        recipe, found, rows, read(folder / "search.csv")
    )
    assert [row["epoch"] for row in read(folder / recipe.curves)] == [
        f"{row['epoch']:.0f}" for one in found for row in one.history
    ]


@pytest.mark.parametrize("content", [b"epoch,loss\n1,half\n", b"epoch,loss\n1,2,3\n", b"epoch,l\xf6ss\n1,2\n"])
def test_a_history_that_is_none_is_one_sentence(recipe, tmp_path, content):
    put(tmp_path / "made" / "sgd", recipe, "sgd", [0.5])
    (tmp_path / "made" / "sgd" / "history.csv").write_bytes(content)
    with pytest.raises(TrainingError, match=r"history\.csv is damaged"):
        studies.results(recipe, tmp_path, tmp_path)
