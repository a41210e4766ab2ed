"""What a training says on the way: a line now and then within an epoch, and scalars for TensorBoard."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from training.recipe import TrainingError

EVERY = 30.0
"""Seconds between two lines within an epoch."""


def log() -> None:
    """Let a warning be the line that it says; nobody meant that the steps of each further network must be traced."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("tensorflow").addFilter(_meant)


def _meant(record: logging.LogRecord) -> bool:
    return "tf.function retracing" not in record.getMessage()


def within(epoch: int, steps: int, say: Callable[[str], None]) -> tuple[int, list[Any]]:
    """Keras' own `verbose` and the callbacks that show how far an epoch is.

    A terminal gets Keras' bar, anything else a line now and then, with the time left.
    """
    import keras

    if os.isatty(1):
        return 1, []

    class Lines(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.began = self.said = time.monotonic()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            now = time.monotonic()
            if now - self.said < EVERY:
                return
            self.said = now
            left = (now - self.began) / (batch + 1) * (steps - batch - 1)
            say(
                f"  epoch {epoch + 1}, step {batch + 1} of {steps}: loss {logs['loss']:.4f}, "
                f"accuracy {logs['accuracy']:.4f}, {minutes(left)} left of the epoch"
            )

    return 0, [Lines()]


def minutes(seconds: float) -> str:
    """A time for people."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def line(history: list[dict[str, float]], last: int, total: int) -> str:
    """What is said after an epoch of a stage that ends with the epoch `last`: of another, no time is known yet."""
    row = history[-1]
    left = minutes((last - len(history)) * row["seconds"])
    ahead = f" until epoch {last + 1} trains other layers" if last < total else ""
    return (
        f"epoch {len(history)} of {total}: loss {row['loss']:.4f}, accuracy {row['accuracy']:.4f}, validation "
        f"{row['val_accuracy']:.4f} (loss {row['val_loss']:.4f}), {left} left{ahead}"
    )


class Board:
    """Scalars of every epoch for TensorBoard, under one folder for each run; nothing where there is no folder.

    Raises:
        TrainingError: if TensorBoard, which writes them, is not installed, or there is a file of that name.
    """

    def __init__(self, folder: Path | None, run: str):
        self._writer = None
        if folder is not None:
            if folder.exists() and not folder.is_dir():
                raise TrainingError(f"{folder} is a file, and --logs needs a folder.")
            try:
                from tensorboard.summary import Writer
            except ImportError:
                raise TrainingError("--logs needs TensorBoard: pip install tensorboard.") from None
            self._writer = Writer(str(folder / run))

    def write(self, row: Mapping[str, float]) -> None:
        """Add a row of `history.csv`."""
        if self._writer is not None:
            for name, value in row.items():
                if name != "epoch":
                    self._writer.add_scalar(name, value, int(row["epoch"]))
            self._writer.flush()
