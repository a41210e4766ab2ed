"""The written-out pass gives what TensorFlow's tape gives, at every layer of every family, size and head."""

import json

import keras
import numpy as np
import onnx
import pytest
from keras.src.applications.efficientnet_v2 import EfficientNetV2
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from explain import graph
from explain.architecture import read
from explain.errors import EngineError
from explain.formulas import FORMULAS
from explain.layers import layers_of
from tests.explain.networks import (
    TINY_BLOCKS,
    classifier,
    few,
    keras_names,
    off,
    photograph,
    run,
    tape,
    tiny,
    tiny_v2,
)

CLOSE = 2e-5


def agrees(model: keras.Model, flat: keras.Model, size: int, recompute: bool = False) -> None:
    """The graph of `model` gives what the tape gives for `flat`, at every layer."""
    proto = graph.write(model, size, recompute=recompute)
    onnx.checker.check_model(proto, full_check=True)
    layers = read(model).layers
    image, units = photograph(size), flat.output.shape[-1]
    cotangent = np.linspace(-1, 2, units, dtype=np.float32)[None]
    logits, activations, gradients = tape(flat, layers, image, cotangent)
    mine = run(proto, image, cotangent)
    assert off(mine["logits"], logits) < CLOSE
    for layer, activation, gradient in zip(layers, activations, gradients, strict=True):
        assert np.abs(gradient).max() > 1e-9, layer
        assert off(mine[f"activation/{layer}"], activation) < CLOSE, layer
        assert off(mine[f"gradient/{layer}"], gradient) < CLOSE, layer


@pytest.fixture(scope="module")
def b0() -> keras.Model:
    # 72 px: 36, 18, 9, 5, 3 cells a side, so that strided 3 x 3 and 5 x 5 kernels meet odd sizes.
    return classifier(keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(72, 72, 3)))


def test_the_first_family_gives_what_the_tape_gives(b0):
    agrees(b0, b0, 72)


def test_the_second_family_gives_what_the_tape_gives():
    # The last stride is that of a depthwise convolution, from 9 cells a side to 5.
    model = classifier(tiny_v2(36))
    agrees(model, model, 36)


@pytest.mark.parametrize(("size", "recompute"), [(60, True), (36, False), (36, True)])
def test_any_size_gives_what_the_tape_gives(size, recompute):
    model = classifier(tiny(size))
    agrees(model, model, size, recompute)


@pytest.mark.parametrize("size", [64, 60])
def test_a_model_for_any_size_pads_as_it_was_built(size):
    model = classifier(tiny(None))
    agrees(model, model, size)


def test_one_model_is_written_for_other_sizes():
    model, larger = classifier(tiny(64)), classifier(tiny(36))
    larger.set_weights(model.get_weights())
    agrees(model, larger, 36)


def test_a_batch_norm_in_the_head():
    model = classifier(tiny(64), units=5, norm=True)
    agrees(model, model, 64)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_logits_are_before_the_probabilities(activation):
    model = classifier(tiny(64), activation=activation)
    flat = classifier(tiny(64))
    flat.set_weights(model.get_weights())
    agrees(model, flat, 64)


def test_nested_once_and_twice():
    flat = classifier(backbone := tiny(64), norm=True)
    head = flat.layers[len(backbone.layers) :]
    once = keras.Sequential([keras.Input((64, 64, 3)), keras.layers.RandomFlip(), backbone, *head])
    agrees(once, flat, 64)
    agrees(keras.Sequential([keras.Input((64, 64, 3)), once, keras.layers.Activation("softmax")]), flat, 64)


def test_the_second_rescaling_of_imagenet_weights():
    """Keras adds it with weights="imagenet" only; the graph reads what is there."""
    backbone = tiny(64)
    image = keras.Input((64, 64, 3))
    scaled = keras.layers.Rescaling([1.5, 2.0, 0.5], offset=3.0)(image)
    flat = classifier(keras.Model(image, backbone(scaled)))
    inner = classifier(backbone)
    inner.set_weights(flat.get_weights())
    x = photograph(64)
    cotangent = np.ones((1, 3), np.float32)
    logits, _, _ = tape(inner, read(inner).layers, x * np.float32([1.5, 2.0, 0.5]) + 3, cotangent)
    assert off(run(graph.write(flat), x, cotangent)["logits"], logits) < CLOSE


@pytest.fixture(scope="module")
def small() -> keras.Model:
    return classifier(few(32))


def doubled(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph in float64."""
    double = onnx.ModelProto()
    double.CopyFrom(proto)
    for tensor in double.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    for value in (*double.graph.input, *double.graph.output):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    return double


@pytest.mark.parametrize("recompute", [False, True])
def test_gradients_are_the_slopes_of_the_logits(small, recompute):
    """Central differences in float64: add a little to one layer, see what becomes of the score."""
    proto = doubled(graph.write(small, recompute=recompute))
    layers = read(small).layers
    image, cotangent = photograph(32).astype(np.float64), np.array([[1.0, -2.0, 0.5]])
    names = [output.name for output in proto.graph.output]
    exact = dict(zip(names, ReferenceEvaluator(proto).run(None, {"image": image, "cotangent": cotangent}), strict=True))
    random = np.random.default_rng(3)
    for layer in layers:
        gradient = exact[f"gradient/{layer}"]
        pushed = push(proto, layer)
        direction = random.normal(size=gradient.shape)
        step = 1e-4 * direction.transpose(0, 3, 1, 2)
        up, down = (
            pushed.run(["logits"], {"image": image, "cotangent": cotangent, "push": sign * step})[0] for sign in (1, -1)
        )
        slope = ((up - down) * cotangent).sum() / 2e-4
        assert slope == pytest.approx((gradient * direction).sum(), rel=1e-6), layer


def push(proto: onnx.ModelProto, layer: str) -> ReferenceEvaluator:
    """The graph with a further input, added to one layer's activations."""
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    nodes = changed.graph.node
    tensor = next(node.input[0] for node in nodes if node.output[0] == f"activation/{layer}")
    place, producer = next((i, node) for i, node in enumerate(nodes) if node.output[0] == tensor)
    producer.output[0] = "before"
    nodes.insert(place + 1, helper.make_node("Add", ["before", "push"], [tensor]))
    changed.graph.input.append(helper.make_tensor_value_info("push", TensorProto.DOUBLE, None))
    return ReferenceEvaluator(changed)


def test_maps_are_the_mean_gradient_times_the_activations(small):
    image, cotangent = photograph(32), np.array([[1, 0, 0], [0, -1, 2]], np.float32)
    kinds: tuple[graph.Outputs, ...] = ("gradients", "maps", "all")
    passes, maps, everything = (
        run(graph.write(small, outputs=kind, methods=["grad_cam"]), image, cotangent) for kind in kinds
    )
    assert set(everything) == set(passes) | set(maps)
    for name, values in everything.items():
        assert off(values, (passes | maps)[name]) < 1e-5
    gates = {f"gate/{block.name}" for block in read(small).blocks if block.excitation}
    assert set(maps) == {"logits", *(f"grad_cam/{layer}" for layer in read(small).layers), *gates}
    assert min(values.min() for values in maps.values()) < 0 < max(values.max() for values in maps.values())
    for layer in read(small).layers:
        weights = passes[f"gradient/{layer}"].astype(np.float64).mean((1, 2))
        twin = np.einsum("tc,hwc->thw", weights, passes[f"activation/{layer}"][0])
        assert off(maps[f"grad_cam/{layer}"], twin) < 1e-5


@pytest.mark.parametrize("outputs", ["maps", "all"])
def test_every_formula_of_the_graph_is_its_twin_in_numpy(small, outputs):
    image, cotangent = photograph(32), np.array([[1, 0, 0], [0, -1, 2]], np.float32)
    passes = run(graph.write(small), image, cotangent)
    made = run(graph.write(small, outputs=outputs, methods=graph.METHODS), image, cotangent)
    for method in graph.METHODS:
        for layer in read(small).layers:
            G = passes[f"gradient/{layer}"]
            twin = FORMULAS[method](np.broadcast_to(passes[f"activation/{layer}"], G.shape), G)
            found = made[f"{method}/{layer}"]
            # What a few powers do not prove is for the twin to make.
            proven = ~np.isnan(found).any((1, 2)) if "eigen" in method else [True, True]
            for one, expected, sure in zip(found, twin, proven, strict=True):
                assert not sure or off(one, expected) < 1e-4, (method, layer)
    kinds = {name.split("/")[0] for name in made}
    assert kinds - {"activation", "gradient"} == {"logits", "gate", *graph.METHODS}


def test_only_where_it_is_asked_for_convolutions_are_computed_again(small):
    kept, again = (
        [node.op_type for node in graph.write(small, recompute=recompute).graph.node].count("Conv")
        for recompute in (False, True)
    )
    assert kept < again


def test_what_formulas_share_is_computed_once(small):
    graph_of = graph.write(small, outputs="maps", methods=graph.METHODS).graph
    named = {output.name for output in graph_of.output}
    asked = [
        (node.op_type, *node.input, *map(str, node.attribute)) for node in graph_of.node if node.output[0] not in named
    ]
    assert len(asked) == len(set(asked))


def test_rows_of_cotangents_are_targets_of_their_own(small):
    image, cotangents = photograph(32), np.array([[1, 0, 0], [0, 1, 0], [0.5, -1, 2]], np.float32)
    together = run(graph.write(small), image, cotangents)
    for row, cotangent in enumerate(cotangents):
        alone = run(graph.write(small), image, cotangent[None])
        for layer in read(small).layers:
            assert off(together[f"gradient/{layer}"][row], alone[f"gradient/{layer}"][0]) < 1e-5


def test_logits_alone_have_no_backward(small):
    proto = graph.write(small, outputs="logits")
    assert [value.name for value in proto.graph.input] == ["image"]
    assert off(run(proto, photograph(32))["logits"], small(photograph(32)).numpy()) < CLOSE


def test_only_the_layers_asked_for(small):
    proto = graph.write(small, layers=["top", "2b"])
    names = {"logits", "activation/top", "gradient/top", "activation/2b", "gradient/2b", "gate/2b"}
    assert {value.name for value in proto.graph.output} == names
    assert len(proto.graph.node) < len(graph.write(small).graph.node) - 20
    with pytest.raises(EngineError, match="no layer 9z"):
        graph.write(small, layers=["9z"])


def test_metadata_tell_where_cells_look():
    model = classifier(tiny(64))
    proto = graph.write(model, labels=["cat", "dog", "fox"])
    facts = {prop.key: json.loads(prop.value) for prop in proto.metadata_props}
    assert facts["input_size"] == 64
    assert facts["labels"] == ["cat", "dog", "fox"]
    assert [layer["name"] for layer in facts["layers"]] == ["stem", "1a", "2a", "2b", "2c", "3a", "top"]
    assert facts["layers"][-1] == {"name": "top", "shape": [8, 8, 320], "stride": 8, "offset": 7}
    for layer, name in zip(facts["layers"], keras_names(model, read(model).layers), strict=True):
        assert layer["shape"] == list(model.get_layer(name).output.shape[1:])


@pytest.mark.parametrize("size", [64, 60, 36])
def test_cells_are_where_the_layers_say(size):
    model = classifier(tiny(size))
    facts = json.loads(next(prop.value for prop in graph.write(model).metadata_props if prop.key == "layers"))
    for fact, layer in zip(facts, layers_of(model), strict=True):
        assert fact == {"name": layer.name, "shape": list(layer.shape), "stride": layer.stride, "offset": layer.offset}


def test_the_same_model_gives_the_same_bytes(small):
    assert graph.write(small).SerializeToString() == graph.write(small).SerializeToString()


def test_what_the_table_does_not_know_is_one_sentence():
    layers, backbone = keras.layers, few(32)
    pool, dense = layers.GlobalAveragePooling2D, layers.Dense
    image = keras.Input((32, 32, 3))

    def head(*behind: keras.layers.Layer) -> keras.Model:
        return keras.Sequential([keras.Input((32, 32, 3)), backbone, *behind])

    for model, message in (
        (keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), pool(), dense(2)]), "no Keras EfficientNet"),
        (head(layers.GlobalMaxPooling2D(), dense(2)), "cannot be written"),
        (head(pool(), dense(4, activation="relu"), dense(2)), "cannot be written"),
        (head(pool(), dense(4), dense(2)), "cannot be written"),
        (head(layers.Flatten(), dense(2)), "cannot be written"),
        (head(pool(), dense(2, activation="softmax"), layers.Softmax()), "softmax.* after the last convolution"),
        (keras.Model(image, head(pool(), dense(2))(image / 255)), "divide.* before the first convolution"),
        (keras.Model(image, dense(2)(pool()(2 * backbone(image)))), "multiply.* after the last convolution"),
        (keras.Model(image, head(pool(), dense(2))(image)[:, :1]), "get_item.* after the last convolution"),
        (head(pool()), "no dense layer"),
        (
            keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(3, 1), backbone, pool(), dense(2)]),
            "before the first convolution",
        ),
        (
            keras.Model(image, dense(2)(pool()(layers.add([few(32, "one")(image), few(32, "two")(image)])))),
            "2 layers called",
        ),
    ):
        with pytest.raises(EngineError, match=message):
            graph.write(model)
    block = TINY_BLOCKS[0] | {"num_repeat": 1, "input_filters": 8, "output_filters": 8, "conv_type": 1}
    block = {
        key: value for key, value in block.items() if key not in ("repeats", "filters_in", "filters_out", "id_skip")
    }
    odd = EfficientNetV2(1.0, 1.0, 32, blocks_args=[block], include_top=False, weights=None, input_shape=(32, 32, 3))
    with pytest.raises(EngineError, match="excites its input"):
        graph.write(classifier(odd))
    with pytest.raises(EngineError, match="any size"):
        graph.write(classifier(tiny(None)))
    quantised = classifier(few(32))
    quantised.get_layer("logits").quantize("int8")
    with pytest.raises(EngineError, match="logits are quantised"):
        graph.write(quantised)
