"""A random search for the hyperparameters of a network, with KerasTuner.

Random and not a grid: where few of the hyperparameters matter, as many trials try more values of those that do
(Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, 2012). The same command goes on with a search
that was stopped; of that, the trial under way is lost. Choices are made on the validation split, and only the best
trial is evaluated on the test split, once all are done.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from training import data, tables, views
from training.batches import batches_of, fed
from training.evaluate import evaluate
from training.loop import load
from training.objective import prepare
from training.recipe import Optimizer, Plan, Recipe, Space, Stage, TrainingError
from training.setup import threads

COLUMNS = (
    "trial",
    "optimizer",
    "learning_rate",
    "batch_size",
    "epochs",
    "epochs_trained",
    "val_accuracy",
    "val_loss",
    "test_accuracy",
    "seconds",
)


def search(
    recipe: Recipe,
    source: str,
    trials: int,
    out: Path,
    table: Path,
    say: Callable[[str], None] = print,
) -> list[dict[str, str]]:
    """Try hyperparameters until there are so many trials, and write them as a table.

    Args:
        source: the data, see `training.data.load`.
        trials: all trials together, those of earlier calls with the same `out` and data counted; where as many are
            done, none is begun or gone on with.
        out: where KerasTuner keeps them.
        table: the CSV file that is written.

    Returns:
        The rows, best first.

    Raises:
        TrainingError: if the recipe has no search, the data are not usable, no trial is asked for, every trial
            failed, or what is kept of earlier ones is damaged.
    """
    space = recipe.search
    if space is None:
        raise TrainingError(f"The recipe of {recipe.task} has no search.")
    if trials < 1:
        raise TrainingError("A search has at least one trial.")
    os.environ.setdefault("KERASTUNER_TUNER_ID", "tuner0")
    import keras_tuner

    plan = recipe.plans[space.run]
    recipe = recipe.of(plan)
    training, validation, test = (load(source, split, recipe) for split in ("train", "validation", "test"))
    digests = [split.sha256 for split in (training, validation, test)]
    # Of other pictures nothing is known yet, and what was tried with these stays.
    project = f"{recipe.task}-{hashlib.sha256(':'.join(digests).encode()).hexdigest()[:8]}"
    try:
        tuner = keras_tuner.RandomSearch(
            _network(recipe, space, plan.seed, training, validation, say),
            objective=keras_tuner.Objective("val_accuracy", "max"),
            max_trials=trials,
            seed=plan.seed,
            directory=str(out),
            project_name=project,
            max_retries_per_trial=0,
        )
    except json.JSONDecodeError as error:
        # KerasTuner writes its files in place: a search that was killed may leave half of one.
        raise TrainingError(f"What {out / project} holds of a search is damaged; remove it and search anew.") from error
    if len(_done(tuner)) < trials:
        tuner.search(verbose=0)
    done = _done(tuner)
    if not done:
        raise TrainingError(f"None of {trials} trials could be trained; their folders are in {out}.")
    found = evaluate(tuner.load_model(done[0]), test, recipe)
    rows = [_row(one) for one in done]
    rows[0]["test_accuracy"] = f"{found.accuracy:.4f}"
    tables.write(table, COLUMNS, rows)
    say(f"best of {len(done)}: validation {rows[0]['val_accuracy']}, test {found.accuracy:.4f} (n {len(test)})")
    return rows


def _done(tuner: Any) -> list[Any]:
    """The trials that have ended, best first; one that was stopped is not among them."""
    return [one for one in tuner.oracle.get_best_trials(len(tuner.oracle.trials)) if one.score is not None]


def table_of(task: str) -> Path:
    """Where the trials of a task are written."""
    return tables.STUDIES / task / "search.csv"


def _network(
    recipe: Recipe, space: Space, seed: int, training: data.Split, validation: data.Split, say: Callable[[str], None]
) -> Any:
    """What KerasTuner builds and trains for each trial."""
    import keras
    import keras_tuner

    from models.graphs import build
    from training.freeze import unfreeze

    class Network(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            hp.Choice("batch_size", list(space.batch_sizes))
            hp.Choice("epochs", list(space.epochs))
            optimizer = Optimizer(
                hp.Choice("optimizer", list(space.optimizers)),
                hp.Float("learning_rate", *space.rates, sampling="log"),
                schedule="constant",
            )
            keras.utils.set_random_seed(seed)
            model = build(recipe.architecture, recipe.input_size, recipe.units, recipe.dropout, recipe.head_norm)
            unfreeze(model, "scratch")
            prepare(model, recipe, Plan(optimizer), Stage(1, "scratch"), steps=1)
            return model

        def fit(self, hp: Any, model: Any, *_: Any, callbacks: Sequence[Any], **__: Any) -> dict[str, float]:
            begun = time.perf_counter()
            chosen = ", ".join(
                f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
                for name, value in hp.values.items()
            )
            say(f"a trial of {chosen}")
            wanted: dict[str, Any] = {"monitor": "val_accuracy", "mode": "max"}
            history = model.fit(
                Epochs(hp.get("batch_size")),
                validation_data=fed(
                    batches_of(
                        views.plain(validation.pictures, recipe.input_size),
                        validation.labels,
                        256,
                        -(-len(validation) // 256),
                        0,
                        0,
                    )
                ),
                epochs=hp.get("epochs"),
                shuffle=False,
                verbose=0,
                callbacks=[
                    *callbacks,
                    keras.callbacks.LambdaCallback(
                        on_epoch_end=lambda epoch, logs: say(
                            f"  epoch {epoch + 1} of at most {hp.get('epochs')}: loss {logs['loss']:.4f}, "
                            f"validation {logs['val_accuracy']:.4f}"
                        )
                    ),
                    keras.callbacks.EarlyStopping(patience=space.patience, **wanted),
                    keras.callbacks.ReduceLROnPlateau(
                        factor=space.reduction, patience=max(1, space.patience // 2), **wanted
                    ),
                ],
            ).history
            best = max(range(len(history["val_accuracy"])), key=history["val_accuracy"].__getitem__)
            said = {name: history[name][best] for name in ("val_accuracy", "val_loss")}
            say(f"{chosen}: validation {said['val_accuracy']:.4f} after {len(history['loss'])} epochs")
            return said | {"epochs_trained": len(history["loss"]), "seconds": time.perf_counter() - begun}

    class Epochs(keras.utils.PyDataset):
        """Every epoch in its own order and views."""

        def __init__(self, size: int):
            # Two or more: with one, the end of an epoch waits, see `fed`.
            super().__init__(workers=max(2, threads()))
            self._size = size
            self._views = views.Views(training.pictures, recipe.augmentation, recipe.input_size, seed, None)
            self._begin(0)

        def _begin(self, epoch: int) -> None:
            self._epoch = epoch
            steps = -(-len(training) // self._size)
            self._batches = batches_of(self._views, training.labels, self._size, steps, seed, epoch)

        def on_epoch_end(self) -> None:
            self._begin(self._epoch + 1)

        def __len__(self) -> int:
            return len(self._batches)

        def __getitem__(self, index: int) -> Any:
            return self._batches[index]

    return Network()


def _row(trial: Any) -> dict[str, str]:
    values, metrics = trial.hyperparameters.values, trial.metrics
    return {
        "trial": trial.trial_id,
        "optimizer": values["optimizer"],
        "learning_rate": f"{values['learning_rate']:.3g}",
        "batch_size": str(values["batch_size"]),
        "epochs": str(values["epochs"]),
        "epochs_trained": f"{metrics.get_last_value('epochs_trained'):.0f}",
        "val_accuracy": f"{metrics.get_last_value('val_accuracy'):.4f}",
        "val_loss": f"{metrics.get_last_value('val_loss'):.4f}",
        "seconds": f"{metrics.get_last_value('seconds'):.0f}",
    }
