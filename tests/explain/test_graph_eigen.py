"""The Eigen maps written as ONNX nodes against their slow twins in float64, many layers at once."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from explain.graph_eigen import OF_ALL_LAYERS, LayerNodes
from tests.explain.test_formulas import SLOW, layer
from tests.explain.test_graph_formulas import Written

every_formula = pytest.mark.parametrize("name", OF_ALL_LAYERS)
# Tall and wide ones, of several sizes that are padded to one, and of sizes that are not.
SHAPES = [(6, 5, 7), (9, 9, 80), (3, 4, 40), (2, 2, 96), (1, 1, 3), (10, 9, 70), (4, 4, 16)]


def of_graph(name, layers):
    """The maps (T, H, W) of activations (1, H, W, C) and gradients (T, H, W, C) or (T, 1, 1, C) of several layers."""
    to = Written()
    nodes = [LayerNodes(str(n), f"A{n}", f"G{n}", A.shape[1:]) for n, (A, G) in enumerate(layers)]
    OF_ALL_LAYERS[name](to, nodes, {one.name: f"out{one.name}" for one in nodes})
    values = {f"{key}{n}": one for n, pair in enumerate(layers) for key, one in zip("AG", pair, strict=True)}
    inputs = [helper.make_tensor_value_info(one, TensorProto.FLOAT, None) for one in values]
    outputs = [helper.make_tensor_value_info(f"out{n}", TensorProto.FLOAT, None) for n in range(len(layers))]
    graph = helper.make_graph(to.nodes, name, inputs, outputs, list(to.constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with np.errstate(all="ignore"):
        return ReferenceEvaluator(model).run(None, {one: array.transpose(0, 3, 1, 2) for one, array in values.items()})


@every_formula
@pytest.mark.parametrize("seed", range(3))
def test_every_layer_and_target_equals_the_slow_twin(name, seed):
    layers = [layer(10 * seed + n, (2, *shape), bias=0.5 + seed - n / 3) for n, shape in enumerate(SHAPES)]
    layers = [(A[:1], np.abs(G) if seed else G) for A, G in layers]
    proven = 0
    for (A, G), M in zip(layers, of_graph(name, layers), strict=True):
        assert M.dtype == np.float32 and M.shape == (2, *A.shape[1:3])
        for target in range(2):
            if np.isnan(M[target]).any():
                assert np.isnan(M[target]).all()
                continue
            expected = SLOW[name](A[0].astype(np.float64), G[target].astype(np.float64))
            assert np.abs(M[target] - expected).max() <= 1e-4 * np.abs(expected).max()
            proven += 1
    assert proven >= 10


@every_formula
def test_one_gradient_of_all_cells_need_not_be_written_out(name):
    A, G = layer(1, (2, 4, 4, 30), bias=1)
    one = np.abs(G[:, :1, :1])
    (found,) = of_graph(name, [(A[:1], one)])
    (expected,) = of_graph(name, [(A[:1], np.ascontiguousarray(np.broadcast_to(one, G.shape)))])
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@every_formula
def test_two_directions_as_strong_as_each_other_are_not_proven(name):
    A = np.zeros((1, 2, 2, 4), np.float32)
    A[0, 0, 0, 0] = A[0, 1, 1, 1] = 3
    sure, ones = layer(2, (1, 3, 3, 4), bias=2)[0], np.ones((1, 3, 3, 4), np.float32)
    unsure, found = of_graph(name, [(A, np.ones_like(A)), (sure, ones)])
    assert np.isnan(unsure).all()
    expected = SLOW[name](sure[0].astype(np.float64), ones[0].astype(np.float64))
    assert np.abs(found[0] - expected).max() <= 1e-4 * np.abs(expected).max()


@every_formula
def test_nothing_proves_nothing(name):
    A, G = layer(6, (1, 3, 4, 5))
    (found,) = of_graph(name, [(np.zeros_like(A), G)])
    assert np.isnan(found).all()


@every_formula
@pytest.mark.parametrize(("ratio", "proven"), [(0.975, True), (0.9775, False)])
def test_how_close_the_second_eigenvalue_may_be(name, ratio, proven):
    """After so many squarings and iterations the second direction is down to a millionth, or it is not."""
    A = np.zeros((1, 1, 2, 2), np.float32)
    A[0, 0, 0, 0], A[0, 0, 1, 1] = 1, np.sqrt(ratio)
    (found,) = of_graph(name, [(A, np.ones_like(A))])
    assert np.isfinite(found).all() == proven
    assert not proven or np.abs(found - [[[1, 0]]]).max() < 1e-5


@every_formula
def test_a_second_direction_that_is_not_small_is_not_proven(name):
    """An iteration that happens to keep a vector of several equal ones has not shown that it is the first."""
    A = np.zeros((1, 2, 2, 4), np.float32)
    A[0, [0, 0, 1, 1], [0, 1, 0, 1], range(4)] = 1
    (found,) = of_graph(name, [(A, np.ones_like(A))])
    assert np.isnan(found).all()


@every_formula
@pytest.mark.parametrize("size", [1e-10, 1e10])
def test_a_large_and_a_small_layer_do_not_mix(name, size):
    A, G = layer(3, (1, 4, 4, 9), bias=1)
    G = np.abs(G)
    alone, _ = of_graph(name, [(A, G), (A, G)])
    factor = np.float32(size)
    scaled, _ = of_graph(name, [(A * factor, G), (A * 1000, G * 1000)])
    assert np.abs(scaled - alone * factor).max() <= 1e-4 * size * np.abs(alone).max()
