"""The two Eigen maps as ONNX nodes, of all layers at once, for a graph that gives maps alone.

`formulas.py` has the equations. A layer's matrix M has Z cells and C channels, and the first eigenvector of the smaller
of M^T M and M M^T gives its map. Those of many layers are padded to one size and raised to a power together: as many
small products, one layer after the other, would cost more than they compute. A map is NaN where a few powers of a
matrix prove nothing; whoever runs the graph then asks `formulas.py`.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from explain.formulas import CLOSE
from explain.graph_formulas import Nodes

# Squarings of a matrix, and iterations with its last power.
SQUARINGS, STEPS = 6, 8
# Squarings after which its largest entry is made 1 again. An eigenvalue is at most as many times that entry as the
# matrix has rows, and float32 ends at 3e38.
RESCALED = 3
# In a shape: as many as there are.
ALL = -1


class LayerNodes(NamedTuple):
    """One layer: A (1, C, H, W), G (targets, C, H, W) or (targets, C, 1, 1), and `shape`, which is (H, W, C)."""

    name: str
    A: str
    G: str
    shape: Sequence[int]


class _Matrix(NamedTuple):
    """A layer's matrix M of `values` (B, C, H, W), `flat` (B, Z, C); `gram` (B, n, n), the smaller of M^T M, M M^T."""

    layer: LayerNodes
    values: str
    flat: str
    gram: str
    n: int
    tall: bool


Write = Callable[[Nodes, Sequence[LayerNodes], Mapping[str, str]], None]


def _eigen_cam(to: Nodes, layers: Sequence[LayerNodes], outs: Mapping[str, str]) -> None:
    targets = to.node("Slice", to.node("Shape", layers[0].G), *map(to.constant, ([0], [1])))
    every = to.node("Concat", targets, to.constant([1]), to.constant([1]), axis=0)
    for matrix, M, proven in _first_components(to, [_matrix(to, layer, layer.A) for layer in layers]):
        sign = _sign(to, _sum(to, M, 1, 2), proven)
        # One map for every target.
        to.node("Mul", M, to.node("Expand", sign, every), out=outs[matrix.layer.name])


def _eigen_grad_cam(to: Nodes, layers: Sequence[LayerNodes], outs: Mapping[str, str]) -> None:
    products = [_matrix(to, layer, to.node("Mul", layer.A, layer.G)) for layer in layers]
    for matrix, M, proven in _first_components(to, products):
        # The sum of v, times the eigenvalue, without v: M^T M v is a multiple of v.
        along = to.node("Mul", to.node("ReduceSum", matrix.values, to.constant([1]), keepdims=0), M)
        sign = _sign(to, _sum(to, along, 1, 2), proven)
        to.node("Mul", M, sign, out=outs[matrix.layer.name])


OF_ALL_LAYERS: dict[str, Write] = {"eigen_cam": _eigen_cam, "eigen_grad_cam": _eigen_grad_cam}
"""What writes the map (targets, H, W) of every layer as the output that the last argument names for it."""


def _matrix(to: Nodes, layer: LayerNodes, values: str) -> _Matrix:
    height, width, channels = layer.shape
    cells = height * width
    # Channels last, as runtimes for processors keep them.
    flat = to.node("Reshape", to.node("Transpose", values, perm=[0, 2, 3, 1]), to.constant([ALL, cells, channels]))
    turned = to.node("Transpose", flat, perm=[0, 2, 1])
    tall = channels <= cells
    gram = to.node("MatMul", turned, flat) if tall else to.node("MatMul", flat, turned)
    return _Matrix(layer, values, flat, gram, min(channels, cells), tall)


def _first_components(to: Nodes, matrices: Sequence[_Matrix]) -> Iterator[tuple[_Matrix, str, str]]:
    """M v of each matrix, (B, H, W), with whether it is proven, (B, 1, 1)."""
    # What is padded to twice its size costs eight times as much.
    ordered = sorted(matrices, key=lambda matrix: matrix.n)
    for _, some in groupby(ordered, key=lambda matrix: max(6, math.ceil(math.log2(matrix.n)))):
        group = list(some)
        most = group[-1].n
        found, proven = _first_eigenvectors(to, to.node("Concat", *(_padded(to, one, most) for one in group), axis=1))
        for place, matrix in enumerate(group):
            v = to.node("Slice", found, *map(to.constant, ([place, 0], [place + 1, matrix.n], [1, 2])))
            v = to.node("Reshape", v, to.constant([ALL, matrix.n, 1]))
            M = to.node("MatMul", matrix.flat if matrix.tall else matrix.gram, v)
            if not matrix.tall:
                # v is M^T u made one long, and M v then M M^T u, divided by how long it was.
                square = _sum(to, to.node("Mul", M, v), 1)
                M = to.node("Div", M, to.node("Sqrt", square))
            own = to.node("Slice", proven, *map(to.constant, ([place], [place + 1], [1])))
            yield (
                matrix,
                to.node("Reshape", M, to.constant([ALL, *matrix.layer.shape[:2]])),
                to.node("Reshape", own, to.constant([ALL, 1, 1])),
            )


def _padded(to: Nodes, matrix: _Matrix, most: int) -> str:
    more = most - matrix.n
    return to.node("Unsqueeze", to.node("Pad", matrix.gram, to.constant([0, 0, 0, 0, more, more])), to.constant([1]))


def _first_eigenvectors(to: Nodes, power: str) -> tuple[str, str]:
    """Those of matrices (B, L, n, n), (B, L, n, 1) and 1 long, and whether they are, (B, L, 1, 1).

    `formulas._by_powers` says how, and why what it asks for is a proof.
    """
    for squaring in range(SQUARINGS):
        if squaring % RESCALED == 0:
            power = _scaled(to, power)
        power = to.node("MatMul", power, power)
    power = _scaled(to, power)
    v = _sum(to, power, 3)
    for _ in range(STEPS):
        v = to.node("MatMul", power, v)
    v = to.node("Div", v, to.node("Sqrt", _square(to, v)))
    image = to.node("MatMul", power, v)
    value = _sum(to, to.node("Mul", v, image), 2)
    rest = to.node("Sub", image, to.node("Mul", value, v))
    square = to.node("Mul", value, value)
    kept = to.node("LessOrEqual", _square(to, rest), to.node("Mul", square, to.constant(CLOSE**2)))
    all_of_them = _sum(to, to.node("Mul", power, power), 2, 3)
    first = to.node("Greater", to.node("Mul", square, to.constant(1.5)), all_of_them)
    return v, to.node("And", kept, first)


def _scaled(to: Nodes, matrices: str) -> str:
    """A positive semidefinite matrix has its largest entry on the diagonal."""
    return to.node("Div", matrices, to.node("ReduceMax", matrices, axes=[2, 3], keepdims=1))


def _square(to: Nodes, vectors: str) -> str:
    return _sum(to, to.node("Mul", vectors, vectors), 2)


def _sum(to: Nodes, values: str, *axes: int) -> str:
    return to.node("ReduceSum", values, to.constant([*axes]), keepdims=1)


def _sign(to: Nodes, total: str, proven: str) -> str:
    turned = to.node("Where", to.node("Less", total, to.constant(0)), to.constant(-1), to.constant(1))
    return to.node("Where", proven, turned, to.constant(math.nan))
