"""Every kind of classifier that a person brings, with weights that hide no mistake."""

import hashlib

import keras
from keras.src.applications.resnet import ResNet, stack_residual_blocks_v1

from tests.explain.networks import few, photograph

SIZE = 64
PICTURES = [photograph(SIZE, seed=seed)[0].astype("uint8") for seed in range(3)]


def head(x, units=3, activation=None):
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.layers.Dense(units, activation=activation, name="logits")(x)


def nested(activation=None):
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            few(SIZE),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3, activation=activation, name="logits"),
        ]
    )


def functional_softmax():
    image = keras.Input((SIZE, SIZE, 3))
    return keras.Model(image, keras.ops.softmax(head(few(SIZE)(image))))


def twice_nested():
    image = keras.Input((SIZE, SIZE, 3))
    return keras.Model(image, head(keras.Sequential([keras.Input((SIZE, SIZE, 3)), few(SIZE)], name="inner")(image)))


def functional_nested():
    image = keras.Input((SIZE, SIZE, 3))
    return keras.Model(image, head(few(SIZE)(image, training=False)))


def softmax_layer():
    backbone = few(SIZE)
    return keras.Model(backbone.input, keras.layers.Softmax()(head(backbone.output)))


def mixed():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        backbone = few(SIZE)
        return keras.Model(backbone.input, keras.layers.Activation("softmax", dtype="float32")(head(backbone.output)))
    finally:
        keras.mixed_precision.set_global_policy("float32")


def two_outputs():
    backbone = few(SIZE)
    return keras.Model(
        backbone.input,
        {
            "kind": head(backbone.output),
            "age": keras.layers.Dense(1, name="age")(keras.layers.GlobalAveragePooling2D()(backbone.output)),
        },
    )


def flat(units=3, activation=None):
    backbone = few(SIZE)
    return keras.Model(backbone.input, head(backbone.output, units, activation))


def plain():
    """Convolutions and pooling alone, without BatchNorm."""
    image = x = keras.Input((SIZE, SIZE, 3))
    for filters in (8, 16):
        x = keras.layers.MaxPooling2D()(keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x))
    return keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(x)))


def resnet():
    backbone = thin_resnet(SIZE)
    return keras.Model(backbone.input, head(backbone.output))


def thin_resnet(size):
    """Three residual blocks, one of them with a stride."""

    def stacks(x):
        return stack_residual_blocks_v1(stack_residual_blocks_v1(x, 8, 1, stride1=1, name="conv2"), 8, 2, name="conv3")

    return ResNet(stacks, False, True, include_top=False, weights=None, input_shape=(size, size, 3))


def mobilenet():
    backbone = first_of_mobilenet(SIZE)
    return keras.Model(backbone.input, head(backbone.output))


def first_of_mobilenet(size):
    """The first three of its thirteen blocks, one of them with a stride."""
    whole = keras.applications.MobileNet(include_top=False, weights=None, alpha=0.25, input_shape=(size, size, 3))
    return keras.Model(whole.input, whole.get_layer("conv_pw_3_relu").output)


KINDS = {
    "flat": flat,
    "nested": nested,
    "nested in a functional model": functional_nested,
    "twice nested": twice_nested,
    "softmax in the last layer": lambda: nested("softmax"),
    "softmax as a layer": softmax_layer,
    "softmax as a function": functional_softmax,
    "mixed float16": mixed,
}
"""The same network, written as eight persons would."""

OTHERS = {
    "softmax in the last layer of a flat model": (lambda: flat(activation="softmax"), {}),
    "one sigmoid unit": (lambda: flat(1, "sigmoid"), {"labels": ("no", "yes")}),
    "one of several outputs": (two_outputs, {"output": "logits"}),
    "convolutions alone": (plain, {}),
    "ResNet": (resnet, {}),
    "MobileNet": (mobilenet, {}),
}
"""Other networks, and what an Explainer must be told about them."""


def parts(model):
    """Every layer, however deep it is nested, and the functions between them."""
    for layer in getattr(model, "operations", model.layers):
        yield layer
        if isinstance(layer, keras.Model):
            yield from parts(layer)


def state(model):
    """Weights, flags and connections of every layer: what no explanation changes."""
    weights = hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()
    layers = [
        (
            one.name,
            *(str(getattr(one, flag, None)) for flag in ("trainable", "dtype_policy")),
            *map(len, (one._inbound_nodes, one._outbound_nodes)),
        )
        for one in parts(model)
    ]
    return weights, layers, model.trainable, len(model.trainable_weights)


def with_weights_of(model, source):
    """Give a model the reference's weights: the same layers in the same order, however they are nested."""

    without = keras.Model | keras.layers.Dropout

    def weighty(part):
        return [one for one in parts(part) if getattr(one, "weights", ()) and not isinstance(one, without)]

    for mine, other in zip(weighty(model), weighty(source), strict=True):
        mine.set_weights(other.get_weights())
        if isinstance(mine, keras.layers.Normalization):
            mine.finalize_state()
    return model
