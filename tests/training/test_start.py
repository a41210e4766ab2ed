"""The backbone starts with exactly the weights it was given: a file's, or those of Keras' own ImageNet network."""

import keras
import numpy as np
import pytest
from keras.src.applications import efficientnet

from models import graphs
from models.store import sha256
from tests.training import studies
from training.recipe import TrainingError
from training.start import start

SIZE = 32


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.stack([studies.picture(label, 0, SIZE) for label in (0, 1)]).astype("float32")


def shake(model: keras.Model) -> keras.Model:
    """Give every weight of a network a value that is not its default."""
    random = np.random.default_rng(11)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            ranges = ((0.8, 1.4), (-0.3, 0.3), (-0.3, 0.3), (0.3, 1.2))
            layer.set_weights([random.uniform(*span, layer.gamma.shape) for span in ranges])
        elif isinstance(layer, keras.layers.Normalization) and layer.weights:
            # Keras' files hold the deviation where the variance belongs; the second Rescaling makes up for it.
            layer.set_weights([np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]), np.array(0)])
            layer.finalize_state()
    return model


def small(**words) -> keras.Model:
    """As `EfficientNetB0` of Keras, which has weights for ImageNet, but with two blocks."""
    return efficientnet.EfficientNet(0.25, 1.0, SIZE, blocks_args=studies.BLOCKS, weights_name="b0", **words)


def test_keras_own_network_and_ours_see_the_same(pictures, tmp_path, monkeypatch):
    file = tmp_path / "small.weights.h5"
    shake(small(include_top=False, weights=None, input_shape=(SIZE, SIZE, 3))).save_weights(file)
    monkeypatch.setattr(efficientnet.file_utils, "get_file", lambda *_, **__: str(file))
    monkeypatch.setattr(keras.applications, "Small", small, raising=False)
    donor = small(include_top=False, weights="imagenet", input_shape=(SIZE, SIZE, 3))
    scalings = [layer for layer in donor.layers if isinstance(layer, keras.layers.Rescaling)]
    assert len(scalings) == 2
    ours = graphs.build("Small", SIZE, 1)
    untouched = np.asarray(graphs.backbone_of(ours)(pictures))
    said = start(ours, "Small", "imagenet")
    assert said["name"] == "imagenet"
    assert len([layer for layer in ours.layers if isinstance(layer, keras.layers.Rescaling)]) == 1
    wanted = np.asarray(donor(pictures))
    found = np.asarray(graphs.backbone_of(ours)(pictures))
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()
    assert np.abs(untouched - wanted).max() > 0.1 * np.abs(wanted).max()
    # A pixel enters as (p / 255 - mean) / deviation, as the network was trained.
    normalization = next(layer for layer in ours.layers if isinstance(layer, keras.layers.Normalization))
    assert np.allclose(np.asarray(normalization.variance).ravel(), np.square([0.229, 0.224, 0.225]))


def unnamed(include_top, weights, input_shape):
    """A network whose layers Keras names by counting, with a Normalization that holds no weights."""
    image = keras.Input(input_shape)
    x = keras.layers.Normalization(mean=[120.0] * 3, variance=[900.0] * 3)(image)
    for _ in range(2):
        x = keras.layers.BatchNormalization()(keras.layers.Conv2D(6, 3, activation="relu")(x))
    return shake(keras.Model(image, x)) if weights == "imagenet" else keras.Model(image, x)


def test_layers_without_names_of_their_own_start_too(pictures, monkeypatch):
    given: list[keras.Model] = []

    def network(**words):
        given.append(unnamed(**words))
        return given[-1]

    monkeypatch.setattr(keras.applications, "Unnamed", network, raising=False)
    ours = graphs.build("Unnamed", SIZE, 1)
    start(ours, "Unnamed", "imagenet")
    assert np.allclose(graphs.backbone_of(ours)(pictures), given[-1](pictures), atol=1e-5)
    assert not np.allclose(
        graphs.backbone_of(ours)(pictures), unnamed(False, None, (SIZE, SIZE, 3))(pictures), atol=0.1
    )


def test_weights_that_cannot_be_fetched_are_one_sentence(monkeypatch):
    def unreachable(**_):
        raise OSError("<urlopen error [Errno -2] Name or service not known>\nmore")

    monkeypatch.setattr(keras.applications, "Unnamed", unnamed, raising=False)
    model = graphs.build("Unnamed", SIZE, 1)
    monkeypatch.setattr(keras.applications, "Unnamed", unreachable)
    with pytest.raises(TrainingError, match=r"could not be fetched.*--weights") as caught:
        start(model, "Unnamed", "imagenet")
    assert "\n" not in str(caught.value)


def test_a_file_gives_its_weights_and_its_hash(pictures, tiny_weights):
    model = graphs.build("TinyNet", SIZE, 1)
    said = start(model, "TinyNet", str(tiny_weights))
    assert said == {"name": "tiny.weights.h5", "sha256": sha256(tiny_weights)}
    twin = studies.tiny_net(False, None, (SIZE, SIZE, 3))
    twin.load_weights(tiny_weights)
    assert np.allclose(graphs.backbone_of(model)(pictures), twin(pictures), rtol=1e-4, atol=1e-5)


def test_a_file_that_is_missing_or_of_another_network_is_one_sentence(tiny_network, base_weights, tmp_path):
    (tmp_path / "noise.weights.h5").write_bytes(b"noise")
    model = graphs.build("TinyNet", SIZE, 1)
    with pytest.raises(TrainingError, match="There is no weights file"):
        start(model, "TinyNet", str(tmp_path / "nothing.weights.h5"))
    for file in (base_weights, tmp_path / "noise.weights.h5"):
        with pytest.raises(TrainingError, match="does not hold the weights of TinyNet") as caught:
            start(model, "TinyNet", str(file))
        assert "\n" not in str(caught.value)
