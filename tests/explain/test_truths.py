"""What must hold exactly on the shipped checkpoints, whatever engine computed it."""

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from skimage import data

from explain import Explainer, graph
from explain.formulas import FORMULAS
from tests.explain.kinds import state
from tests.explain.networks import off, run

TOLERANCE = 1e-4
AT_THE_TOP = 1e-5
NAMES = ("cats_vs_dogs/sgd", "cats_vs_dogs/adam")
ENGINES = ("tensorflow", "openvino")
CASES = [(NAMES[0], "openvino"), *((NAMES[1], engine) for engine in ENGINES)]
"""To trace a run for the tape takes as long as all else here: one of the two, for they are one network."""


@pytest.fixture(scope="module")
def explaining(shipped):
    """Explainer and explanation of one photograph, for every case, and the models before and after."""
    before, found = {name: state(run.model) for name, run in shipped.items()}, {}
    for name, engine in CASES:
        explainer = Explainer(shipped[name].model, labels=shipped[name].labels, engine=engine)
        found[name, engine] = (
            explainer,
            explainer(data.chelsea(), targets=("cat", "dog"), methods=("grad_cam", "hires_cam"), keep=True),
        )
    return found, before, {name: state(run.model) for name, run in shipped.items()}


@pytest.fixture(scope="module")
def explained(explaining):
    return explaining[0]


@pytest.fixture(params=CASES, ids="-".join)
def case(request, explained, shipped):
    return shipped[request.param[0]], *explained[request.param]


def test_at_the_top_grad_cam_is_hires_cam_is_cam(case):
    run, _, found = case
    kernel, _ = run.model.get_layer("logits").get_weights()
    cam = found.evidence.activations["top"][0].astype("float64") @ kernel[:, 0].astype("float64") / 49
    for method in ("grad_cam", "hires_cam"):
        assert off(found.maps[method]["top"][1], cam) < AT_THE_TOP
    assert off(found.evidence.gradients["top"][0, 1], np.broadcast_to(kernel[:, 0] / 49, (7, 7, 1280))) < AT_THE_TOP


def test_the_map_at_the_top_sums_to_the_logit(case):
    run, _, found = case
    bias = run.model.get_layer("logits").get_weights()[1][0]
    total = found.maps["hires_cam"]["top"][1].astype("float64").sum() + bias
    assert total == pytest.approx(found.logits[1], rel=AT_THE_TOP)
    plain = run.model(found.seen[None].astype("float32"), training=False).numpy()[0, 0]
    assert found.logits[1] == pytest.approx(plain, rel=AT_THE_TOP)


def test_evidence_for_one_class_is_the_negative_of_the_other(case):
    *_, found = case
    for maps in found.maps.values():
        for layer, (cat, dog) in maps.items():
            assert np.array_equal(cat, -dog), layer
            assert np.abs(cat).max() > 0, layer
    assert found.logits[0] == -found.logits[1]
    assert found.probabilities.sum() == pytest.approx(1)


@pytest.fixture(scope="module")
def one_by_one(shipped, explained):
    """The recipe of every tutorial, layer by layer: a tape around the rest of the network. Layer -> map."""
    model, found = shipped["cats_vs_dogs/adam"].model, explained["cats_vs_dogs/adam", "tensorflow"][1]
    outputs = [model.get_layer(layer.keras_name).output for layer in found.layers]
    activations = keras.Model(model.input, outputs)(found.seen[None].astype("float32"), training=False)
    maps = {}
    for layer, output, activation in zip(found.layers, outputs, activations, strict=True):
        rest = keras.Model(output, model.output)
        with tf.GradientTape() as tape:
            tape.watch(activation)
            score = rest(activation, training=False)[:, 0]
        weights = tf.reduce_mean(tape.gradient(score, activation)[0], axis=(0, 1))
        maps[layer.name] = tf.reduce_sum(activation[0] * weights, axis=-1).numpy()
    return maps


@pytest.mark.parametrize("engine", ENGINES)
def test_one_pass_is_eighteen_plain_recipes(explained, one_by_one, engine):
    _, found = explained["cats_vs_dogs/adam", engine]
    assert len(found.layers) == 18
    for layer in found.layers:
        assert off(found.maps["grad_cam"][layer.name][1], one_by_one[layer.name]) < TOLERANCE, layer.name


def test_both_engines_give_the_same_maps(explained):
    """Of HiResCAM too, of which the recipes say nothing."""
    ours, tape = (explained[NAMES[1], engine][1] for engine in ("openvino", "tensorflow"))
    for method, layers in tape.maps.items():
        for layer, maps in layers.items():
            assert off(ours.maps[method][layer], maps) < TOLERANCE, (method, layer)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_graph_makes_is_what_the_formulas_make(explained, name):
    """Maps that leave the graph without activations and gradients, against the equations in float64 on both."""
    explainer, found = explained[name, "openvino"]
    methods = explainer._engine.in_graph
    alone = explainer(data.chelsea(), targets=("cat", "dog"), methods=methods)
    assert set(methods) == set(FORMULAS)
    for layer in found.layers:
        G = found.evidence.gradients[layer.name][0].astype("float64")
        A = np.broadcast_to(found.evidence.activations[layer.name], G.shape).astype("float64")
        for method in methods:
            assert off(alone.maps[method][layer.name], FORMULAS[method](A, G)) < TOLERANCE, (method, layer.name)


def test_a_file_of_half_the_size_gives_the_maps_of_the_whole(shipped, explained):
    """It holds float16 and computes in float32."""
    model, image = shipped[NAMES[1]].model, explained[NAMES[1], "openvino"][1].seen[None].astype("float32")
    protos = [graph.write(model, outputs="maps", half=half) for half in (False, True)]
    assert protos[1].ByteSize() < min(9.5e6, 0.6 * protos[0].ByteSize())
    onnx.checker.check_model(protos[1], full_check=True)
    exact, rough = (run(proto, image, np.ones((1, 1), np.float32)) for proto in protos)
    for name in exact:
        assert off(rough[name], exact[name]) < 5e-3, name
        # The first gates lie before the first tensor that is large enough.
        assert name.startswith("gate/") or off(rough[name], exact[name]) > 0, name


def test_gates_are_those_of_a_plain_forward_pass(shipped, explained):
    model, (_, found) = shipped["cats_vs_dogs/adam"].model, explained["cats_vs_dogs/adam", "tensorflow"]
    blocks = [layer for layer in found.layers if layer.block]
    gates = keras.Model(model.input, [model.get_layer(layer.gates).output for layer in blocks])
    plain = gates(found.seen[None].astype("float32"), training=False)
    for engine in ENGINES:
        _, found = explained["cats_vs_dogs/adam", engine]
        assert list(found.gates) == [layer.name for layer in blocks]
        for layer, values in zip(blocks, plain, strict=True):
            assert np.abs(found.gates[layer.name] - values[0, 0, 0]).max() < 1e-5, layer


def test_explaining_leaves_no_trace_in_the_model(explaining):
    _, before, after = explaining
    assert after == before
