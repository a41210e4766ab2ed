"""Accuracy, loss and top-5 as scikit-learn computes them from the same logits."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score

from tests.training import studies
from training import data
from training.evaluate import Evaluation, evaluate


@pytest.fixture(scope="module")
def many() -> Evaluation:
    random = np.random.default_rng(2)
    labels = random.integers(0, 20, 300)
    logits = random.normal(0, 3, (300, 20))
    logits[np.arange(300), labels] += 3
    return Evaluation(logits.astype("float32"), labels)


@pytest.fixture(scope="module")
def one() -> Evaluation:
    random = np.random.default_rng(3)
    labels = random.integers(0, 2, 200)
    return Evaluation((random.normal(0, 2, (200, 1)) + 2 * labels[:, None] - 1).astype("float32"), labels)


def test_many_classes(many):
    probabilities = softmax(many.logits.astype("float64"), axis=1)
    assert np.allclose(many.probabilities, probabilities)
    assert many.accuracy == accuracy_score(many.labels, many.logits.argmax(axis=1))
    assert many.loss == pytest.approx(log_loss(many.labels, probabilities), rel=1e-9)
    assert many.top(5) == pytest.approx(top_k_accuracy_score(many.labels, many.logits, k=5))
    assert 0.2 < many.accuracy < many.top(5) < 1
    assert many.summary() == {"accuracy": many.accuracy, "loss": round(many.loss, 6), "n": 300, "top5": many.top(5)}


def test_one_logit_speaks_for_the_second_label(one):
    positive = 1 / (1 + np.exp(-one.logits[:, 0].astype("float64")))
    assert np.allclose(one.probabilities, np.column_stack([1 - positive, positive]))
    assert one.accuracy == accuracy_score(one.labels, one.logits[:, 0] > 0)
    assert one.loss == pytest.approx(log_loss(one.labels, positive), rel=1e-9)
    assert "top5" not in one.summary()


def test_a_confident_mistake_costs_all_that_it_costs():
    sure = Evaluation(np.array([[800.0], [-60.0]], dtype="float32"), np.array([0, 1]))
    assert sure.loss == pytest.approx(430)
    assert sure.accuracy == 0


def test_a_model_is_asked_about_every_picture_in_order():
    class Brightness:
        """Answers the sum of what it is shown, so that size, order and values all count."""

        def predict(self, batches, verbose):
            return np.concatenate([batches[index][0].sum(axis=(1, 2, 3))[:, None] for index in range(len(batches))])

    pictures = np.stack([np.full((40, 40, 3), 5 * number, "uint8") for number in range(7)])
    split = data.Split(pictures, np.zeros(7, int), ("",) * 7, "")
    found = evaluate(Brightness(), split, studies.recipe(), batch=3)
    assert found.logits[:, 0].tolist() == [32 * 32 * 3 * 5 * number for number in range(7)]
