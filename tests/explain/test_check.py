"""Every defect that `explain.check` knows is planted, and its sentence read; healthy models give no findings."""

import keras
import numpy as np
import pytest
from keras.src.applications.efficientnet import EfficientNet

import explain
from explain import Finding, PhotoError
from tests.explain.kinds import first_of_mobilenet, thin_resnet
from tests.explain.networks import FEW_BLOCKS, few, photograph

SIZE = 32
PHOTOS = list(photograph(SIZE, 6).astype("uint8"))
SPREAD = np.array([0.229, 0.224, 0.225])


@pytest.fixture(autouse=True)
def _seed():
    """Weights drawn at random may happen to leave a layer dead, which is one finding more."""
    keras.utils.set_random_seed(1)


def _head(features, units=2, name="logits"):
    return keras.layers.Dense(units, name=name)(keras.layers.GlobalAveragePooling2D()(features))


def _train(model, scale=1.0):
    """What a training leaves: BatchNorm that knows what it meets, Normalization that knows pixels, a bias."""
    random = np.random.default_rng(2)
    for layer in _leaves(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(random.uniform(0.7, 1.3, layer.gamma.shape))
            layer.momentum = 0.0
        elif isinstance(layer, keras.layers.Normalization) and hasattr(layer, "adapt_mean"):
            layer.adapt_mean.assign([0.485, 0.456, 0.406])
            layer.adapt_variance.assign(SPREAD**2)
            layer.finalize_state()
        elif isinstance(layer, keras.layers.Dense):
            layer.bias.assign(random.normal(0, 0.3, layer.bias.shape))
    model(scale * np.stack(PHOTOS).astype("float32"), training=True)
    return model


def _leaves(model):
    for layer in model.layers:
        yield from _leaves(layer) if isinstance(layer, keras.Model) else (layer,)


def _small(*front, norm=True, middle=None, units=2, **options):
    """Two convolutions, one behind the other, and a head."""
    image = x = keras.Input((SIZE, SIZE, 3))
    for layer in front:
        x = layer(x)
    for number, filters in enumerate((6, 8)):
        x = keras.layers.Conv2D(filters, 3, strides=2, name=f"conv{number}")(x)
        if norm:
            x = keras.layers.BatchNormalization(name=f"norm{number}")(x, **options)
        x = keras.layers.ReLU(name=f"relu{number}")(x)
        if middle is not None and number == 0:
            x = middle(x)
    return keras.Model(image, _head(x, units))


def _rescaling():
    return keras.layers.Rescaling(1 / 255, name="to_one")


def _found(model, photos=PHOTOS, **options):
    findings = explain.check(model, photos, **options)
    assert all(finding.severity in ("error", "warning") for finding in findings)
    return [finding.sentence for finding in findings]


def _flat():
    backbone = few(SIZE)
    return _train(keras.Model(backbone.input, _head(backbone.output)))


def _nested():
    layers = [keras.Input((SIZE, SIZE, 3)), few(SIZE), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(1)]
    return _train(keras.Sequential(layers))


def _on(backbone):
    image = keras.Input((SIZE, SIZE, 3))
    return _train(keras.Model(image, _head(backbone(keras.layers.Rescaling(1 / 127.5, -1)(image)))))


HEALTHY = {
    "EfficientNet": _flat,
    "EfficientNet, nested, one unit": _nested,
    "ResNet": lambda: _on(thin_resnet(SIZE)),
    "MobileNet": lambda: _on(first_of_mobilenet(SIZE)),
    "plain": lambda: _train(_small(_rescaling())),
    "without BatchNorm": lambda: _train(_small(_rescaling(), norm=False)),
    "raw pixels": lambda: _train(_small()),
}


@pytest.mark.parametrize("kind", list(HEALTHY))
def test_a_healthy_model_gives_no_findings(kind):
    model = HEALTHY[kind]()
    before = [weights.copy() for weights in model.get_weights()]
    assert explain.check(model, PHOTOS, labels=("a", "b")) == ()
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))


def test_pixels_scaled_twice():
    layers = [keras.Input((SIZE, SIZE, 3)), _rescaling(), *_nested().layers]
    (sentence,) = _found(keras.Sequential(layers))
    assert "Pixels are scaled twice: black and white are only 0.018 apart where stem_conv begins" in sentence
    assert "take one scaling out, of to_one, rescaling" in sentence
    (sentence,) = _found(_train(_small(lambda x: x / 255, lambda x: x / 255)))
    assert sentence.endswith("where conv0 begins: take one scaling out, of what stands before.")


def test_a_model_trained_on_pixels_in_0_to_1():
    (sentence,) = _found(_train(_small(), scale=1 / 255))
    assert "Pixels are too large: norm0 meets values 255 times as large as in training" in sentence
    assert "put Rescaling(1/255) in front" in sentence


@pytest.mark.parametrize("momentum", [1.0, 0.9, 0.99])
def test_a_training_too_short_for_batchnorm_is_not_taken_for_pixels_that_are_scaled_twice(momentum):
    """The values of new layers on pixels in 0..1 are small, and BatchNorm begins at 1, or stays there."""
    model = _train(_small(_rescaling()))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(0.03 * layer.kernel)
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(0 * layer.moving_mean)
            layer.moving_variance.assign(0 * layer.moving_variance + 1)
            layer.momentum = momentum
    for _ in range(6):
        model(np.stack(PHOTOS).astype("float32"), training=True)
    (finding,) = explain.check(model, PHOTOS)
    assert finding.severity == "warning"
    assert "norm0" in finding.sentence and "nearly the statistics of a new layer" in finding.sentence
    assert "the training was too short to learn them" in finding.sentence


def test_a_model_trained_on_pixels_in_0_to_255_that_are_scaled_before():
    trained = _train(_small())
    layers = [keras.Input((SIZE, SIZE, 3)), _rescaling(), *trained.layers[1:]]
    (sentence,) = _found(keras.Sequential(layers))
    assert "Pixels are too small: norm0 meets values 255 times smaller than in training" in sentence
    assert "take out the scaling in front" in sentence


def test_a_model_without_batch_norm_trained_on_pixels_in_0_to_1():
    model = _train(_small(norm=False))
    model.get_layer("logits").kernel.assign(model.get_layer("logits").kernel * 8)
    (finding,) = explain.check(model, PHOTOS)
    assert finding.severity == "warning"
    assert "Pixels are probably too large" in finding.sentence
    assert "put Rescaling(1/255) in front" in finding.sentence


def test_weights_that_were_never_loaded():
    (sentence,) = _found(_small(_rescaling(), units=3), labels=("a", "b", "c"))[:1]
    assert sentence.startswith("norm0, norm1 have the statistics of a new layer")
    half = _train(_small(_rescaling()))
    half.get_layer("norm1").set_weights([np.full(8, value) for value in (1.0, 0.0, 0.0, 1.0)])
    (sentence,) = _found(half)
    assert sentence.startswith("norm1 has the statistics of a new layer")
    assert "load them into the graph that they were saved from" in sentence


def test_weights_of_another_graph():
    model = _flat()
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D) and "stem" not in layer.name:
            layer.kernel.assign(6 * layer.kernel)
    (sentence,) = _found(model)
    assert "The weights come from another graph" in sentence
    assert "load weights and graph that were saved together" in sentence


@pytest.mark.parametrize("weights", [None, "imagenet"])
def test_weights_of_keras_other_efficientnet_graph(weights, monkeypatch):
    """The graph of weights="imagenet" has a scaling layer more, and the other statistics in its Normalization."""
    monkeypatch.setattr(keras.src.applications.efficientnet.file_utils, "get_file", lambda *_, **__: "none")
    monkeypatch.setitem(keras.src.applications.efficientnet.WEIGHTS_HASHES, None, ("", ""))
    monkeypatch.setattr(keras.src.models.functional.Functional, "load_weights", lambda *_, **__: None)
    backbone = EfficientNet(
        0.25, 1.0, 32, blocks_args=FEW_BLOCKS, include_top=False, weights=weights, input_shape=(SIZE, SIZE, 3)
    )
    model = _train(keras.Model(backbone.input, _head(backbone.output)))
    norm = next(layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    for spread, healthy in ((SPREAD**2, weights is None), (SPREAD, weights is not None)):
        norm.adapt_variance.assign(spread)
        norm.finalize_state()
        found = _found(model, photos=())
        assert found == [] if healthy else "The weights come from another graph" in found[0]
        assert healthy or f"build EfficientNet with weights={'None' if weights else chr(39) + 'imagenet'}" in found[0]


def test_a_normalization_that_was_never_adapted():
    model = _train(_small(keras.layers.Rescaling(1 / 255), keras.layers.Normalization()))
    norm = next(layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    norm.adapt_mean.assign([0, 0, 0])
    norm.adapt_variance.assign([1, 1, 1])
    norm.finalize_state()
    (sentence,) = _found(model)
    assert "The Normalization layer has mean 0 and variance 1" in sentence


@pytest.mark.parametrize("activation", ["linear", "softmax"])
def test_a_head_that_never_saw_the_backbone(activation):
    small = _train(_small(_rescaling()))
    head = keras.layers.Dense(2, activation, name="logits")
    (sentence,) = _found(keras.Model(small.input, head(small.get_layer("logits").input)))
    assert "The last layer, logits, still has the values that it began with" in sentence
    assert "train it, or load its weights" in sentence


def test_weights_that_are_not_numbers():
    model = _train(_small(_rescaling()))
    model.get_layer("norm1").beta.assign([np.nan] * 8)
    (sentence,) = _found(model)
    assert "norm1 has weights that are not numbers" in sentence
    assert "take an earlier checkpoint" in sentence


def test_predictions_that_are_not_numbers():
    model = _train(_small(_rescaling()))
    model.get_layer("norm1").gamma.assign([3e38] * 8)
    (sentence,) = _found(model)
    assert "Predictions are not numbers" in sentence


def test_constant_predictions_and_blank_maps():
    model = _train(_small(_rescaling()))
    model.get_layer("logits").kernel.assign(np.zeros((8, 2)))
    constant, blank = _found(model)
    assert "The prediction is the same for 6 photographs" in constant
    assert "check how pixels are scaled" in constant
    assert "Maps of relu0, relu1 are blank" in blank


def test_maps_that_no_gradient_reaches():
    (sentence,) = _found(_train(_small(_rescaling(), middle=_Cut())))
    assert "Maps of relu0 are blank, as no gradient comes through from the score" in sentence
    (sentence,) = _found(_train(_small(_rescaling(), middle=_Root())))
    assert "Maps of relu0 hold values that are not numbers" in sentence


class _Cut(keras.layers.Layer):
    def call(self, x):
        return keras.ops.stop_gradient(x)


class _Root(keras.layers.Layer):
    """Its slope is infinite at 0, where ReLU leaves many cells."""

    def call(self, x):
        return keras.ops.sqrt(x)


def test_batch_norm_in_training_mode():
    model = _train(_small(_rescaling(), training=True))
    before = [weights.copy() for weights in model.get_weights()]
    (sentence,) = _found(model)
    assert "changes with the others in its batch: BatchNormalization is called with training=True" in sentence
    assert "build the graph with training=False" in sentence
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))


def test_dropout_in_training_mode():
    dropout = keras.layers.Dropout(0.5)
    (sentence,) = _found(_train(_small(_rescaling(), middle=lambda x: dropout(x, training=True))))
    assert "another prediction each time: Dropout, or a network with it, is called with training=True" in sentence


def test_a_backbone_in_training_mode():
    image = keras.Input((SIZE, SIZE, 3))
    (sentence,) = _found(_train(keras.Model(image, _head(few(SIZE)(image, training=True)))))
    # Its blocks are dropped by chance, so that either is seen first.
    assert "each time" in sentence or "with the others in its batch" in sentence
    assert "training=True; build the graph with training=False" in sentence


def test_labels_of_another_number():
    (sentence,) = _found(_train(_small(_rescaling())), labels=("cat", "dog", "bird"))
    assert "There are 3 labels, but the model tells 2 classes apart: give one label for each class" in sentence


def test_branches_that_meet_behind_the_last_map():
    ways = _small(_rescaling()), _small(_rescaling())
    for name, way in zip(("one", "two"), ways, strict=True):
        way.name = name
    image = keras.Input((SIZE, SIZE, 3))
    (sentence,) = _found(_train(keras.Model(image, keras.layers.add([way(image) for way in ways]), name="both")))
    assert sentence.startswith("Maps show a part of the evidence only: both is made of branches side by side")


def test_an_ending_that_cannot_be_undone():
    model = _train(_small(_rescaling()))
    ending = keras.Model(model.input, keras.layers.Activation("tanh", name="bent")(model.output))
    assert explain.check(ending, PHOTOS) == (
        Finding("warning", "bent cannot be undone, so maps explain the model's outputs: end the model in logits."),
    )
    # What is no layer has a name too, and the layer before it is not to blame.
    (found,) = explain.check(keras.Model(model.input, keras.ops.exp(model.output)), PHOTOS)
    assert found.sentence.startswith("exp")


def test_a_model_without_a_graph_and_pictures_that_are_none():
    class Mine(keras.Model):
        def call(self, x):
            return x

    assert "not as a subclass" in _found(Mine())[0]
    model = _train(_small(_rescaling()))
    (sentence,) = _found(model, [np.full((SIZE, SIZE, 3), grey, "uint8") for grey in (0, 128)])
    assert "The pictures are blank" in sentence
    for pictures in (["no such file.jpg"], "no such file.jpg"):
        with pytest.raises(PhotoError, match="no such file"):
            explain.check(model, pictures)


def test_sixteen_photographs_are_enough():
    taken = []

    def endless():
        while True:
            taken.append(PHOTOS[len(taken) % 6])
            yield taken[-1]

    assert _found(_train(_small(_rescaling())), endless()) == []
    assert len(taken) == 16
