"""Every network sees pixels 0..255 as it was trained to see them, and the small ones are what they say."""

import sys

import keras
import numpy as np
import pytest

from models import ModelError, graphs, nets


@pytest.mark.parametrize("architecture", ["Xception", "MobileNet", "DenseNet121"])
def test_pixels_are_brought_to_what_the_network_expects(architecture):
    network = getattr(keras.applications, architecture)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 3)).astype("float32")
    expected = sys.modules[network.__module__].preprocess_input(pixels.copy())
    np.testing.assert_allclose(graphs._rescaling(network, architecture)(pixels), expected, atol=1e-5)


@pytest.mark.parametrize("architecture", ["EfficientNetB0", "EfficientNetV2B0", "MobileNetV3Small", "ConvNeXtTiny"])
def test_a_network_that_sees_to_its_pixels_itself_is_left_alone(architecture):
    assert graphs._rescaling(getattr(keras.applications, architecture), architecture) is None


def test_the_rescaling_is_the_first_layer_and_nothing_else_changes():
    model = graphs.build("MobileNet", 32, 3)
    plain = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(32, 32, 3))
    assert isinstance(model.layers[1], keras.layers.Rescaling)
    assert [weight.shape for weight in graphs.backbone_of(model).weights] == [weight.shape for weight in plain.weights]
    graphs.backbone_of(model).set_weights(plain.get_weights())
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype("float32")
    expected = plain(keras.applications.mobilenet.preprocess_input(pixels.copy()))
    np.testing.assert_allclose(graphs.backbone_of(model)(pixels), expected, atol=1e-5)


def test_a_network_for_bgr_is_refused():
    with pytest.raises(ModelError, match="VGG16 wants its channels in the order BGR"):
        graphs.build("VGG16", 32, 2)


def test_an_unknown_network_is_refused():
    with pytest.raises(ModelError, match="no network called 'CNN9'"):
        graphs.build("CNN9", 32, 2)


def test_the_small_networks_grow():
    built = [graphs.build(name, 32, 10) for name in nets.NETWORKS]
    convolutions = [sum(isinstance(layer, keras.layers.Conv2D) for layer in model.layers) for model in built]
    assert convolutions == [2, 4, 6]
    norms = [any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers) for model in built]
    assert norms == [False, False, True]
    assert [model.get_layer("pool").input.shape[1:] for model in built] == [(16, 16, 32), (8, 8, 64), (2, 2, 256)]
    assert all(model.layers[1](np.array([0.0, 255.0])).numpy().tolist() == [-1, 1] for model in built)


def test_a_copy_of_weights_computes_the_same():
    def network():
        image = keras.Input((4, 4, 3))
        return keras.Model(image, keras.layers.Dense(2)(keras.layers.Normalization()(image)))

    source, target = network(), network()
    source.layers[1].set_weights([np.array([100.0, 120.0, 140.0]), np.array([50.0, 60.0, 70.0]), np.array(0)])
    source.layers[1].finalize_state()
    graphs.copy_weights(source, target)
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3)).astype("float32")
    np.testing.assert_array_equal(target(pixels), source(pixels))


def test_logits_are_float32_where_the_rest_computes_in_bfloat16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = graphs.build("CNN1", 32, 3)
    finally:
        keras.config.set_dtype_policy(before)
    logits = np.asarray(model(np.random.default_rng(1).uniform(0, 255, (8, 32, 32, 3))))
    assert model.get_layer("pool").compute_dtype == "bfloat16"
    assert logits.dtype == np.float32
    # bfloat16 keeps the upper half of a float32's bits.
    assert (logits.view(np.uint32) << 16).any()
