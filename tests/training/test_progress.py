"""Whoever watches a training sees how far it is, in a log file and in TensorBoard too."""

import sys

import keras
import numpy as np
import pytest

from training import progress
from training.recipe import TrainingError


def fit(said: list[str], epoch: int = 1) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[keras.metrics.MeanAbsoluteError(name="accuracy")])
    verbose, callbacks = progress.within(epoch, 5, said.append)
    x = np.zeros((20, 2), "float32")
    model.fit(x, x[:, 0], 4, epochs=epoch + 1, initial_epoch=epoch, verbose=verbose, callbacks=callbacks)


@pytest.fixture
def clock(monkeypatch):
    """Each look at the clock is 20 seconds after the one before."""
    moments = iter(range(0, 10_000, 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(moments))


def test_a_line_now_and_then_where_there_is_no_terminal(monkeypatch, clock):
    monkeypatch.setattr(progress.os, "isatty", lambda _: False)
    said = []
    fit(said)
    # Begun at 0, steps end at 20, 40, ... 100; two lines are at least 30 seconds apart.
    assert said == [
        "  epoch 2, step 2 of 5: loss 0.0000, accuracy 0.0000, 60 s left of the epoch",
        "  epoch 2, step 4 of 5: loss 0.0000, accuracy 0.0000, 20 s left of the epoch",
    ]


def test_a_terminal_gets_the_bar_of_keras(monkeypatch):
    monkeypatch.setattr(progress.os, "isatty", lambda _: True)
    assert progress.within(0, 5, print) == (1, [])


def test_the_line_after_an_epoch_says_what_is_left():
    row = {"loss": 0.5, "accuracy": 0.75, "val_accuracy": 0.8, "val_loss": 0.4, "seconds": 90.0}
    assert progress.line([row], 3, 3) == (
        "epoch 1 of 3: loss 0.5000, accuracy 0.7500, validation 0.8000 (loss 0.4000), 3 min left"
    )
    assert progress.line([row, row], 3, 3).endswith(", 90 s left")


def test_no_time_is_known_of_layers_that_were_not_trained_yet(whole):
    ends = [line.rpartition("), ")[2] for line in whole.said if line.startswith("epoch ")]
    then = " left until epoch 3 trains other layers"
    assert [end.partition(" s")[2] for end in ends] == [then, then, " left", " left"]
    assert ends[1] == f"0 s{then}"


def test_tensorboard_has_every_column_of_every_epoch(tmp_path):
    board = progress.Board(tmp_path, "made/sgd")
    rows = [{"epoch": epoch, "loss": 1 / epoch, "val_accuracy": epoch / 8} for epoch in (1, 2, 3)]
    for row in rows:
        board.write(row)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(tmp_path / "made" / "sgd")).Reload()
    for name in ("loss", "val_accuracy"):
        values = {event.step: float(event.tensor_proto.float_val[0]) for event in found.Tensors(name)}
        assert values == pytest.approx({row["epoch"]: row[name] for row in rows})
    assert found.Tags()["tensors"] == ["loss", "val_accuracy"]


def test_a_file_is_no_folder_for_tensorboard(tmp_path):
    (tmp_path / "logs").touch()
    with pytest.raises(TrainingError, match="logs is a file, and --logs needs a folder"):
        progress.Board(tmp_path / "logs", "made/sgd")


def test_without_tensorboard_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    with pytest.raises(TrainingError, match="pip install tensorboard"):
        progress.Board(tmp_path, "made/sgd")
    progress.Board(None, "made/sgd").write({"epoch": 1, "loss": 0.5})
