"""The small study's network and data."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.training import studies
from tests.training.runs import Training


@pytest.fixture(scope="session")
def hub_folder(tmp_path_factory):
    """Made pictures in Hub layout."""
    return studies.write_hub(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="session")
def tiny_network():
    """`TinyNet` among `keras.applications`, for recipes that name it."""
    keras.applications.TinyNet = studies.tiny_net
    yield "TinyNet"
    del keras.applications.TinyNet


@pytest.fixture(scope="session")
def plain_network():
    """`PlainNet` among `keras.applications`, which the small study trains."""
    keras.applications.PlainNet = studies.plain_net
    yield "PlainNet"
    del keras.applications.PlainNet


@pytest.fixture(scope="session")
def tiny_weights(tiny_network, tmp_path_factory):
    """A file with weights for TinyNet's backbone."""
    return written(studies.tiny_net, [0.5, 0.4, 0.45], [0.05, 0.06, 0.07], tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def base_weights(plain_network, tmp_path_factory):
    """A file with weights for PlainNet's backbone."""
    return written(studies.plain_net, [128, 102, 115], [3000, 3900, 4600], tmp_path_factory.mktemp("base"))


def written(network: Callable, mean: list[float], variance: list[float], folder: Path) -> Path:
    """A file with weights: none at the defaults, where a mistake could hide."""
    keras.utils.set_random_seed(5)
    backbone = network(False, None, (32, 32, 3))
    random = np.random.default_rng(5)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights(
                [
                    random.uniform(low, high, weight.shape)
                    for weight, low, high in zip(
                        layer.get_weights(), (0.6, -0.4, -0.4, 0.5), (1.4, 0.4, 0.4, 2.0), strict=True
                    )
                ]
            )
        elif isinstance(layer, keras.layers.Normalization):
            layer.set_weights([np.array(mean), np.array(variance), np.array(0)])
    path = folder / f"{backbone.name}.weights.h5"
    backbone.save_weights(path)
    return path


@pytest.fixture
def training(hub_folder, base_weights, tmp_path):
    """A training of the small study that has not begun."""
    return Training(tmp_path / "run", hub_folder, base_weights)


@pytest.fixture(scope="session")
def whole(hub_folder, base_weights, tmp_path_factory):
    """The small study trained with SGD and without interruption: two epochs of the head, then two of all."""
    return Training(tmp_path_factory.mktemp("whole"), hub_folder, base_weights)()


@pytest.fixture(scope="session")
def adam(hub_folder, base_weights, tmp_path_factory):
    """The same with Adam."""
    return Training(tmp_path_factory.mktemp("adam"), hub_folder, base_weights)(run="adam")
