"""A training survives a kill at any moment: resumed, it ends as if nothing had happened."""

import errno
import gc
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from tests.training import studies
from tests.training.runs import EPOCHS, Training, assert_same_end
from training import loop, records, stages, state, stretches
from training.recipe import Augmentation, Stage, TrainingError
from training.setup import Setup

ROOT = Path(__file__).parents[2]


def kill(training, at: int, batch: int, **changes) -> None:
    """Train until a batch of an epoch (both from 0) begins, and stop there as Ctrl-C would."""
    within = stages.progress.within

    def stop(index: int, logs=None) -> None:
        if index == batch:
            raise KeyboardInterrupt

    def within_or_stop(epoch: int, *said):
        verbose, callbacks = within(epoch, *said)
        if epoch == at:
            callbacks = [*callbacks, keras.callbacks.LambdaCallback(on_train_batch_begin=stop)]
        return verbose, callbacks

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stages.progress, "within", within_or_stop)
        training(**changes)
    # With the data set ends the thread that makes its next batch.
    gc.collect()


@pytest.mark.parametrize("epoch", [1, 3], ids=["in the first stage", "in the second"])
def test_a_killed_training_goes_on_to_the_same_end(training, whole, epoch):
    kill(training, epoch, batch=1)
    assert state.last(training.out) == epoch
    assert not (training.out / "card.json").exists()
    # What a write that was cut off leaves behind never counts.
    (training.out / "unfinished.weights.h5").write_bytes(b"half")
    (training.out / "unfinished.csv").write_text("epoch,lo")
    training.batches.clear()
    training(resume=True)
    assert training.batches == whole.batches[2 * epoch :]
    assert_same_end(training, whole)


def test_what_goes_on_elsewhere_says_where_and_in_which_precision(training, whole, monkeypatch):
    monkeypatch.setattr(stretches, "machine", lambda: "the first")
    training.setup = Setup(mixed=True)
    kill(training, 3, batch=1)
    monkeypatch.setattr(stretches, "machine", lambda: "the second")
    training.setup = Setup()
    training(resume=True)
    assert any("was trained in mixed_bfloat16; it goes on in float32" in line for line in training.said)
    card = training.card
    assert card.machine == "the first; the second"
    assert card.training["precision"] == "mixed_bfloat16 to epoch 3, float32 to epoch 4"
    assert card.command.endswith("--seed 0 --mixed  # from epoch 4 on --resume without --mixed")
    assert [row["epoch"] for row in training.history] == ["1", "2", "3", "4"]
    # The second precision goes on with the weights and the momentum of the first: the end is nearly that of one alone.
    losses = [[float(row["loss"]) for row in one.history] for one in (training, whole)]
    assert losses[0] == pytest.approx(losses[1], abs=0.05)


SCRIPT = """
import os, signal, sys
from pathlib import Path
from models.quiet import import_keras
import_keras()
import keras
from tests.training import studies
from training.loop import train

keras.applications.PlainNet = studies.plain_net
replace = Path.replace

def die_before_the_third(self, target):
    if Path(target).name == "state-003.weights.h5":
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)

Path.replace = die_before_the_third
recipe = studies.recipe()
train(recipe, "sgd", recipe.plans["sgd"], *sys.argv[1:3], Path(sys.argv[3]))
"""


def test_a_process_killed_while_it_writes_a_state_loses_only_that_epoch(training, whole):
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(training.source), str(training.base), str(training.out)],
        cwd=ROOT,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == -signal.SIGKILL
    # The state is whole but has no name yet, and the history is one row ahead. A new stage begins where it goes on.
    assert (training.out / "unfinished.weights.h5").stat().st_size > 10_000
    assert state.last(training.out) == 2
    assert len(training.history) == 3
    training(resume=True)
    assert_same_end(training, whole)


def test_a_training_stopped_after_its_last_epoch_ends_with_its_own_weights(training, whole, monkeypatch):
    def stop(*_):
        assert state.last(training.out) == EPOCHS
        raise KeyboardInterrupt

    # Before its card, and between its last file and the end of its states.
    for resume, last in ((False, (loop, "card_of")), (True, (state, "clear"))):
        with monkeypatch.context() as patch:
            patch.setattr(*last, stop)
            with pytest.raises(KeyboardInterrupt):
                training(resume=resume)
        assert len(training.history) == EPOCHS
    training.batches.clear()
    training(resume=True)
    assert not training.batches
    assert_same_end(training, whole)


def test_what_was_trained_before_stays_until_the_new_training_is_done(training, whole):
    shutil.copytree(whole.out, training.out, dirs_exist_ok=True)
    before = {file.name: file.read_bytes() for file in training.out.iterdir()}
    kill(training, 1, batch=1)
    assert {name: (training.out / name).read_bytes() for name in before} == before


def test_a_command_that_cannot_begin_keeps_what_another_had_done(training, tmp_path):
    kill(training, 1, batch=1)
    training.base = tmp_path / "misspelt.h5"
    with pytest.raises(TrainingError, match="no weights file"):
        training()
    assert state.last(training.out) == 1


def test_a_full_disk_is_one_sentence_and_keeps_the_state_before(training, monkeypatch):
    write = keras.Model.save_weights

    def fill_the_disk(model, path):
        write(model, path)
        if state.last(training.out):
            raise OSError(errno.ENOSPC, "Can't synchronously write data (time = Sun\n, buf = 0x55)")

    monkeypatch.setattr(keras.Model, "save_weights", fill_the_disk)
    with pytest.raises(TrainingError, match=r"cannot be written \(No space left on device\).*--resume") as caught:
        training()
    assert "\n" not in str(caught.value)
    assert state.last(training.out) == 1
    assert not list(training.out.glob("unfinished*"))


def test_resuming_what_is_finished_is_one_sentence(whole):
    with pytest.raises(TrainingError, match="is finished"):
        whole(resume=True)


@pytest.fixture(scope="module")
def stopped(hub_folder, base_weights, tmp_path_factory):
    """A training killed in its second epoch."""
    training = Training(tmp_path_factory.mktemp("stopped"), hub_folder, base_weights)
    kill(training, 1, batch=0)
    return training


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"seed": 4}, "seed"),
        ({"steps": 1}, "number of steps"),
        ({"run": "adam"}, "run and another optimizer"),
        ({"recipe": studies.recipe(stages=(Stage(2, "head"), Stage(3)))}, "number of epochs"),
        ({"recipe": studies.recipe(augmentation=Augmentation())}, "augmentation"),
    ],
)
def test_a_training_does_not_go_on_as_another(stopped, changes, word):
    with pytest.raises(TrainingError, match=f"another {word};"):
        stopped(resume=True, **changes)
    assert state.last(stopped.out) == 1


@pytest.mark.parametrize(
    ("split", "word"), [("train", "data set"), ("validation", "validation split"), (None, "packing of the pictures")]
)
def test_a_training_does_not_go_on_with_other_pictures(stopped, tmp_path, split, word):
    other = studies.write_hub(tmp_path)
    if split:
        file = next(other.rglob(f"{split}-*"))
        studies.write_parquet(file, studies.rows_of((9, 7)), studies.features_of(label=studies.LABELS))
    else:
        # The same pictures, which come in another order from shards.
        other = tmp_path / "shards"
        for name in ("train", "validation"):
            records.pack(studies.recipe(), str(stopped.source), name, other, say=lambda _: None)
    kept, stopped.source = stopped.source, other
    with pytest.raises(TrainingError, match=f"another {word}"):
        stopped(resume=True)
    stopped.source = kept
