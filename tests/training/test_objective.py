"""The loss is the smoothed cross-entropy and the L2 of the trained kernels, to the digit."""

import keras
import numpy as np
import pytest

from models import graphs
from tests.training import studies
from tests.training.runs import Training
from training.freeze import unfreeze
from training.objective import cross_entropy, prepare
from training.recipe import Optimizer, Plan, Stage, TrainingError


def smoothed(labels: np.ndarray, logits: np.ndarray, smoothing: float) -> float:
    """The mean cross-entropy with the smoothed distribution, picture by picture in float64."""
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    losses = []
    for label, row in zip(labels, logits.astype("float64"), strict=True):
        probabilities = np.exp(row) / np.exp(row).sum()
        wanted = np.full(len(row), smoothing / len(row))
        wanted[label] += 1 - smoothing
        losses.append(-(wanted * np.log(probabilities)).sum())
    return float(np.mean(losses))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("units", [1, 2, 5])
def test_cross_entropy_with_and_without_smoothing(units, smoothing):
    random = np.random.default_rng(units)
    logits, labels = random.normal(0, 2, (12, units)).astype("float32"), random.integers(0, max(units, 2), 12)
    found = np.asarray(cross_entropy(units, smoothing)(labels, logits))
    assert found.shape == (12,)
    assert found.mean() == pytest.approx(smoothed(labels, logits, smoothing), rel=1e-5)


@pytest.mark.parametrize(
    ("trainable", "penalised"),
    [
        ("head", ["logits/kernel"]),
        (
            "2",
            [
                "block2a_dwconv/kernel",
                "block2a_expand_conv/kernel",
                "block2a_project_conv/kernel",
                "block2a_se_expand/kernel",
                "block2a_se_reduce/kernel",
                "logits/kernel",
                "top_conv/kernel",
            ],
        ),
    ],
)
def test_l2_is_that_of_the_trained_kernels_and_of_nothing_else(tiny_network, trainable, penalised):
    table = studies.recipe(labels=("cat", "dog", "cow"), units=3, head_norm=True, l2=0.01)
    model = graphs.build(tiny_network, 32, 3, head_norm=True)
    unfreeze(model, trainable)
    prepare(model, table, table.plans["sgd"], Stage(1, trainable), 1)
    kernels = {variable.path: variable for variable in model.variables if variable.regularizer is not None}
    assert sorted(kernels) == penalised
    by_hand = 0.01 * sum(float(np.square(np.asarray(kernel, "float64")).sum()) for kernel in kernels.values())
    assert float(sum(model.losses)) == pytest.approx(by_hand, rel=1e-5)
    assert by_hand > 0.01


@pytest.fixture
def plain(hub_folder, base_weights, tmp_path):
    """The same without L2."""
    other = Training(tmp_path / "plain", hub_folder, base_weights)
    return other(studies.recipe(units=2, stages=(Stage(1, "2"),), label_smoothing=0.1))


def test_the_history_splits_the_loss_and_weights_that_are_penalised_shrink(training, plain):
    """The sum is the loss; the same steps without L2 end with larger kernels."""
    stages = (Stage(1, "2"),)
    training(studies.recipe(units=2, stages=stages, l2=0.3, label_smoothing=0.1))
    for row in training.history:
        loss, entropy, penalty = (float(row[name]) for name in ("loss", "cross_entropy", "l2"))
        assert loss == pytest.approx(entropy + penalty, rel=1e-5)
        assert penalty > 0.1
        assert entropy < 1.5
    assert training.card.training["l2"] == 0.3
    assert "l2" not in plain.history[0]
    norms = [sum(float(np.square(weight).sum()) for weight in run.last if weight.ndim > 1) for run in (training, plain)]
    assert norms[0] < 0.999 * norms[1]


def test_no_part_of_the_loss_is_lost_where_the_last_batch_is_smaller():
    table = studies.recipe(units=2, l2=0.05)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    prepare(model, table, table.plans["sgd"], Stage(1), 1)
    random = np.random.default_rng(0)
    x, y = random.normal(0, 2, (11, 3)).astype("float32"), random.integers(0, 2, 11)
    found = model.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
    kernel = np.asarray(model.layers[-1].kernel, "float64")
    assert found["cross_entropy"] == pytest.approx(smoothed(y, np.asarray(model(x)), 0), rel=1e-5)
    assert found["loss"] - found["cross_entropy"] == pytest.approx(0.05 * np.square(kernel).sum(), rel=1e-4)


@pytest.mark.parametrize(
    ("optimizer", "sentence"),
    [
        (Optimizer("Adm", 0.1), "no 'Adm' optimizer with {}: .*has no attribute 'Adm'"),
        (Optimizer("Adam", 0.1, options={"momentum": 0.9}), "no 'Adam' optimizer with {'momentum': 0.9}: .*momentum"),
    ],
)
def test_an_optimizer_that_keras_does_not_have_is_one_sentence(optimizer, sentence):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    with pytest.raises(TrainingError, match=sentence):
        prepare(model, studies.recipe(), Plan(optimizer), Stage(1), 1)


def test_a_backend_that_cannot_train_is_one_sentence(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    recipe = studies.recipe()
    with pytest.raises(TrainingError, match="cannot train with KERAS_BACKEND=openvino, only with tensorflow, jax"):
        prepare(keras.Sequential(), recipe, recipe.plans["sgd"], Stage(1), 1)
