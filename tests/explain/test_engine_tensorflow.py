"""The reference engine gives what Keras and an eager tape give, for every photograph, target and layer."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from explain import engine_tensorflow
from explain.engine_tensorflow import Behind, TensorFlowEngine
from explain.layers import layers_of
from tests.explain.networks import classifier, cotangents, few, is_what_the_tape_gives, off, photograph

SIZE = 32


@pytest.fixture(scope="module")
def small():
    """Two convolutions, the second with a path around it, and everything that training changes in between."""
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    first = keras.layers.Conv2D(4, 3, strides=2, activation="relu", name="first")(x)
    x = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization(name="norm")(first))
    second = keras.layers.Conv2D(5, 3, strides=2, activation="relu", name="second")(x)
    features = [keras.layers.GlobalAveragePooling2D()(y) for y in (x, second)]
    features = keras.layers.Dropout(0.5)(keras.layers.Concatenate(name="features")(features))
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(features))
    random = np.random.default_rng(2)
    model.set_weights([random.uniform(0.2, 0.8, weight.shape) for weight in model.get_weights()])
    model.get_layer("logits").set_weights([random.normal(size=(9, 3)), random.normal(size=3)])
    return model


@pytest.fixture(scope="module")
def engine(small):
    return TensorFlowEngine(small, layers_of(small))


def test_by_hand_behind_the_last_convolution(small, engine):
    """Behind a mean over 7 x 7 cells and a dense layer: the kernel's row of the channel, over 49."""
    images, rows = photograph(SIZE, photos=3), cotangents(3, 2)
    found = engine(images, rows)
    cells = keras.Model(small.input, [small.get_layer(name).output for name in ("first", "second")])(images)
    for name, expected in zip(("first", "second"), cells, strict=True):
        assert off(found.activations[name], expected.numpy()) < 1e-5
    assert off(found.logits, small(images).numpy()) < 1e-5
    kernel = small.get_layer("logits").kernel.numpy()[4:]
    expected = np.einsum("btu,cu->btc", rows, kernel)[:, :, None, None] / 49
    gradient = found.gradients["second"]
    assert gradient.shape == (3, 2, 7, 7, 5)
    assert off(gradient, np.broadcast_to(expected, gradient.shape)) < 1e-5
    for values in (found.logits, *found.activations.values(), *found.gradients.values()):
        assert values.dtype == np.float32


def test_logits_without_gradients(small, engine):
    images = photograph(SIZE, photos=3)
    assert off(engine.logits(images), small(images).numpy()) < 1e-5
    assert engine.logits(images).dtype == np.float32
    # Which instructions a processor has decides whether a photo is summed in another order among others.
    assert off(engine.logits(images[:1]), engine.logits(images)[:1]) < 1e-6


def test_bytes_and_doubles_are_taken(engine):
    pixels, rows = photograph(SIZE, photos=2).astype(np.uint8), cotangents(2, 1)
    expected = engine(pixels.astype(np.float32), rows)
    found = engine(pixels, rows.astype(np.float64))
    np.testing.assert_array_equal(engine.logits(pixels), engine.logits(pixels.astype(np.float32)))
    np.testing.assert_array_equal(found.logits, expected.logits)
    np.testing.assert_array_equal(found.gradients["first"], expected.gradients["first"])


def test_a_step_without_gradient_leaves_the_layers_after_it_theirs():
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(3, 3, strides=2, activation="relu", name="before")(image)
    x = keras.layers.Lambda(keras.ops.stop_gradient)(x)
    x = keras.layers.Conv2D(3, 3, strides=2, activation="relu", name="after")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(3, kernel_initializer=keras.initializers.Constant(0.49))(x))
    found = TensorFlowEngine(model, layers_of(model))(photograph(SIZE, photos=2), np.ones((2, 1, 3), np.float32))
    assert found.gradients["before"].shape == (2, 1, 15, 15, 3)
    assert not found.gradients["before"].any()
    np.testing.assert_allclose(found.gradients["after"], 3 * 0.01, rtol=1e-5)


def test_photographs_and_cotangents_of_another_network_are_refused(engine):
    """Nothing is broadcast: one row for one unit would be a target for all of them."""
    for wrong in (photograph(SIZE // 2), photograph(SIZE)[..., :1], photograph(SIZE)[0]):
        for call in (engine.logits, lambda image: engine(image, cotangents(1, 1))):
            with pytest.raises((TypeError, ValueError)):
                call(wrong)
    with pytest.raises((TypeError, ValueError)):
        engine(photograph(SIZE), cotangents(1, 1)[..., :1])


@pytest.fixture
def counts(monkeypatch) -> list[int]:
    """The number of targets of each pass that is traced from now on."""
    counts, traced = [], engine_tensorflow.traced

    def noting(function, *arguments):
        counts.append(arguments[1].shape[1])
        return traced(function, *arguments)

    monkeypatch.setattr(engine_tensorflow, "traced", noting)
    return counts


def test_many_targets_are_traced_a_few_at_a_time(small, monkeypatch, engine, counts):
    monkeypatch.setattr(engine_tensorflow, "MOST_TARGETS", 2)
    engine_of_two = TensorFlowEngine(small, layers_of(small))
    images, rows = photograph(SIZE, photos=2), cotangents(2, 5)
    found = engine_of_two(images, rows)
    assert counts == [2, 1]
    for name, gradient in found.gradients.items():
        alone = [engine(images, rows[:, one : one + 1]).gradients[name] for one in range(5)]
        assert off(gradient, np.concatenate(alone, axis=1)) < 1e-5


def test_traced_once_for_each_number_of_targets(small, counts):
    engine = TensorFlowEngine(small, layers_of(small))
    for photos, targets in ((1, 1), (3, 1), (1, 2), (2, 1), (3, 2)):
        engine(photograph(SIZE, photos=photos), cotangents(photos, targets))
    assert counts == [1, 2]


def test_one_network_after_the_other_draws_no_warning(small, caplog):
    """TensorFlow warns of what is traced time and again, and takes the functions of several networks for one."""
    for _ in range(6):
        engine = TensorFlowEngine(small, layers_of(small))
        engine.logits(photograph(SIZE))
        engine(photograph(SIZE), cotangents(1, 1))
    assert not caplog.records


def test_threads_get_their_own_answers(small):
    engine = TensorFlowEngine(small, layers_of(small))
    images = [photograph(SIZE, seed=seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda n: engine(images[n % 4], cotangents(1, 1 + n % 2)), range(16)))
    for n, found in enumerate(together):
        alone = engine(images[n % 4], cotangents(1, 1 + n % 2))
        np.testing.assert_array_equal(found.logits, alone.logits)
        np.testing.assert_array_equal(found.gradients["first"], alone.gradients["first"])


@pytest.fixture(scope="module")
def behind(small):
    first, second = (next(layer for layer in layers_of(small) if layer.name == name) for name in ("first", "second"))
    return Behind(small, first), Behind(small, second)


def test_behind_a_layer_is_the_rest_of_the_network(small, behind, engine):
    image = photograph(SIZE)
    found = engine(image, cotangents(1, 1))
    for one, name in zip(behind, ("first", "second"), strict=True):
        assert off(one(image, found.activations[name]), found.logits) < 1e-5
    # In front of `second` the normalised `first` leads past it, as the photograph has it.
    cells = np.random.default_rng(4).uniform(0, 3, (3, 7, 7, 5))
    past = keras.Model(small.input, small.get_layer("features").output)(image).numpy()[:, :4]
    features = np.concatenate([past.repeat(3, axis=0), cells.mean((1, 2))], axis=1)
    kernel, bias = small.get_layer("logits").get_weights()
    logits = behind[1](image, cells)
    assert logits.dtype == np.float32
    assert off(logits, features @ kernel + bias) < 1e-5


def test_behind_a_layer_nothing_trains_whatever_the_graph_says():
    image = keras.Input((SIZE, SIZE, 3))
    cells = keras.layers.Conv2D(3, 3, activation="relu", name="cells")(image)
    x = keras.layers.Dropout(0.9)(keras.layers.GlobalAveragePooling2D()(cells), training=True)
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(x))
    kernel, bias = model.get_layer("logits").get_weights()
    cells = np.random.default_rng(5).uniform(0, 3, (2, 30, 30, 3)).astype(np.float32)
    found = Behind(model, layers_of(model)[0])(photograph(SIZE), cells)
    assert off(found, cells.mean((1, 2)) @ kernel + bias) < 1e-5


def test_every_layer_gets_what_the_tape_gives():
    model = classifier(few(SIZE))
    images, rows = photograph(SIZE, photos=2), cotangents(2, 2)
    is_what_the_tape_gives(TensorFlowEngine(model, layers_of(model))(images, rows), model, images, rows)
