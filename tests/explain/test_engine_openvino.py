"""The OpenVINO engine gives TensorFlow's numbers, for every photograph and target, from any thread."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openvino
import pytest

from explain import Explainer, compiled, engine_openvino
from explain.architecture import read
from explain.compiled import Graphs
from explain.engine_openvino import OpenVinoEngine
from explain.errors import EngineError
from explain.formulas import FORMULAS
from explain.written import write
from tests.explain.networks import classifier, cotangents, few, is_what_the_tape_gives, off, photograph


@pytest.fixture(scope="module")
def model():
    return classifier(few(32))


@pytest.fixture(scope="module")
def engine(model):
    return OpenVinoEngine(write(model, read(model).layers, 32))


def test_every_photograph_and_target_gets_its_own_gradient(model, engine):
    images, rows = photograph(32, photos=2), cotangents(2, 2)
    is_what_the_tape_gives(engine(images, rows), model, images, rows)


def test_more_targets_than_one_run_takes(engine, monkeypatch):
    image, rows = photograph(32), cotangents(1, 5)
    whole = engine(image, rows)
    monkeypatch.setattr(engine_openvino, "MOST_TARGETS", 2)
    split = engine(image, rows)
    for layer, gradient in whole.gradients.items():
        assert off(split.gradients[layer], gradient) < 1e-5


def test_maps_alone_are_those_of_the_pass(engine):
    images, rows = photograph(32, photos=2), cotangents(2, 3)
    result = engine(images, rows)
    alone = engine.maps(images, rows, ("grad_cam",))
    logits, maps = alone.logits, alone.maps["grad_cam"]
    assert not alone.activations
    assert not alone.gradients
    np.testing.assert_allclose(logits, result.logits, rtol=1e-5)
    for layer, gradient in result.gradients.items():
        weights = gradient.astype(np.float64).mean((2, 3))
        assert off(maps[layer], np.einsum("btc,bhwc->bthw", weights, result.activations[layer])) < 1e-5


def are_of_the_formulas(maps, result):
    """Maps of photographs and targets are what numpy makes of a pass."""
    for method, layers in maps.items():
        for layer, found in layers.items():
            for photo, G in enumerate(result.gradients[layer]):
                A = np.broadcast_to(result.activations[layer][photo], G.shape)
                assert off(found[photo], FORMULAS[method](A, G)) < 1e-4, (method, layer, photo)


@pytest.mark.parametrize("whole", [False, True])
def test_maps_of_every_method_and_the_pass_behind_them(engine, whole):
    images, rows = photograph(32, photos=2), cotangents(2, 3)
    result, found = engine(images, rows), engine.maps(images, rows, ("layer_cam", "grad_cam"), whole)
    assert list(found.maps) == ["layer_cam", "grad_cam"]
    are_of_the_formulas(found.maps, result)
    for kind in ("activations", "gradients", "gates"):
        assert getattr(found, kind).keys() == (getattr(result, kind).keys() if whole else set())
        for layer, values in getattr(found, kind).items():
            assert off(values, getattr(result, kind)[layer]) < 1e-5


@pytest.mark.parametrize("whole", [False, True])
def test_a_map_that_the_graph_does_not_prove_is_made_of_the_pass(engine, monkeypatch, whole):
    images, rows = photograph(32, photos=2), cotangents(2, 3)
    result, run, asked = engine(images, rows), engine._run, []

    def doubtful(*wanted):
        asked.append(wanted[2:])
        found = run(*wanted)
        if "eigen_cam/2a" in found:
            found["eigen_cam/2a"][1, 2] = np.nan
            found["eigen_grad_cam/stem"][0] = np.nan
        return found

    monkeypatch.setattr(engine, "_run", doubtful)
    maps = engine.maps(images, rows, tuple(FORMULAS), whole).maps
    assert len(asked) == (1 if whole else 2)
    are_of_the_formulas(maps, result)


def test_methods_cost_no_more_than_they_need(model):
    """Eigenvectors are not computed for those who ask for none, and neither is what Grad-CAM does not need."""
    engine = OpenVinoEngine(write(model, ["2a", "top"], 32))
    sizes = []
    for methods in (("grad_cam",), ("layer_cam", "grad_cam"), ("eigen_cam",)):
        engine.maps(photograph(32), cotangents(1, 1), methods)
        sizes.append(len(next(reversed(engine._compiled))[1]))
    assert sizes == [1, 5, 7]


def test_photographs_are_only_read(engine):
    image, row = photograph(32), cotangents(1, 1)
    whole = engine(image, row)
    for array in (image, row):
        array.setflags(write=False)
    odd = engine(np.asfortranarray(image), row.astype(np.float64))
    np.testing.assert_array_equal(odd.gradients["stem"], whole.gradients["stem"])
    np.testing.assert_array_equal(engine(image, row).gradients["stem"], whole.gradients["stem"])


def test_compiled_graphs_are_few(model):
    engine = OpenVinoEngine(write(model, ["top"], 32))
    before = engine(photograph(32), cotangents(1, 1)).gradients["top"]
    for targets in range(1, 8):
        engine(photograph(32), cotangents(1, targets))
    assert len(engine._compiled) == engine_openvino.MOST_COMPILED
    np.testing.assert_array_equal(engine(photograph(32), cotangents(1, 1)).gradients["top"], before)


def test_the_graph_used_last_is_dropped_last(model):
    engine = OpenVinoEngine(write(model, ["top"], 32))
    for targets in (1, 2, 3, 4, 1, 5):
        engine(photograph(32), cotangents(1, targets))
    assert [targets for targets, _ in engine._compiled] == [3, 4, 1, 5]


@pytest.mark.parametrize("threads", [None, 1])
def test_compiled_for_float32_and_for_the_threads_asked_for(model, threads):
    """The plugin's own choice may be bfloat16; its own number of threads is what a plain network gets."""
    engine = OpenVinoEngine(write(model, ["top"], 32), threads=threads)
    with engine._request(1, ("gradient",)) as request:
        compiled = request.get_compiled_model()
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
    if threads is None:
        network = engine._core.read_model(engine._written.content)
        plain = engine._core.compile_model(network, "CPU", {"PERFORMANCE_HINT": "LATENCY"})
        threads = plain.get_property("INFERENCE_NUM_THREADS")
    assert compiled.get_property("INFERENCE_NUM_THREADS") == threads


def test_threads_get_their_own_answers(engine):
    images = [photograph(32, seed=seed) for seed in range(8)]
    alone = [engine(image, cotangents(1, 1 + seed % 2)) for seed, image in enumerate(images)]
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(engine, images[n % 8], cotangents(1, 1 + n % 2)) for n in range(48)]
        for n, call in enumerate(calls):
            result, expected = call.result(), alone[n % 8]
            np.testing.assert_array_equal(result.logits, expected.logits)
            for layer, gradient in expected.gradients.items():
                np.testing.assert_array_equal(result.gradients[layer], gradient)
                np.testing.assert_array_equal(result.activations[layer], expected.activations[layer])


def test_calls_side_by_side_give_the_same_numbers(engine):
    several = engine.side_by_side(3)
    images = [photograph(32, seed=seed) for seed in range(6)]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda image: several(image, cotangents(1, 2)), images * 4))
    for result, image in zip(results, images * 4, strict=True):
        expected = engine(image, cotangents(1, 2))
        np.testing.assert_array_equal(result.logits, expected.logits)
        for kind in ("activations", "gradients", "gates"):
            for layer, values in getattr(expected, kind).items():
                np.testing.assert_array_equal(getattr(result, kind)[layer], values)
    assert several._settings["NUM_STREAMS"] == 3
    assert "NUM_STREAMS" not in engine._settings
    assert [requests.qsize() for requests in several._compiled.values()] == [3]


def test_a_result_outlives_the_next_call(engine):
    first = engine(photograph(32, seed=1), cotangents(1, 1))
    kept = {layer: gradient.copy() for layer, gradient in first.gradients.items()}
    logits = first.logits.copy()
    engine(photograph(32, seed=2), -cotangents(1, 1))
    np.testing.assert_array_equal(first.logits, logits)
    for layer, gradient in kept.items():
        np.testing.assert_array_equal(first.gradients[layer], gradient)


def test_logits_without_gradients(model, engine):
    images = photograph(32, photos=3)
    assert off(engine.logits(images), model(images).numpy()) < 1e-4


def test_logits_alone_are_a_network_without_cotangents(model):
    engine = OpenVinoEngine(write(model, ["top"], 32))
    engine.logits(photograph(32))
    assert list(engine._compiled) == [(0, ())]
    with engine._request(0, ()) as request:
        assert [port.any_name for port in request.get_compiled_model().inputs] == ["image"]


def passed(model, graphs, threads: int = 1, cot: int = 1):
    engine = OpenVinoEngine(write(model, ["2a"], 32), threads=threads, graphs=graphs)
    return engine(photograph(32), cotangents(1, cot))


@pytest.fixture
def compilations(monkeypatch):
    """The graphs that were compiled, not read from disk."""
    asked = []
    only = OpenVinoEngine._only
    monkeypatch.setattr(OpenVinoEngine, "_only", lambda self, *what: asked.append(what) or only(self, *what))
    return asked


def test_compiled_graphs_are_kept_on_disk(model, tmp_path, compilations):
    graphs = Graphs(tmp_path)
    first = passed(model, graphs)
    assert len(compilations) == len(list(tmp_path.iterdir())) == 1
    second = passed(model, graphs)
    assert len(compilations) == 1
    np.testing.assert_array_equal(first.logits, second.logits)
    for name in first.gradients:
        np.testing.assert_array_equal(first.gradients[name], second.gradients[name])
        np.testing.assert_array_equal(first.activations[name], second.activations[name])


def test_another_graph_is_never_taken_for_this_one(model, tmp_path, compilations, monkeypatch):
    graphs = Graphs(tmp_path)
    passed(model, graphs)
    passed(model, graphs, threads=2)
    passed(model, graphs, cot=2)
    before, bias = passed(model, graphs), model.weights[-1]
    bias.assign_add([1, 1, 1])
    try:
        np.testing.assert_allclose(passed(model, graphs).logits, before.logits + 1, atol=1e-5)
    finally:
        bias.assign_sub([1, 1, 1])
    assert len(compilations) == len(list(tmp_path.iterdir())) == 4
    monkeypatch.setattr(openvino, "get_version", lambda: "another")
    passed(model, graphs)
    assert len(compilations) == 5


def test_what_openvino_cannot_read_is_compiled_anew(model, tmp_path, compilations):
    graphs = Graphs(tmp_path)
    first = passed(model, graphs)
    graphs.keep(next(tmp_path.iterdir()).stem, lambda: b"whole, but no graph")
    second = passed(model, graphs)
    assert len(compilations) == 2
    np.testing.assert_array_equal(first.gradients["2a"], second.gradients["2a"])
    passed(model, graphs)
    assert len(compilations) == 2


def test_an_explainer_keeps_its_graphs_where_the_environment_says(model, tmp_path, compilations, monkeypatch):
    monkeypatch.setenv(compiled.VARIABLE, str(tmp_path))
    maps = [Explainer(model, engine="openvino")(photograph(32)[0], targets=[1]).maps["hires_cam"] for _ in range(2)]
    assert len(compilations) == len(list(tmp_path.iterdir())) == 1
    np.testing.assert_array_equal(maps[0]["2a"], maps[1]["2a"])


def test_wrong_shapes_are_one_sentence(engine):
    for wrong in (photograph(64), photograph(16), photograph(32)[..., :1], photograph(32)[0]):
        with pytest.raises(EngineError, match="32 x 32 pixels"):
            engine(wrong, cotangents(1, 1))
    with pytest.raises(EngineError, match="2 photographs"):
        engine(photograph(32, photos=2), cotangents(1, 1))
    with pytest.raises(EngineError, match="3 units"):
        engine(photograph(32), np.ones((1, 1, 5), np.float32))
    with pytest.raises(EngineError, match="1 photographs need as many rows"):
        engine(photograph(32), np.ones((1, 0, 3), np.float32))


def test_without_openvino_it_says_so(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineError, match="not installed"):
        OpenVinoEngine(write(model, ["top"], 32))
