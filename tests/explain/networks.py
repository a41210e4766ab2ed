"""EfficientNets with weights that hide no mistake, and their gradients by TensorFlow's tape."""

from functools import lru_cache

import keras
import numpy as np
import onnx
import openvino
from keras.src.applications.efficientnet import EfficientNet
from keras.src.applications.efficientnet_v2 import EfficientNetV2

from explain.architecture import read
from explain.engine import Pass

# One block without expansion, one with a stride and a wide kernel, two with a residual.
TINY_BLOCKS = [
    {
        "kernel_size": kernel,
        "repeats": repeats,
        "filters_in": 8,
        "filters_out": 8,
        "expand_ratio": expand,
        "id_skip": True,
        "strides": stride,
        "se_ratio": 0.25,
    }
    for kernel, repeats, expand, stride in ((3, 1, 1, 1), (5, 3, 2, 2), (3, 1, 2, 2))
]


# What comes twice there, once: a block without expansion, one with a stride and a wide kernel, one with a residual.
FEW_BLOCKS = [TINY_BLOCKS[0], TINY_BLOCKS[1] | {"repeats": 2}]


def tiny(size: int | None, name: str = "tiny", blocks: list[dict] = TINY_BLOCKS) -> keras.Model:
    """Stem, five MBConv blocks and top, thin; or other blocks."""
    return EfficientNet(
        0.25, 1.0, 32, blocks_args=blocks, include_top=False, weights=None, input_shape=(size, size, 3), name=name
    )


def tiny_v2(size: int) -> keras.Model:
    """A fused block without expansion, one with a stride, two with a residual, and one MBConv block."""
    blocks = [
        {
            "kernel_size": 3,
            "num_repeat": repeats,
            "input_filters": 8,
            "output_filters": 8,
            "expand_ratio": expand,
            "se_ratio": 0 if fused else 0.25,
            "strides": stride,
            "conv_type": fused,
        }
        for repeats, expand, stride, fused in ((1, 1, 1, 1), (2, 2, 2, 1), (2, 2, 2, 0))
    ]
    return EfficientNetV2(
        0.25, 1.0, 32, blocks_args=blocks, include_top=False, weights=None, input_shape=(size, size, 3), name="tiny_v2"
    )


def few(size: int | None, name: str = "tiny") -> keras.Model:
    """Stem, three MBConv blocks and top, for tests whose time is that of building networks."""
    return tiny(size, name, FEW_BLOCKS)


def small_net(include_top: bool, weights: str | None, input_shape: tuple[int, int, int]) -> keras.Model:
    """`few` as the networks of `keras.applications` are called."""
    return few(input_shape[0])


def classifier(backbone: keras.Model, units: int = 3, norm: bool = False, activation: str | None = None) -> keras.Model:
    """A flat classifier on the backbone, every variable drawn at random, BatchNorm statistics too."""
    features = keras.layers.GlobalAveragePooling2D()(backbone.output)
    if norm:
        features = keras.layers.BatchNormalization()(features)
    features = keras.layers.Dropout(0.5)(features)
    model = keras.Model(backbone.input, keras.layers.Dense(units, activation=activation, name="logits")(features))
    random = np.random.default_rng(7)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(random.uniform(0.6, 1.4, layer.gamma.shape))
            layer.beta.assign(random.normal(0, 0.4, layer.beta.shape))
            layer.moving_mean.assign(random.normal(0, 0.4, layer.moving_mean.shape))
            layer.moving_variance.assign(random.uniform(0.5, 2, layer.moving_variance.shape))
        elif hasattr(layer, "kernel"):
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            fan = np.prod(layer.kernel.shape[: 2 if depthwise else -1])
            layer.kernel.assign(random.normal(0, np.sqrt(1 / fan), layer.kernel.shape))
            if layer.use_bias:
                layer.bias.assign(random.normal(0, 0.4, layer.bias.shape))
        elif hasattr(layer, "adapt_mean"):
            layer.adapt_mean.assign([0.485, 0.456, 0.406])
            layer.adapt_variance.assign([0.229**2, 0.224**2, 0.225**2])
            layer.finalize_state()
    return model


def keras_names(model: keras.Model, layers: tuple[str, ...]) -> list[str]:
    """What Keras calls stem, 1a, ..., top: the last layer of each block."""
    last = {layer.name.removeprefix("block").split("_")[0]: layer.name for layer in model.layers}
    return [f"{name}_activation" if name in ("stem", "top") else last[name] for name in layers]


def tape(
    model: keras.Model, layers: tuple[str, ...], image: np.ndarray, cotangent: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Logits, activations and gradients of sum(cotangent * logits) for a flat model, one row of cotangents."""
    import tensorflow as tf

    outputs = [model.get_layer(name).output for name in keras_names(model, layers)]
    graph = keras.Model(model.inputs, [*outputs, model.output])
    with tf.GradientTape() as record:
        x = tf.constant(image)
        record.watch(x)
        *activations, logits = graph(x, training=False)
        score = tf.reduce_sum(logits * cotangent)
    gradients = record.gradient(score, activations)
    return logits.numpy(), [a.numpy() for a in activations], [g.numpy() for g in gradients]


def photograph(size: int, photos: int = 1, seed: int = 0) -> np.ndarray:
    """Noise at two scales, 0..255."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(0, 200, (photos, -(-size // 8), -(-size // 8), 3)).repeat(8, 1).repeat(8, 2)
    return (coarse[:, :size, :size] + random.uniform(0, 55, (photos, size, size, 3))).astype(np.float32)


def off(mine: np.ndarray, reference: np.ndarray) -> float:
    """The largest difference relative to the largest value."""
    assert mine.shape == reference.shape
    return float(np.abs(mine - reference).max() / np.abs(reference).max())


@lru_cache(maxsize=4)
def compiled(serialized: bytes) -> openvino.CompiledModel:
    core = openvino.Core()
    return core.compile_model(core.read_model(serialized), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def run(proto: onnx.ModelProto, image: np.ndarray, cotangent: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The outputs by name, from OpenVINO in float32."""
    inputs = {"image": image} if cotangent is None else {"image": image, "cotangent": cotangent}
    found = compiled(proto.SerializeToString())(inputs)
    return {port.get_any_name(): value.copy() for port, value in found.items()}


def cotangents(photos: int, targets: int) -> np.ndarray:
    """What three logits are multiplied by, for each photograph and target."""
    return np.random.default_rng(targets).normal(size=(photos, targets, 3)).astype(np.float32)


def is_what_the_tape_gives(found: Pass, model: keras.Model, images: np.ndarray, rows: np.ndarray) -> None:
    """Each photograph and target has its own gradient, at every layer of an EfficientNet, and each block its gates."""
    layers = read(model).layers
    assert tuple(found.activations) == tuple(found.gradients) == layers
    for photo, image in enumerate(images):
        for target, row in enumerate(rows[photo]):
            logits, activations, gradients = tape(model, layers, image[None], row[None])
            assert off(found.logits[photo], logits[0]) < 1e-4
            for layer, activation, gradient in zip(layers, activations, gradients, strict=True):
                assert off(found.activations[layer][photo], activation[0]) < 1e-4
                assert off(found.gradients[layer][photo, target], gradient[0]) < 1e-4
    assert tuple(found.gates) == layers[1:-1]
    for layer, gates in found.gates.items():
        expand = keras.Model(model.input, model.get_layer(f"block{layer}_se_expand").output)
        assert off(gates, expand(images).numpy().mean((1, 2))) < 1e-5
