"""Whatever a person brings is explained as its flat float32 equivalent would be."""

import keras
import numpy as np
import pytest

from explain import Explainer, LayerError
from explain.network import network_of
from models import Run
from tests.explain.kinds import KINDS, OTHERS, PICTURES, SIZE, head, nested, state, two_outputs, with_weights_of
from tests.explain.networks import classifier, few


@pytest.fixture(scope="module")
def reference():
    model = classifier(few(SIZE))
    return model, Explainer(model, engine="tensorflow")


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request, reference):
    """A model, what it was before anybody explained it, and an explainer for each engine."""
    model = with_weights_of(KINDS[request.param](), reference[0])
    before = state(model)
    return model, before, {engine: Explainer(model, engine=engine) for engine in ("tensorflow", "auto")}


def test_every_kind_equals_its_flat_float32_equivalent(kind, reference):
    plain, methods = reference[1], ("grad_cam", "hires_cam", "layer_cam")
    for explainer in kind[2].values():
        assert [layer.name for layer in explainer.layers] == [layer.name for layer in plain.layers]
        assert explainer.explains == "logits"
        mine, other = (one(PICTURES[0], targets=[1], methods=methods) for one in (explainer, plain))
        # Mixed precision keeps float32 weights: written out in float32 it is the same network.
        assert np.allclose(mine.logits, other.logits, rtol=1e-3, atol=1e-5)
        for method, layers in other.maps.items():
            for layer, maps in layers.items():
                assert np.abs(mine.maps[method][layer] - maps).max() <= 1e-3 * np.abs(maps).max(), (method, layer)


def test_explaining_leaves_no_trace_in_a_model_of_any_kind(kind):
    model, before, explainers = kind
    for explainer in explainers.values():
        explainer(PICTURES[0], targets=[1])
    assert state(model) == before


def steep(x):
    return 1.5 * keras.ops.relu(x)


@pytest.mark.filterwarnings("error")
def test_functions_of_ones_own_are_called_in_a_nested_model_too():
    """Keras would look for them by their names, where they are registered; of a lambda it would run no copy."""
    kept = 0.5
    middle = keras.Sequential(
        [
            keras.layers.Lambda(keras.applications.mobilenet_v2.preprocess_input),
            keras.layers.Conv2D(4, 3, activation=steep, kernel_regularizer=lambda kernel: keras.ops.sum(kernel)),
            keras.layers.Lambda(lambda x, by: x * by + kept, output_shape=(6, 6, 4), arguments={"by": 2.0}),
            keras.layers.Activation(lambda x: keras.ops.relu(x)),
        ]
    )
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), middle, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    )
    before, picture = state(model), PICTURES[0][:8, :8]
    found = Explainer(model)(picture)
    assert np.allclose(found.logits, model(picture[None].astype("float32"), training=False)[0], rtol=1e-4)
    assert state(model) == before


def test_a_model_loaded_from_a_file_is_the_same(tmp_path, reference):
    model = with_weights_of(nested(), reference[0])
    model.save(tmp_path / "mine.keras")
    loaded = keras.saving.load_model(tmp_path / "mine.keras")
    mine = Explainer(loaded)(PICTURES[0], targets=[1])
    other = reference[1](PICTURES[0], targets=[1])
    for layer, maps in other.maps["hires_cam"].items():
        assert np.abs(mine.maps["hires_cam"][layer] - maps).max() <= 1e-3 * np.abs(maps).max()


def test_one_sigmoid_unit_is_explained_by_its_logit():
    plain = classifier(few(SIZE), units=1)
    squashed = with_weights_of(keras.Model((backbone := few(SIZE)).input, head(backbone.output, 1, "sigmoid")), plain)
    mine, other = (Explainer(model, labels=("no", "yes"))(PICTURES[0], targets=("no",)) for model in (squashed, plain))
    assert np.allclose(mine.logits, other.logits, rtol=1e-4)
    assert mine.probabilities[1] == pytest.approx(float(squashed(PICTURES[0][None].astype("float32"))[0, 0]), rel=1e-4)
    assert np.allclose(mine.maps["hires_cam"]["top"], other.maps["hires_cam"]["top"], rtol=1e-3, atol=1e-7)


def _ends_in(*steps, activation=None):
    image = x = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(4, 3, strides=4, activation="relu")(x)
    x = head(x, activation=activation)
    for step in steps:
        x = step(x)
    return keras.Model(image, x)


@keras.saving.register_keras_serializable("tests")
class Softmax(keras.layers.Layer):
    """Somebody's own layer that is called as one of Keras' is."""

    def call(self, x):
        return x**2


@pytest.mark.parametrize(
    ("steps", "activation", "explains", "undone"),
    [
        ([], None, "logits", ""),
        ([keras.layers.Reshape((3,)), keras.layers.Dropout(0.5)], None, "logits", ""),
        ([keras.layers.BatchNormalization()], None, "logits", ""),
        ([keras.layers.Softmax()], None, "logits", "softmax"),
        ([keras.ops.sigmoid], None, "logits", "sigmoid"),
        ([keras.ops.softmax], None, "logits", "softmax"),
        ([], "softmax", "logits", "softmax"),
        ([keras.layers.ReLU()], None, "outputs", ""),
        ([keras.layers.LeakyReLU()], None, "outputs", ""),
        ([keras.layers.ReLU(), keras.layers.Reshape((3,))], None, "outputs", ""),
        ([keras.layers.LeakyReLU(), keras.layers.Softmax()], None, "outputs", "softmax"),
        ([], "relu", "outputs", ""),
        ([keras.ops.exp], None, "outputs", ""),
        ([Softmax()], None, "outputs", ""),
    ],
)
def test_it_says_whether_it_explains_logits_or_outputs(steps, activation, explains, undone):
    model = _ends_in(*steps, activation=activation)
    network = network_of(model)
    assert network.explains == explains
    image = PICTURES[0][None].astype("float32")
    values, last = (one(image, training=False) for one in (network.model, model))
    assert np.allclose(getattr(keras.ops, undone)(values) if undone else values, last, rtol=1e-5)


@pytest.mark.parametrize(
    ("steps", "activation", "explains"),
    [
        ([], "sigmoid", "logits"),
        ([keras.ops.sigmoid], None, "logits"),
        ([], "softmax", "logits"),
        ([lambda x: keras.layers.Average()([keras.ops.softmax(x), keras.ops.softmax(2 * x)])], None, "outputs"),
        ([keras.layers.Softmax(), keras.layers.Reshape((3,))], None, "outputs"),
        ([keras.layers.Softmax()], "softmax", "outputs"),
        ([lambda x: keras.ops.softmax(0.5 * (x / 2))], None, "logits"),
        ([lambda x: keras.ops.softmax(2 / x)], None, "outputs"),
        ([keras.layers.Dense(1, activation="hard_sigmoid")], None, "outputs"),
        ([keras.layers.Dense(1, activation="sigmoid"), lambda x: keras.ops.clip(1 - x, 0.01, 0.99)], None, "outputs"),
        ([lambda x: keras.layers.Average()([keras.ops.sigmoid(x), keras.ops.sigmoid(2 * x)])], None, "outputs"),
        ([keras.layers.Dense(1, activation="sigmoid"), keras.layers.Reshape((1,))], None, "outputs"),
        ([keras.layers.Dense(1, activation="sigmoid"), keras.ops.sigmoid], None, "outputs"),
        ([lambda x: keras.ops.exp(x) / keras.ops.sum(keras.ops.exp(x), -1, keepdims=True)], None, "outputs"),
    ],
    ids=[
        "sigmoids",
        "sigmoids by a function",
        "softmax",
        "the mean of two",
        "softmax, reshaped",
        "softmax of softmax",
        "softmax at a temperature",
        "softmax of a quotient",
        "a straight sigmoid",
        "the complement of a sigmoid, within bounds",
        "the mean of two rows of sigmoids",
        "one sigmoid, reshaped",
        "sigmoid of a sigmoid",
        "softmax by hand",
    ],
)
def test_probabilities_are_those_of_the_model(steps, activation, explains):
    model = _ends_in(*steps, activation=activation)
    explainer = Explainer(model)
    found = explainer(PICTURES[0])
    expected = np.asarray(model(found.seen[None].astype("float32"), training=False))[0]
    expected = expected if len(expected) > 1 else np.array([1 - expected[0], expected[0]])
    assert explainer.explains == explains
    assert np.allclose(found.probabilities, expected, rtol=1e-3, atol=1e-6)
    assert np.allclose(explainer.probabilities(PICTURES[0]), expected, rtol=1e-3, atol=1e-6)


def _with(before=None, behind=None):
    """An EfficientNet with a step in front of it, or behind its head, that is no layer."""
    image = x = keras.Input((SIZE, SIZE, 3))
    logits = head(few(SIZE)(before(x) if before else x))
    return keras.Model(image, behind(logits) if behind else logits)


@pytest.mark.parametrize(
    "model",
    [
        lambda: _with(before=lambda x: x / 127.5 - 1),
        lambda: _with(behind=lambda x: x[:, 1:]),
        lambda: _with(behind=lambda x: keras.ops.softmax(keras.ops.softmax(5 * x))),
        lambda: _with(behind=lambda x: keras.ops.softmax(keras.layers.Softmax()(x))),
    ],
    ids=["pixels", "two of three", "a temperature", "softmax of softmax"],
)
def test_no_step_of_an_efficientnet_is_left_out(model):
    model = model()
    found = Explainer(model, layers=("top",))(PICTURES[0])
    expected = np.asarray(model(found.seen[None].astype("float32"), training=False))[0]
    values = found.probabilities if expected.sum() == pytest.approx(1) else found.logits
    assert np.allclose(values, expected, rtol=1e-3, atol=1e-6)


def test_layers_that_were_called_in_another_model_too_are_those_of_this_one():
    layers = [
        keras.layers.Conv2D(4, 3, strides=4, activation="relu", name="conv"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, activation="softmax"),
    ]
    first = keras.Sequential([keras.Input((SIZE, SIZE, 3)), *layers])
    image = x = keras.Input((SIZE, SIZE, 3))
    for layer in layers:
        x = layer(x)
    model = keras.Model(image, x)
    before, found, other = state(model), Explainer(model)(PICTURES[0]), Explainer(first)(PICTURES[0])
    assert state(model) == before
    assert np.allclose(found.logits, other.logits, rtol=1e-5)
    assert np.allclose(found.maps["hires_cam"]["conv"], other.maps["hires_cam"]["conv"], rtol=1e-5)


def test_quantised_weights_are_one_sentence():
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()])
    model.add(keras.layers.Dense(2, name="logits"))
    model.layers[-1].quantize("int8")
    with pytest.raises(LayerError, match=r"^The weights of logits are quantised: give the model as it was before"):
        network_of(model)


@pytest.mark.parametrize("nested", [False, True])
def test_only_squares_are_explained(nested):
    steps = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((48, 32, 3)), *steps])
    if nested:
        image = keras.Input((48, 32, 3))
        model = keras.Model(image, model(image))
    with pytest.raises(LayerError, match=r"takes pictures of 48 x 32 pixels; only squares are explained\.$"):
        network_of(model)


def _simple(**given):
    image = keras.Input(**given)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 3, activation="relu", name="last")(image))
    return keras.Model(image, keras.layers.Dense(2, use_bias=False, name="logits")(x))


def test_layers_of_several_models_may_share_their_names():
    """As those of an ensemble of one kind do, or of a network from a file under a new head."""
    image, members = keras.Input((32, 32, 3)), [_simple(shape=(32, 32, 3)) for _ in range(3)]
    for name, member in zip("abc", members, strict=True):
        member.name = name
    found = Explainer(keras.Model(image, keras.layers.Average()([one(image) for one in members])))(PICTURES[0])
    alone = [one(found.seen[None].astype("float32")).numpy()[0] for one in members]
    assert np.allclose(found.logits, np.mean(alone, axis=0), rtol=1e-4)


@pytest.mark.parametrize("count", [1, 4])
def test_a_model_for_so_many_pictures_at_once_takes_one_and_many(count):
    model = _simple(batch_shape=(count, 32, 32, 3))
    found = Explainer(model)(PICTURES[0], targets=[0], methods=("hires_cam", "score_cam"))
    assert found.maps["score_cam"]["last"].shape == (1, 30, 30)
    pictures = np.repeat(found.seen[None].astype("float32"), count, axis=0)
    assert np.allclose(found.logits, model(pictures)[0], rtol=1e-4)


@pytest.mark.parametrize("count", [1, 4])
def test_a_model_that_would_mix_up_another_number_of_pictures_is_refused(count):
    image = keras.Input(batch_shape=(count, 32, 32, 3))
    rows = keras.ops.reshape(keras.layers.Conv2D(3, 3, activation="relu")(image), (count, -1, 3))
    model = keras.Model(image, keras.layers.Dense(2)(keras.ops.mean(rows, axis=1)))
    with pytest.raises(LayerError, match=f"reshapes to {count} pictures at once"):
        network_of(model)


class Unnamed(keras.layers.Layer):
    """A layer that Keras cannot make again."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, x):
        return x * self.factor


def test_a_layer_that_cannot_be_made_again_is_one_sentence():
    steps = [keras.layers.Conv2D(4, 3, activation="relu"), Unnamed(2.0), keras.layers.GlobalAveragePooling2D()]
    with pytest.raises(LayerError, match=r"cannot be written as one graph: .*Unnamed"):
        network_of(keras.Sequential([keras.Input((32, 32, 3)), *steps, keras.layers.Dense(2)]))


def test_several_outputs_are_named(reference):
    model = two_outputs()
    with pytest.raises(LayerError, match="say which one"):
        Explainer(model)
    with pytest.raises(LayerError, match="no output called 'colour'"):
        Explainer(model, output="colour")
    found = Explainer(model, output=next(name for name in model.output_names if name in ("logits", "kind")))
    assert len(found.labels) == 3


@pytest.mark.parametrize("name", ["MobileNet", "ResNet", "convolutions alone"])
def test_other_networks_are_explained_by_the_tape(name):
    model = OTHERS[name][0]()
    explainer = Explainer(model)
    assert explainer.engine == "tensorflow"
    found = explainer(PICTURES[0], targets=[0], methods=("hires_cam",), keep=True)
    assert np.abs(found.maps["hires_cam"][found.layers[-1].name]).max() > 0
    if name != "convolutions alone":
        bias = model.layers[-1].get_weights()[1][0]
        total = found.maps["hires_cam"][found.layers[-1].name].sum() + bias
        assert total == pytest.approx(float(found.logits[0]), rel=1e-3, abs=0)


def test_a_subclass_is_refused_in_one_sentence():
    class Mine(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(LayerError, match="not as a subclass"):
        Explainer(Mine())


def test_a_nested_layer_that_is_called_twice_stays_one(reference):
    image = keras.Input((SIZE, SIZE, 3))
    convolution = keras.layers.Conv2D(3, 3, padding="same", activation="relu")
    inner = keras.Model(image, convolution(convolution(image)))
    outer = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.GlobalAveragePooling2D()(inner(inner(outer)))
    model = keras.Model(outer, keras.layers.Dense(2)(x))
    network = network_of(model)
    picture = PICTURES[0][None].astype("float32")
    assert np.allclose(network.model(picture), model(picture), rtol=1e-5)
    assert network.model.count_params() == model.count_params()


def test_a_run_is_no_model_but_has_one(reference):
    with pytest.raises(LayerError, match=r"^Run is not a Keras model: give its \.model\.$"):
        Explainer(Run("mine", None, lambda: reference[0]))
