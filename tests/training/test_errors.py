"""What the runs of a task get wrong is told rightly, and the pictures can be found again."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from explain import Explainer
from models import Card, Run, load, save
from models.graphs import backbone_of, build
from tests.training import studies
from training import __main__ as command
from training import data, errors
from training.evaluate import Evaluation, evaluate
from training.recipe import TrainingError
from training.tables import read


def network(tiny_weights, seed: int):
    """A small network with a random head that takes half of some pictures for dogs."""
    model = build("TinyNet", 32, 1)
    backbone_of(model).load_weights(tiny_weights)
    head = model.get_layer("logits")
    kernel = np.random.default_rng(seed).normal(size=head.kernel.shape)
    head.set_weights([kernel, np.zeros(1)])
    pictures = np.stack([studies.picture(label, number, 32) for label in (0, 1) for number in range(8)])
    head.set_weights([kernel, -np.median(model.predict_on_batch(pictures.astype("float32")), axis=0)])
    return model


CARD = Card("made", "sgd", "TinyNet", studies.LABELS, 32, 1, head={"dropout": 0.2, "head_norm": False})


@pytest.fixture(scope="module")
def checkpoints(tiny_weights, tmp_path_factory):
    """A pair of runs that no training has made better than chance."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for seed, name in enumerate(errors.PAIR):
        save(network(tiny_weights, seed), replace(CARD, run=name), folder / "made" / name)
    return folder


@pytest.fixture(scope="module")
def analysis(checkpoints, hub_folder, tmp_path_factory):
    """The folder that the command writes."""
    out = tmp_path_factory.mktemp("errors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "CHECKPOINTS", checkpoints)
        assert command.main(["errors", "made", "--data", str(hub_folder), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def answers(checkpoints, hub_folder):
    """The two runs, and what they say of the test split."""
    runs: dict[str, Run] = {name: load(f"made/{name}", checkpoints) for name in errors.PAIR}
    split = data.load(str(hub_folder), "test", studies.LABELS, 32)
    return runs, split, {name: evaluate(run.model, split, run.card) for name, run in runs.items()}


def test_metrics_and_confusion_are_counted_picture_by_picture(analysis, answers):
    _, split, found = answers
    rows = {(row["run"], row["label"]): row for row in read(analysis / "per_class.csv")}
    assert list(rows) == [(run, label) for run in errors.PAIR for label in studies.LABELS]
    for run, one in found.items():
        pairs = [(int(truth), int(guess)) for truth, guess in zip(split.labels, one.predicted, strict=True)]
        for index, label in enumerate(studies.LABELS):
            row = rows[run, label]
            right = pairs.count((index, index))
            guessed = sum(guess == index for _, guess in pairs)
            there = sum(truth == index for truth, _ in pairs)
            assert float(row["precision"]) == pytest.approx(right / guessed if guessed else 0, abs=1e-6)
            assert float(row["recall"]) == pytest.approx(right / there, abs=1e-6)
            assert float(row["f1"]) == pytest.approx(2 * right / (guessed + there), abs=1e-6)
            assert int(row["support"]) == there
        for row, counts in zip(studies.LABELS, read(analysis / f"confusion-{run}.csv"), strict=True):
            assert counts["label"] == row
            assert [int(counts[column]) for column in studies.LABELS] == [
                pairs.count((studies.LABELS.index(row), guess)) for guess in (0, 1)
            ]


def test_wrong_pictures_come_most_confident_first_and_can_be_found(analysis, answers, hub_folder):
    _, split, found = answers
    rows = read(analysis / "wrong.csv")
    assert {int(row["index"]) for row in rows} == set(np.flatnonzero(found["sgd"].wrong | found["adam"].wrong))
    confidence = [
        max(float(row[f"{run}_probability"]) for run in errors.PAIR if row[run] != row["label"]) for row in rows
    ]
    assert confidence == sorted(confidence, reverse=True)
    contents = {
        hashlib.sha256(content).hexdigest(): (name, label) for name, content, label in studies.rows_of((5, 5), 12)
    }
    for row in rows:
        index = int(row["index"])
        assert contents[row["sha256"]] == (row["name"], studies.LABELS.index(row["label"]))
        assert split.names[index] == row["name"]
        for run in errors.PAIR:
            probabilities = found[run].probabilities[index]
            assert row[run] == studies.LABELS[int(probabilities.argmax())]
            assert float(row[f"{run}_probability"]) == pytest.approx(probabilities.max(), abs=1e-6)


def test_runs_part_at_the_layer_where_their_maps_for_the_true_class_agree_least(analysis, answers):
    runs, split, found = answers
    rows = read(analysis / "one_wrong.csv")
    assert rows
    assert {int(row["index"]) for row in rows} == set(np.flatnonzero(found["sgd"].wrong != found["adam"].wrong))
    explainers = [Explainer(runs[name].model, studies.LABELS, engine="tensorflow") for name in errors.PAIR]
    for row in rows[:2]:
        assert row[row["wrong"]] != row["label"]
        maps = [
            explainer(split.pictures[int(row["index"])], targets=[row["label"]]).maps["hires_cam"]
            for explainer in explainers
        ]
        values = {
            layer: np.corrcoef(maps[0][layer][0].ravel(), maps[1][layer][0].ravel())[0, 1]
            for layer in maps[0]
            if np.ptp(maps[0][layer]) and np.ptp(maps[1][layer])
        }
        assert row["layer"] == min(values, key=values.__getitem__)
        assert float(row["agreement"]) == pytest.approx(min(values.values()), abs=1e-3)


def test_the_summary_says_what_was_counted(analysis, answers, checkpoints):
    runs, split, found = answers
    summary = json.loads((analysis / "summary.json").read_text())
    assert (summary["task"], summary["split"], summary["n"]) == ("made", "test", 10)
    assert summary["data_sha256"] == split.sha256
    for name in errors.PAIR:
        assert summary["runs"][name]["accuracy"] == pytest.approx(found[name].accuracy)
        assert summary["runs"][name]["wrong"] == int(found[name].wrong.sum())
        assert summary["runs"][name]["sha256"] == runs[name].card.sha256
    both = found["sgd"].wrong & found["adam"].wrong
    assert summary["both_wrong"] == int(both.sum())
    assert summary["both_wrong"] + summary["one_wrong"] == len(read(analysis / "wrong.csv"))


def test_the_order_is_that_of_wrong_answers_alone():
    labels = np.array([0, 0, 0, 1])
    sure, unsure = np.log([0.9, 0.1]), np.log([0.4, 0.6])
    one = Evaluation(np.array([sure, unsure, sure[::-1], sure[::-1]]), labels)
    other = Evaluation(np.array([unsure, sure, sure, sure[::-1]]), labels)
    assert errors.most_confidently_wrong([one, other]) == [2, 0, 1]


def test_layers_that_cannot_be_compared_are_left_out():
    ramp = np.arange(6.0).reshape(2, 3)
    flat = np.zeros((2, 3))
    one = {"stem": flat, "1a": ramp, "2a": ramp, "other": ramp}
    assert errors.parting(one, {"stem": ramp, "1a": ramp, "2a": -ramp}) == ("2a", pytest.approx(-1))
    assert errors.parting({"stem": flat}, {"stem": ramp}) is None


def test_a_task_without_its_pair_is_one_sentence(checkpoints, hub_folder, tmp_path):
    with pytest.raises(TrainingError, match="birds has no trained run called sgd and none called adam"):
        errors.analyse("birds", str(hub_folder), "test", tmp_path, checkpoints)


def test_runs_with_other_labels_are_not_compared(checkpoints, hub_folder, tmp_path):
    shutil.copytree(checkpoints, tmp_path, dirs_exist_ok=True)
    card = tmp_path / "made" / "adam" / "card.json"
    replace(Card.read(card), labels=("dog", "cat")).write(card)
    with pytest.raises(TrainingError, match="sgd and adam of made have different labels"):
        errors.analyse("made", str(hub_folder), "test", tmp_path / "out", tmp_path, say=lambda _: None)


def test_pictures_that_the_runs_were_trained_on_are_told_once(checkpoints, hub_folder, tmp_path, caplog):
    shutil.copytree(checkpoints, tmp_path, dirs_exist_ok=True)
    source = studies.leak(hub_folder, tmp_path / "data", "test", (1, 0))
    trained = data.load(str(hub_folder), "train", studies.LABELS, 32).sha256
    for name in errors.PAIR:
        card = tmp_path / "made" / name / "card.json"
        replace(Card.read(card), data={"train": {"sha256": trained}}).write(card)
    errors._answers("made", str(source), "test", tmp_path, say=lambda _: None)
    assert caplog.messages.count("1 of the 5 pictures to judge by had a part in the training, too.") == 1


def test_a_share_of_the_training_pictures_is_the_runs_own_and_must_be_that_of_both(checkpoints, tmp_path, caplog):
    source, said = tmp_path / "data", []
    studies.write_parquet(
        source / "train-0.parquet", studies.rows_of((20, 20)), studies.features_of(label=studies.LABELS)
    )
    shutil.copytree(checkpoints, tmp_path, dirs_exist_ok=True)
    for name, share in (("sgd", 0.5), ("adam", 0.4)):
        card = tmp_path / "made" / name / "card.json"
        replace(Card.read(card), data={"shares": {"test": share}}).write(card)
    with pytest.raises(TrainingError, match="sgd and adam of made have different shares of the pictures"):
        errors.analyse("made", str(source), "test", tmp_path / "out", tmp_path, said.append)
    pictures = data.load(str(source), "test", studies.LABELS, 32, shares={"test": 0.5})
    assert not any("had a part in the training" in message for message in caplog.messages)
    assert 0 < len(pictures) < 40
    assert said[0].endswith(f"(n {len(pictures)})")
