"""Layers are found by their declared names, and each cell looks where its layer says."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.applications.efficientnet import EfficientNet

from explain import Explainer
from explain.errors import LayerError
from explain.layers import Block, layers_of
from tests.explain.networks import photograph, tiny

B0 = ["stem", "1a", "2a", "2b", "3a", "3b", "4a", "4b", "4c", "5a", "5b", "5c", "6a", "6b", "6c", "6d", "7a", "top"]


SIDE = 1024
"""Pixels: every receptive field of B0 fits."""


@pytest.fixture(scope="module")
def wide():
    return keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))


@pytest.fixture(scope="module")
def thin():
    """B0's kernels, strides and paths with as few channels as can be, and only positive paths.

    Every convolution averages, BatchNorm passes through and gates are constant: then the gradient of one cell is
    positive exactly on the pixels that its convolutions reach. How many channels average makes no difference to that.
    """
    model = EfficientNet(0.05, 1.0, SIDE, depth_divisor=1, include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel, *bias = layer.get_weights()
            mean = np.full_like(kernel, 0 if "se_" in layer.name else 1 / kernel[..., 0].size)
            layer.set_weights([mean, *(np.zeros_like(one) for one in bias)])
        elif isinstance(layer, keras.layers.DepthwiseConv2D):
            layer.set_weights([np.full_like(kernel, 1 / kernel[..., 0, 0].size) for kernel in layer.get_weights()])
    return model


@pytest.fixture(scope="module")
def reached(thin):
    """For every layer the first and last row and column that its middle cell (one further right) looks at."""
    layers = layers_of(thin)
    image = tf.ones((1, SIDE, SIDE, 3))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(image)
        outputs = keras.Model(thin.input, [thin.get_layer(one.keras_name).output for one in layers])(
            image, training=False
        )
        # The logarithm keeps the gradients of deep cells away from zero.
        cells = [
            tf.math.log(tf.reduce_sum(output[0, one.shape[0] // 2, one.shape[0] // 2 + 1]))
            for one, output in zip(layers, outputs, strict=True)
        ]
    found = {}
    for layer, cell in zip(layers, cells, strict=True):
        gradient = np.abs(tape.gradient(cell, image)[0].numpy().astype("float64")).sum(-1)
        assert np.isfinite(gradient).all()
        found[layer.name] = [np.flatnonzero(gradient.sum(axis))[[0, -1]] for axis in (1, 0)]
    return found


def test_the_thin_network_has_the_kernels_strides_and_paths_of_b0(wide, thin):
    def built(model):
        facts = ("kernel_size", "strides", "padding")
        return [
            (_called(layer), *(getattr(layer, fact, None) for fact in facts), _before(layer)) for layer in model.layers
        ]

    assert built(thin) == built(wide)


def _before(layer):
    """The layers whose outputs a layer takes in."""
    inputs = [tensor for node in layer._inbound_nodes for tensor in node.input_tensors]
    return [_called(tensor._keras_history.operation) for tensor in inputs]


def _called(layer):
    """Its name, without the number that Keras gives to what was not named."""
    return layer.name.rstrip("_0123456789")


def test_b0_has_eighteen_layers_in_order(wide):
    layers = layers_of(wide)
    assert [layer.name for layer in layers] == B0
    assert [layer.keras_name for layer in layers][:4] == [
        "stem_activation",
        "block1a_project_bn",
        "block2a_project_bn",
        "block2b_add",
    ]
    assert layers[-1].keras_name == "top_activation"


@pytest.mark.parametrize("name", B0)
def test_a_cell_reaches_exactly_its_receptive_field(wide, reached, name):
    layer = next(one for one in layers_of(wide) if one.name == name)
    cell = layer.shape[0] // 2
    rows, columns = reached[name]
    assert rows[1] - rows[0] + 1 == columns[1] - columns[0] + 1 == layer.receptive_field
    assert rows.mean() == layer.offset + layer.stride * cell
    assert columns.mean() == layer.offset + layer.stride * (cell + 1)


def test_a_cell_lies_half_a_stride_further_than_a_plain_resize_draws_it(wide):
    for layer in layers_of(wide):
        assert layer.offset - (layer.stride - 1) / 2 == (layer.stride - 1) / 2
    assert layers_of(wide)[-1].offset - 15.5 == 15.5


def test_blocks_say_what_they_are(wide):
    blocks = {layer.name: layer.block for layer in layers_of(wide)}
    assert blocks["stem"] is None
    assert blocks["top"] is None
    assert blocks["1a"] == Block(3, 1, 1, 32, 16, 0.25, False)
    assert blocks["3a"] == Block(5, 2, 6, 24, 40, 0.25, False)
    assert blocks["5c"] == Block(5, 1, 6, 112, 112, 0.25, True)
    assert blocks["7a"] == Block(3, 1, 6, 192, 320, 0.25, False)


def test_an_odd_size_is_padded_evenly():
    even, odd = (layers_of(tiny(size))[-1] for size in (64, 62))
    assert even.offset == even.stride - 1
    assert odd.offset < odd.stride - 1


def test_other_networks_give_the_last_activation_of_each_size():
    mobile = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(64, 64, 3), alpha=0.35)
    assert [layer.shape[0] for layer in layers_of(mobile)] == [32, 16, 8, 4, 2]
    assert [layer.stride for layer in layers_of(mobile)] == [2, 4, 8, 16, 32]
    residual = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(64, 64, 3))
    assert layers_of(residual)[-1].keras_name == "conv5_block3_out"


def test_layers_that_are_only_called_as_those_of_efficientnets_are_no_blocks():
    """The networks from scratch call their convolutions `block1a_conv`."""
    from models import graphs

    layers = layers_of(graphs.build("CNN3", 32, 10))
    assert [(layer.name, layer.shape[:2]) for layer in layers] == [
        ("block1a_activation", (32, 32)),
        ("block2b_activation", (16, 16)),
        ("block3b_activation", (8, 8)),
        ("block4a_activation", (4, 4)),
    ]
    assert not any(layer.block or layer.gates for layer in layers)


class _Squeezed(keras.layers.Layer):
    """Somebody's own: a convolution and its activation as one layer."""

    def build(self, shape):
        self.inner = keras.layers.Conv2D(4, 3, 2, activation="relu")
        self.inner.build(shape)

    def call(self, x):
        return self.inner(x)


def test_what_wraps_a_layer_or_is_a_persons_own_is_one():
    image = keras.Input((32, 32, 3))
    x = keras.layers.SpectralNormalization(keras.layers.Conv2D(4, 3), name="wrapped")(image)
    x = keras.layers.GlobalAveragePooling2D()(_Squeezed(name="own")(keras.layers.ReLU(name="relu")(x)))
    layers = layers_of(keras.Model(image, x))
    assert [(layer.name, layer.shape) for layer in layers] == [("relu", (30, 30, 4)), ("own", (14, 14, 4))]
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.SpectralNormalization(_conv(), name="wrapped")(image))
    assert [layer.name for layer in layers_of(keras.Model(image, x))] == ["wrapped"]


def _branches(x, name):
    """Four ways on, joined; on one of them there is a layer more of the size that comes in."""
    ways = [keras.layers.Conv2D(2, 3, 2, padding="same", activation="relu")(x) for _ in range(3)]
    longer = keras.layers.Conv2D(3, 1, activation="relu")(x)
    ways.append(keras.layers.Conv2D(2, 3, 2, padding="same", activation="relu")(longer))
    return keras.layers.Concatenate(name=name)(ways)


def _stated(x):
    return keras.layers.Activation("linear")(keras.layers.Conv2D(8, 3, padding="same")(x))


def test_a_layer_has_all_that_the_network_passes_through_and_not_one_branch():
    x = image = keras.Input((32, 32, 3))
    for name in ("first", "last"):
        x = _branches(x, name)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    assert [(layer.name, layer.shape) for layer in layers_of(model)][1:] == [
        ("first", (16, 16, 8)),
        ("last", (8, 8, 8)),
    ]


def test_steps_that_are_written_without_a_layer_are_explained():
    """As ConvNeXt's sums, behind branches that end in an activation which does nothing; and `keras.ops.relu`."""
    image = keras.Input((32, 32, 3))
    x = keras.ops.relu(keras.layers.Conv2D(8, 3, 2, padding="same")(image))
    x = keras.layers.MaxPooling2D()(x)
    x = x + _stated(x)
    x = x + _stated(x)
    dense = keras.layers.Dense(3)
    explainer = Explainer(keras.Model(image, dense(keras.layers.GlobalAveragePooling2D()(x))))
    found = explainer(photograph(32)[0].astype("uint8"), targets=[2], methods=("hires_cam", "ablation_cam"))
    relu, last = explainer.layers
    assert (relu.shape, last.shape) == ((16, 16, 8), (8, 8, 8))
    assert found.maps["ablation_cam"][relu.name].shape == (1, 16, 16)
    assert found.maps["hires_cam"][last.name].sum() + dense.bias.numpy()[2] == pytest.approx(found.logits[2], rel=1e-4)


def test_layers_come_in_the_order_of_the_network_whatever_their_size():
    image = keras.Input((32, 32, 3))
    x = _conv(1, "inner")(_conv(2, "first")(_conv(1, "before")(image)))
    x = keras.layers.ReLU(name="again")(keras.layers.UpSampling2D()(x))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    assert [layer.name for layer in layers_of(model)] == ["inner", "again"]


def test_a_branch_is_better_than_nothing():
    image = keras.Input((32, 32, 3))
    twice = keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="twice")
    x = keras.layers.GlobalAveragePooling2D()(twice(twice(image)))
    assert [layer.name for layer in layers_of(keras.Model(image, x))] == ["twice"]
    ways = [keras.layers.Conv2D(2, 3, activation="relu", name=name)(image) for name in ("left", "right")]
    x = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(way) for way in ways])
    assert layers_of(keras.Model(image, x))[-1].name == "right"


def _conv(strides=1, name="last"):
    return keras.layers.Conv2D(3, 3, strides, padding="same", kernel_initializer="ones", activation="relu", name=name)


def _gate(x):
    return keras.ops.stop_gradient(keras.layers.GlobalAveragePooling2D(keepdims=True)(x))


@pytest.mark.parametrize(
    "steps",
    [
        [keras.layers.Resizing(64, 64), _conv()],
        [keras.layers.CenterCrop(64, 64), _conv()],
        [keras.layers.Cropping2D(((20, 12), (20, 12))), _conv()],
        [keras.layers.ZeroPadding2D(((6, 2), (6, 2))), _conv()],
        [_conv(4, "first"), keras.layers.UpSampling2D(2), _conv()],
        [
            _conv(4, "first"),
            keras.layers.Conv2DTranspose(3, 3, 2, padding="same", kernel_initializer="ones"),
            keras.layers.ReLU(name="last"),
        ],
        [
            _conv(4, "first"),
            keras.layers.Conv2DTranspose(3, 5, 2, kernel_initializer="ones"),
            keras.layers.ReLU(name="last"),
        ],
        [_conv(2, "first"), lambda x: x[:, 3:-1, 3:-1], _conv()],
        [_conv(1, "first"), lambda x: x[..., 5::2, 5::2, :], _conv()],
        [_conv(2, "first"), lambda x: x + keras.ops.relu(x), _conv()],
        [_conv(1, "first"), lambda x: keras.ops.average_pool(x, 2, 2), _conv()],
        [_conv(2, "first"), lambda x: keras.layers.multiply([_gate(x), x]), _conv()],
        [
            keras.layers.AveragePooling2D(2),
            keras.layers.Reshape((-1, 3)),
            keras.layers.Reshape((64, 64, 3)),
            keras.layers.ReLU(name="last"),
        ],
    ],
    ids=[
        "resizing",
        "centre crop",
        "cropping",
        "padding",
        "upsampling",
        "transposed",
        "transposed, valid",
        "a slice",
        "every second cell",
        "a sum without a layer",
        "pooling without a layer",
        "a gate before what it scales",
        "rows made of none",
    ],
)
def test_a_cell_is_where_its_gradient_lies_behind_layers_that_resize(steps):
    image = x = keras.Input((128, 128, 3))
    for step in steps:
        x = step(x)
    model = keras.Model(image, x)
    layer = next(one for one in layers_of(model) if one.keras_name == "last")
    assert layer in layers_of(keras.models.model_from_json(model.to_json()))
    picture = tf.ones((1, 128, 128, 3))
    for row, column in ((20, 24), (36, 40)):
        # Of two neighbours one may lie as far before its place as the other behind it.
        seen = np.mean([_centre(model, picture, row + next, column + next) for next in (0, 1)], axis=0)
        assert seen == pytest.approx([layer.offset + layer.stride * (at + 0.5) for at in (row, column)], abs=1e-3)


def _centre(model, picture, row, column):
    """The row and the column of the picture around which the gradient of a cell lies."""
    with tf.GradientTape() as tape:
        tape.watch(picture)
        cell = tf.reduce_sum(model(picture)[0, row, column])
    gradient = np.abs(tape.gradient(cell, picture)[0].numpy()).sum(-1)
    return [np.average(np.arange(gradient.shape[0]), weights=gradient.sum(axis)) for axis in (1, 0)]


def test_cells_that_are_not_square_are_refused_in_one_sentence():
    image = keras.Input((128, 128, 3))
    with pytest.raises(LayerError, match=r"^last has 64 rows and 128 columns; only square maps are explained\.$"):
        layers_of(keras.Model(image, _conv((2, 1))(image)))
