"""Blocks taken apart: every part is Keras' own and the paper's, worked out once more in float64."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from explain import Explainer, LayerError, TargetError
from explain.__main__ import main
from models import Card, Run
from tests.explain.networks import classifier, few, off, photograph, tape, tiny_v2

SIZE = 64
PICTURE = photograph(SIZE)[0].astype("uint8")
PARTS = {
    "expanded": ("expand_activation",),
    "depthwise": ("activation",),
    "gates": ("se_expand",),
    "projected": ("project_activation", "project_bn"),
    "output": ("add", "project_activation", "project_bn"),
}


@pytest.fixture(scope="module")
def models():
    return {"V1": classifier(few(SIZE)), "V2": classifier(tiny_v2(SIZE))}


@pytest.fixture(scope="module")
def explainers(models):
    return {
        (name, engine): Explainer(model, engine=engine)
        for name, model in models.items()
        for engine in ("tensorflow", "openvino")
    }


@pytest.fixture(scope="module", params=[("V1", "tensorflow"), ("V1", "openvino"), ("V2", "openvino")], ids="-".join)
def case(request, models, explainers):
    """Model, explainer and the anatomy of every block for class 1."""
    explainer = explainers[request.param]
    blocks = [layer.name for layer in explainer.layers if layer.block]
    return models[request.param[0]], explainer, {name: explainer.anatomy(PICTURE, name, 1) for name in blocks}


def _swish(x):
    return x / (1 + np.exp(-x))


def _norm(model, name, x):
    norm = model.get_layer(name)
    gamma, beta, mean, variance = (weights.astype("float64") for weights in norm.get_weights())
    return (x - mean) / np.sqrt(variance + norm.epsilon) * gamma + beta


def test_every_part_is_the_output_of_its_keras_layer(case):
    model, explainer, anatomies = case
    names = [layer.name for layer in model.layers if layer.name.startswith(("block", "stem_activation"))]
    outputs = keras.Model(model.input, [model.get_layer(name).output for name in names])
    values = dict(zip(names, outputs(PICTURE[None].astype("float32"), training=False), strict=True))
    for before, layer in zip(explainer.layers, explainer.layers[1:-1], strict=False):
        found = anatomies[layer.name]
        assert off(found.entered, values[before.keras_name][0].numpy()) < 1e-5, layer.name
        for part, suffixes in PARTS.items():
            mine = getattr(found, part)
            theirs = next((values[name] for end in suffixes if (name := f"block{layer.name}_{end}") in values), None)
            assert (mine is None) == (theirs is None), (layer.name, part)
            if mine is not None:
                assert off(np.squeeze(mine), np.squeeze(theirs[0].numpy())) < 1e-5, (layer.name, part)


def test_the_parts_are_the_papers_in_float64(case):
    model, _, anatomies = case
    by_hand = 0
    for block, found in anatomies.items():
        if found.gates is None:
            continue
        weights = {
            name: [one.astype("float64") for one in model.get_layer(f"block{block}_{name}").get_weights()]
            for name in ("se_reduce", "se_expand", "project_conv")
        }
        squeezed = found.depthwise.astype("float64").mean(axis=(0, 1))
        reduced = _swish(squeezed @ weights["se_reduce"][0][0, 0] + weights["se_reduce"][1])
        gates = 1 / (1 + np.exp(-(reduced @ weights["se_expand"][0][0, 0] + weights["se_expand"][1])))
        assert np.abs(found.gates - gates).max() < 1e-5, block
        projected = _norm(model, f"block{block}_project_bn", found.depthwise * gates @ weights["project_conv"][0][0, 0])
        assert off(found.projected, projected) < 1e-5, block
        if found.expanded is not None:
            kernel = model.get_layer(f"block{block}_expand_conv").get_weights()[0][0, 0].astype("float64")
            expanded = _swish(_norm(model, f"block{block}_expand_bn", found.entered.astype("float64") @ kernel))
            assert off(found.expanded, expanded) < 1e-5, block
        residual = found.layer.block.residual
        assert off(found.output, projected + found.entered if residual else projected) < 1e-5, block
        by_hand += 1
    assert by_hand


def test_the_depthwise_part_by_hand(models, explainers):
    """5 x 5 with stride 1, cell by cell."""
    model, found = models["V1"], explainers["V1", "openvino"].anatomy(PICTURE, "2b")
    kernel = model.get_layer("block2b_dwconv").get_weights()[0][..., 0].astype("float64")
    padded = np.pad(found.expanded.astype("float64"), ((2, 2), (2, 2), (0, 0)))
    height, width, _ = found.depthwise.shape
    slow = np.empty(found.depthwise.shape)
    for i in range(height):
        for j in range(width):
            slow[i, j] = (padded[i : i + 5, j : j + 5] * kernel).sum(axis=(0, 1))
    assert off(found.depthwise, _swish(_norm(model, "block2b_bn", slow))) < 1e-5


def test_blocks_lack_what_they_do_not_have(explainers):
    first = explainers["V1", "openvino"].anatomy(PICTURE, "1a")
    assert "array" not in repr(first) and "residual_share" in repr(first)
    assert first.expanded is None
    assert first.depthwise is not None
    fused, last = (explainers["V2", "openvino"].anatomy(PICTURE, block) for block in ("2b", "3b"))
    assert fused.depthwise is None
    assert fused.gates is None
    assert fused.expanded.shape[-1] == 16
    assert last.gates.shape == (16,)
    without = explainers["V1", "openvino"].anatomy(PICTURE, "2a")
    assert (without.residual_share, without.residual_score) == (0, 0)


def test_contributions_are_activation_times_gradient(case):
    model, explainer, anatomies = case
    names = tuple(layer.name for layer in explainer.layers)
    _, activations, gradients = tape(model, names, PICTURE[None].astype("float32"), np.array([[0, 1, 0]], "float32"))
    for name, found in anatomies.items():
        index = names.index(name)
        products = activations[index][0].astype("float64") * gradients[index][0]
        slow = products.sum(axis=(0, 1))
        assert np.abs(found.contributions - slow).max() < 1e-4 * np.abs(slow).max()
        assert found.target == "1"
        total = found.residual_score + found.projected_score
        assert total == pytest.approx(slow.sum(), abs=1e-4 * np.abs(slow).sum())
        if found.layer.block.residual:
            passed = float((activations[index - 1][0].astype("float64") * gradients[index][0]).sum())
            assert found.residual_score == pytest.approx(passed, abs=1e-4 * np.abs(slow).sum())
            norms = [np.sqrt((part.astype("float64") ** 2).sum()) for part in (found.entered, found.projected)]
            assert found.residual_share == pytest.approx(norms[0] / sum(norms), abs=1e-5)


def test_the_target_is_the_most_probable_class_unless_one_is_named(explainers):
    explainer = explainers["V1", "openvino"]
    best = explainer(PICTURE).targets[0]
    assert explainer.anatomy(PICTURE, "2b").target == best
    with pytest.raises(TargetError, match="no class 'bird'"):
        explainer.anatomy(PICTURE, "2b", "bird")


def test_one_unit_has_two_opposite_targets():
    explainer = Explainer(classifier(few(SIZE), units=1), labels=("no", "yes"))
    no, yes = (explainer.anatomy(PICTURE, "2b", label) for label in ("no", "yes"))
    assert np.array_equal(no.contributions, -yes.contributions)
    assert np.abs(yes.contributions).max() > 0
    assert yes.contributions == pytest.approx(explainer(PICTURE, ["yes"], keep=True).contributions("2b")[0], rel=1e-4)


def test_an_explainer_of_one_layer_takes_every_block_apart(models, explainers):
    one_layer = Explainer(models["V1"], layers=("top",))
    mine, whole = (one.anatomy(PICTURE, "2b", 0) for one in (one_layer, explainers["V1", "openvino"]))
    assert np.array_equal(mine.contributions, whole.contributions)
    assert [layer.name for layer in one_layer.layers] == ["top"]


def test_gates_of_all_blocks_are_those_of_each_and_are_traced_once(case):
    _, explainer, anatomies = case
    gates, traced = explainer.gates(PICTURE), explainer._gates
    explainer.gates(PICTURE)
    assert explainer._gates is traced
    assert list(gates) == [name for name, found in anatomies.items() if found.gates is not None]
    for name, values in gates.items():
        assert np.abs(values - anatomies[name].gates).max() < 1e-5
        assert (values > 0).all()
        assert (values < 1).all()


def test_an_explanation_brings_the_gates_of_its_layers(case):
    _, explainer, anatomies = case
    found, slow = explainer(PICTURE, keep=True).gates, explainer.gates(PICTURE)
    assert list(found) == list(slow)
    for name, values in found.items():
        assert values.shape == anatomies[name].gates.shape
        assert np.abs(values - slow[name]).max() < 1e-5


@pytest.mark.parametrize("engine", ["tensorflow", "openvino"])
def test_gates_come_for_the_layers_and_photographs_asked_for(models, engine):
    explainer = Explainer(models["V1"], engine=engine, layers=("2b", "top"))
    first, second = explainer.batch([PICTURE, 255 - PICTURE], [[0, 1], [2, 0]], keep=True)
    assert list(first.gates) == ["2b"]
    for found, picture in ((first, PICTURE), (second, 255 - PICTURE)):
        assert np.abs(found.gates["2b"] - explainer.gates(picture)["2b"]).max() < 1e-5
    assert np.abs(first.gates["2b"] - second.gates["2b"]).max() > 1e-4
    with pytest.raises(LayerError, match="keep=True"):
        _ = explainer(PICTURE, [0, 1]).gates


def test_nothing_of_the_model_changes(models):
    model = models["V1"]
    before = [len(layer._inbound_nodes) + len(layer._outbound_nodes) for layer in model.layers]
    explainer = Explainer(model)
    made = [len(layer._inbound_nodes) + len(layer._outbound_nodes) for layer in model.layers]
    explainer.anatomy(PICTURE, "2b")
    explainer.gates(PICTURE)
    after = [len(layer._inbound_nodes) + len(layer._outbound_nodes) for layer in model.layers]
    assert before == made == after


def test_what_is_no_block_is_one_plain_sentence(explainers):
    for stranger in ("top", "stem", "9z"):
        with pytest.raises(LayerError, match=f"no MBConv block '{stranger}'; the blocks are: 1a, 2a, 2b\\."):
            explainers["V1", "openvino"].anatomy(PICTURE, stranger)
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(image)
    plain = Explainer(keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))))
    with pytest.raises(LayerError, match="no MBConv blocks"):
        plain.anatomy(PICTURE, "5c")
    with pytest.raises(LayerError, match="no gates"):
        plain.gates(PICTURE)


def test_the_command_line_writes_the_parts(models, explainers, monkeypatch, tmp_path):
    card = Card("toys", "tiny", "EfficientNetB0", ("a", "b", "c"), len(PICTURE), 3)
    run = Run("toys/tiny", card, lambda: models["V1"])
    monkeypatch.setattr("models.find", lambda name: run)
    Image.fromarray(PICTURE).save(tmp_path / "noise.png")
    asked = [str(tmp_path / "noise.png"), "--model", run.name, "--out", str(tmp_path), "--target", "b"]
    assert main([*asked, "--layers", "top", "--anatomy", "2b,2a"]) == 0
    found = explainers["V1", "openvino"].anatomy(PICTURE, "2b", 1)
    with np.load(tmp_path / "noise" / "toys--tiny.npz") as numbers:
        parts = {name.split("/")[2] for name in numbers.files if name.startswith("anatomy/2b/")}
        assert parts == {"entered", "expanded", "depthwise", "gates", "projected", "output", "contributions"}
        assert np.allclose(numbers["anatomy/2b/contributions"], found.contributions, rtol=1e-4)
        assert "anatomy/2a/gates" in numbers.files
    written = json.loads((tmp_path / "noise" / "manifest.json").read_text())["anatomy"]["toys/tiny"]
    assert list(written) == ["2b", "2a"]
    assert written["2b"]["residual_share"] == pytest.approx(found.residual_share)
    # Before a method that takes seconds.
    monkeypatch.delattr("explain.explainer.perturb")
    assert main([*asked, "--anatomy", "9z", "--method", "rise"]) == 2
