"""The formulas without eigenvectors as ONNX nodes, for a graph that gives maps alone.

`formulas.py` has the equations, their sources and what they do at their edges; each function here is the twin of the
one of its name there. A is (1, C, H, W), G (targets, C, H, W), or (targets, C, 1, 1) where all cells have one gradient
and it need not be written out; the map (targets, H, W) is written as output `out`.
"""

from collections.abc import Callable
from typing import Protocol

from onnx import TensorProto

from explain.formulas import XGRAD_EPSILON

Write = Callable[["Nodes", str, str, str], None]


class Nodes(Protocol):
    """A graph under construction: `node` writes one and names its output, `constant` a number or a list of integers."""

    def node(self, op: str, *inputs: str, out: str | None = None, **attributes: int | list[int]) -> str: ...

    def constant(self, value: float | list[int]) -> str: ...


def _sum(to: Nodes, values: str) -> str:
    return to.node("ReduceSum", values, to.constant([2, 3]), keepdims=1)


def _cells(to: Nodes, A: str) -> str:
    """H W, which is known before the graph runs."""
    sides = to.node("Slice", to.node("Shape", A), *map(to.constant, ([2], [4])))
    return to.node("Cast", to.node("ReduceProd", sides, keepdims=0), to=TensorProto.FLOAT)


def _channels(to: Nodes, product: str, out: str) -> None:
    to.node("ReduceSum", product, to.constant([1]), out=out, keepdims=0)


def _weighted(to: Nodes, weights: str, A: str, out: str) -> None:
    # A product of matrices reads A once, and writes no weighted copy of it: runtimes that keep channels together turn
    # nothing for it.
    rows = to.node("Transpose", to.node("Flatten", weights), perm=[1, 0])
    cells = to.node("MatMul", to.node("Transpose", A, perm=[0, 2, 3, 1]), rows)
    to.node("Squeeze", to.node("Transpose", cells, perm=[3, 1, 2, 0]), to.constant([3]), out=out)


def _grad_cam(to: Nodes, A: str, G: str, out: str) -> None:
    _weighted(to, to.node("GlobalAveragePool", G), A, out)


def _grad_cam_pp(to: Nodes, A: str, G: str, out: str) -> None:
    S = to.node("Relu", _sum(to, A))
    rising = to.node("Relu", G)
    denominator = to.node("Add", to.node("Mul", S, rising), to.constant(2))
    # A mean, which is the same of one cell and of many, times their number.
    weights = to.node("GlobalAveragePool", to.node("Div", rising, denominator))
    _weighted(to, to.node("Mul", weights, _cells(to, A)), A, out)


def _hires_cam(to: Nodes, A: str, G: str, out: str) -> None:
    _channels(to, to.node("Mul", A, G), out)


def _xgrad_cam(to: Nodes, A: str, G: str, out: str) -> None:
    m = to.node("Max", _sum(to, to.node("Abs", A)), to.constant(1e-30))
    r = to.node("Div", _sum(to, A), m)
    square = to.node("Add", to.node("Mul", r, r), to.constant(XGRAD_EPSILON**2))
    inverse = to.node("Mul", to.node("Div", to.node("Div", r, square), m), to.constant(1 + XGRAD_EPSILON**2))
    _weighted(to, to.node("Mul", _sum(to, to.node("Mul", A, G)), inverse), A, out)


def _layer_cam(to: Nodes, A: str, G: str, out: str) -> None:
    _channels(to, to.node("Mul", A, to.node("Relu", G)), out)


IN_GRAPH: dict[str, Write] = {
    "grad_cam": _grad_cam,
    "grad_cam_pp": _grad_cam_pp,
    "hires_cam": _hires_cam,
    "xgrad_cam": _xgrad_cam,
    "layer_cam": _layer_cam,
}
