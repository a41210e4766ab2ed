"""The formulas written as ONNX nodes against their slow twins in float64, on numbers and at the edges."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from explain import graph_formulas
from explain.graph_formulas import IN_GRAPH
from tests.explain.test_formulas import HAND_A, HAND_G, SLOW, layer

every_formula = pytest.mark.parametrize("name", IN_GRAPH)


class Written:
    """A graph of one formula alone."""

    def __init__(self):
        self.nodes, self.constants = [], {}

    def node(self, op, *inputs, out=None, **attributes):
        out = out or f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [out], **attributes))
        return out

    def constant(self, value):
        name = f"constant_{value}"
        array = np.array(value, np.int64 if isinstance(value, list) else np.float32)
        self.constants[name] = numpy_helper.from_array(array, name)
        return name


def of_graph(name, A, G):
    """The map (T, H, W) of activations (1, H, W, C) and gradients (T, H, W, C)."""
    to = Written()
    IN_GRAPH[name](to, "A", "G", "out")
    inputs = [helper.make_tensor_value_info(one, TensorProto.FLOAT, None) for one in ("A", "G")]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)]
    graph = helper.make_graph(to.nodes, name, inputs, outputs, list(to.constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (found,) = ReferenceEvaluator(model).run(None, {"A": A.transpose(0, 3, 1, 2), "G": G.transpose(0, 3, 1, 2)})
    return found


def test_what_the_graph_makes_is_known():
    assert list(IN_GRAPH) == ["grad_cam", "grad_cam_pp", "hires_cam", "xgrad_cam", "layer_cam"]
    for name, write in IN_GRAPH.items():
        assert write is getattr(graph_formulas, f"_{name}")


@every_formula
@pytest.mark.parametrize("seed", range(5))
def test_equal_to_the_slow_twin(name, seed):
    A, G = layer(seed, bias=seed - 2)
    M = of_graph(name, A[:1], G)
    assert M.dtype == np.float32 and M.shape == (2, 3, 4)
    for target in range(2):
        expected = SLOW[name](A[0].astype(np.float64), G[target].astype(np.float64))
        assert np.abs(M[target] - expected).max() <= 2e-5 * np.abs(expected).max()


@every_formula
def test_one_gradient_of_all_cells_need_not_be_written_out(name):
    A, G = layer(1)
    one = G[:, :1, :1]
    whole = np.ascontiguousarray(np.broadcast_to(one, G.shape))
    M = of_graph(name, A[:1], one)
    assert M.shape == (2, 3, 4)
    for target in range(2):
        expected = SLOW[name](A[0].astype(np.float64), whole[target].astype(np.float64))
        assert np.abs(M[target] - expected).max() <= 2e-5 * np.abs(expected).max()


@every_formula
def test_the_example_by_hand(name):
    expected = SLOW[name](HAND_A[0].astype(np.float64), HAND_G[0].astype(np.float64))
    assert of_graph(name, HAND_A, HAND_G)[0] == pytest.approx(expected, rel=1e-6, abs=1e-6)


@every_formula
def test_nothing_gives_nothing(name):
    A, G = layer(6)
    zero = np.zeros_like(A)
    for arrays in ((zero, G), (A, zero), (zero, zero)):
        M = of_graph(name, arrays[0][:1], arrays[1])
        assert not M.any() and np.isfinite(M).all()


@every_formula
def test_the_scale_of_a_layer_is_of_no_account(name):
    A, G = layer(17)
    factor = np.float32(1e-5)
    expected = of_graph(name, A[:1], G)
    assert np.abs(of_graph(name, A[:1] * factor, G / factor) - expected).max() <= 1e-4 * np.abs(expected).max()
