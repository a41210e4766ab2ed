"""What travels to the viewer, decoded as viewer.js does and compared with the explanation that it was made from."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ui
from explain import Explanation
from explain.engine import Pass
from explain.layers import Block, Layer
from ui.viewer.payload import CHANNEL_SIDE, CHANNELS, numbers, payload, preview

LAYERS = (
    Layer("stem", "stem_activation", (120, 120, 3), 2, 3, 1.0),
    Layer("1a", "block1a_project_bn", (8, 8, 40), 4, 7, 3.0, Block(3, 1, 1, 32, 16, 0.25, False)),
)
LABELS = ("cat", "<b>dog</b>")
NAMES = {"pets/sgd": "SGD", "pets/adam": "Adam"}


def explanation(seed: int) -> Explanation:
    random = np.random.default_rng(seed)
    activations = {one.name: random.normal(size=(1, *one.shape)).astype("float32") for one in LAYERS}
    gradients = {one.name: random.normal(size=(1, 2, *one.shape)).astype("float32") for one in LAYERS}
    maps = {one.name: random.normal(size=(2, *one.shape[:2])).astype("float32") * (seed + 1) for one in LAYERS}
    logits = np.array([-1.5, 1.5], "float32")
    seen = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    return Explanation(
        seen,
        logits,
        1 / (1 + np.exp(-logits)),
        LABELS,
        LAYERS,
        LABELS,
        {"grad_cam": maps},
        Pass(logits[None, 1:], activations, gradients, {"1a": random.random((1, 32), dtype=np.float32)}),
    )


@pytest.fixture
def runs() -> dict[str, Explanation]:
    return {"pets/sgd": explanation(0), "pets/adam": explanation(1)}


@pytest.fixture
def sent(runs):
    return payload("my <photo>", (400, 300), runs, NAMES)


def test_the_description_is_plain_json(sent):
    assert json.loads(json.dumps(sent.meta, allow_nan=False))["photo"]["name"] == "my <photo>"


def test_every_map_comes_back_within_half_a_step(runs, sent):
    for run, found in zip(sent.meta["runs"], runs.values(), strict=True):
        for target in range(2):
            for place, layer in zip(run["maps"][target], LAYERS, strict=True):
                height, width, _ = layer.shape
                bits = np.frombuffer(sent.blobs[place["blob"]], np.int8, height * width, place["at"])
                values = found.maps["grad_cam"][layer.name][target]
                assert place["strength"] == pytest.approx(np.abs(values).max(), rel=1e-5)
                assert place["positive"] == pytest.approx(values.max(), rel=1e-5)
                back = place["strength"] * bits.reshape(height, width) / 127
                assert np.abs(back - values).max() <= 0.51 * place["strength"] / 127


def test_predictions_and_classes(runs, sent):
    assert sent.meta["classes"] == [{"label": "cat"}, {"label": "<b>dog</b>"}]
    for run in sent.meta["runs"]:
        assert run["top"][0]["label"] == "<b>dog</b>"
        assert run["probabilities"] == pytest.approx([0.1824255, 0.8175745], abs=2e-6)


def test_the_photograph_travels_without_loss(runs, sent):
    place = sent.meta["photo"]
    assert (place["width"], place["height"], place["size"]) == (400, 300, 16)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(sent.blobs[place["blob"]]))), runs["pets/sgd"].seen)


def test_channels_are_those_that_carry_the_score(runs, sent):
    for run, found in zip(sent.meta["runs"], runs.values(), strict=True):
        channels = run["channels"]["1a"]
        activations, gradients = found.evidence.activations["1a"][0], found.evidence.gradients["1a"][0]
        scores = np.array(
            [[(activations[..., k] * gradients[t, ..., k]).sum(dtype="float64") for k in range(40)] for t in range(2)]
        )
        shares = scores / np.abs(scores).sum(axis=1, keepdims=True)
        assert np.allclose(channels["share"], shares[:, channels["ids"]], atol=5.1e-5)
        planes = np.frombuffer(sent.blobs[channels["blob"]], np.uint8).reshape(-1, 8, 8)
        for plane, number, (low, high) in zip(planes, channels["ids"], channels["range"], strict=True):
            shown = activations[..., number]
            assert (low, high) == pytest.approx((shown.min(), shown.max()), rel=1e-3)
            assert np.abs(low + plane / 255 * (high - low) - shown).max() <= 0.6 * (high - low) / 255


def test_the_first_channels_of_a_row_are_sent_for_every_class_signed_or_positive():
    shares = np.random.default_rng(0).normal(size=(3, 200))
    # The scores of the others rest on a few channels: their shares are larger than any of the class in the middle.
    shares[[0, 2]] **= 5
    found = explanation(0)
    ones = np.ones((1, 1, 1, 200), "float32")
    evidence = replace(found.evidence, activations={"1a": ones}, gradients={"1a": shares[None, :, None, None]})
    share = shares / np.abs(shares).sum(axis=1, keepdims=True)
    layers = (replace(LAYERS[1], shape=(1, 1, 200)),)
    maps = {"grad_cam": {"1a": np.ones((3, 1, 1), "float32")}}
    labels = ("cat", "dog", "cow")
    scores = np.zeros(3, "float32")
    seen = {"labels": labels, "targets": labels, "logits": scores, "probabilities": scores}
    found = replace(found, evidence=evidence, layers=layers, maps=maps, **seen)
    sent = payload("photo", (4, 4), {"pets/sgd": found}, NAMES)
    ids = sent.meta["runs"][0]["channels"]["1a"]["ids"]
    for row in share:
        assert set(np.argsort(-row)[:CHANNELS]) <= set(ids)
        assert set(np.argsort(-np.abs(row))[:CHANNELS]) <= set(ids)
    assert len(ids) < 200
    state = (Path(ui.__file__).parent / "viewer" / "state.js").read_text()
    assert f"MOST_CHANNELS = {CHANNELS};" in state


def test_gates_are_those_of_each_run(runs, sent):
    for run, found in zip(sent.meta["runs"], runs.values(), strict=True):
        assert list(run["gates"]) == ["1a"]
        assert len(run["gates"]["1a"]["values"]) == 32
        assert np.allclose(run["gates"]["1a"]["values"], found.gates["1a"], atol=5e-4)


def test_large_feature_maps_are_averaged_down(runs, sent):
    channels = sent.meta["runs"][0]["channels"]["stem"]
    factor = -(-120 // CHANNEL_SIDE)
    assert (channels["height"], channels["width"]) == (120 // factor, 120 // factor)
    plane = np.frombuffer(sent.blobs[channels["blob"]], np.uint8).reshape(-1, 120 // factor, 120 // factor)[0]
    corner = runs["pets/sgd"].evidence.activations["stem"][0][:factor, :factor, channels["ids"][0]].mean()
    low, high = channels["range"][0]
    assert low + plane[0, 0] / 255 * (high - low) == pytest.approx(corner, abs=(high - low) / 255)


def test_agreement_is_the_correlation_of_the_two_maps(runs, sent):
    one, other = (found.maps["grad_cam"]["1a"][1].ravel().astype("float64") for found in runs.values())
    assert sent.meta["agreement"][1][1] == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-4)


def test_a_map_without_any_evidence_travels_as_nothing(runs):
    runs["pets/adam"].maps["grad_cam"]["1a"][0] = 0
    sent = payload("photo", (4, 4), runs, NAMES)
    assert sent.meta["runs"][1]["maps"][0][1]["strength"] == 0
    assert sent.meta["runs"][1]["maps"][0][1]["positive"] == 0
    assert sent.meta["agreement"][0][1] is None
    json.dumps(sent.meta, allow_nan=False)


def test_one_run_alone_has_no_agreement(runs):
    sent = payload("photo", (4, 4), {"pets/adam": runs["pets/adam"]}, NAMES)
    assert sent.meta["agreement"] == []
    assert [run["hue"] for run in sent.meta["runs"]] == ["b"]


@pytest.mark.parametrize(
    ("names", "hues"),
    [
        (["sgd", "adam"], "ab"),
        (["adam", "sgd"], "ba"),
        (["sgd", "sgd-seed1"], "ac"),
        (["adam", "adam-seed1"], "bc"),
        (["lion", "sgd"], "ca"),
        (["lion", "mine"], "ca"),
    ],
)
def test_a_run_keeps_its_colour_on_either_side(names, hues):
    runs = {f"pets/{name}": explanation(number) for number, name in enumerate(names)}
    sent = payload("photo", (4, 4), runs, {name: name for name in runs})
    assert [run["hue"] for run in sent.meta["runs"]] == list(hues)


def test_the_key_tells_one_payload_from_another(runs, sent):
    assert payload("my <photo>", (400, 300), runs, NAMES).meta["key"] == sent.meta["key"]
    assert payload("another", (400, 300), runs, NAMES).meta["key"] != sent.meta["key"]
    lighter = {name: replace(found, seen=255 - found.seen) for name, found in runs.items()}
    assert payload("my <photo>", (400, 300), lighter, NAMES).meta["key"] != sent.meta["key"]


def test_the_method_is_named_and_its_time_told_without_making_another_payload(runs, sent):
    later = {name: replace(found, seconds=0.02 + 0.01 * number) for number, (name, found) in enumerate(runs.items())}
    again = payload("my <photo>", (400, 300), later, NAMES)
    assert (again.meta["method"], again.meta["seconds"]) == ("Grad-CAM", 0.03)
    assert again.meta["key"] == sent.meta["key"]
    other = {name: replace(found, maps={"layer_cam": found.maps["grad_cam"]}) for name, found in runs.items()}
    layer_cam = payload("my <photo>", (400, 300), other, NAMES)
    assert layer_cam.meta["method"] == "LayerCAM"
    assert layer_cam.meta["key"] != sent.meta["key"]


def test_a_preview_is_the_photograph_alone(runs):
    seen = runs["pets/sgd"].seen
    sent = preview("photo", (400, 300), seen)
    assert sent.meta["runs"] == []
    assert sent.meta["key"] == ""
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(sent.blobs[sent.meta["photo"]["blob"]]))), seen)


def test_the_size_that_a_photograph_is_first_brought_to_is_told_where_there_is_one(runs):
    seen = runs["pets/sgd"].seen
    for sizes in ({"source_size": 8}, {}):
        for told in (
            preview("photo", (4, 4), seen, **sizes),
            payload("p", (4, 4), runs, NAMES, **sizes),
        ):
            assert told.meta["photo"].get("source_size") == sizes.get("source_size")
            assert ("source_size" in told.meta["photo"]) == bool(sizes)


def test_numbers_are_exact(runs):
    with np.load(io.BytesIO(numbers(runs))) as arrays:
        assert np.array_equal(arrays["seen"], runs["pets/sgd"].seen)
        for name, found in runs.items():
            assert np.array_equal(arrays[f"{name}/logits"], found.logits)
            for layer, maps in found.maps["grad_cam"].items():
                for target, values in zip(LABELS, maps, strict=True):
                    assert np.array_equal(arrays[f"{name}/grad_cam/{layer}/{target}"], values)
