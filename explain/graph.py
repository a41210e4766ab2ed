"""An EfficientNet's forward and backward pass, written down as one ONNX network.

Only TensorFlow differentiates Keras; written as a network, the explanation runs wherever a network runs: in OpenVINO
on servers and laptops, in onnxruntime in a browser. The backward pass is with respect to activations only, so every
step is again a layer: the transpose of a convolution is a transposed convolution with the same kernel and pads, that
of swish x s(x) is a product with s (1 + x (1 - s)), that of squeeze-and-excitation follows from the product rule.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from explain.architecture import Block, Convolution, EfficientNet, Excitation, read
from explain.errors import EngineError
from explain.graph_eigen import OF_ALL_LAYERS, LayerNodes
from explain.graph_formulas import IN_GRAPH
from explain.methods import DEFAULT

OPSET = 17
# A 1 x 1 convolution of no more inputs is cheaper to compute again than its result is to keep and fetch.
CHEAP = 40
# The newest file format that OpenVINO, onnxruntime and onnxruntime-web of the last years all read.
IR_VERSION = 8
# Tensors with fewer values stay float32 in a half-size file: they weigh nothing and are the most sensitive.
HALF_FROM = 20_000

METHODS = (*IN_GRAPH, *OF_ALL_LAYERS)
"""Formulas whose maps the graph can make itself."""

Outputs = Literal["logits", "gradients", "maps", "all"]
_Backward = Callable[[str], str]
_Again = Callable[[], tuple[str, str]]


def write(
    model: keras.Model,
    size: int | None = None,
    *,
    outputs: Outputs = "gradients",
    layers: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    half: bool = False,
    methods: Sequence[str] = (DEFAULT,),
    recompute: bool = False,
) -> onnx.ModelProto:
    """The network that explains `model`, for photographs of `size` pixels (the model's own size by default).

    Inputs: `image` (1, S, S, 3) float32 in 0..255 and `cotangent` (targets, U), one row per target, U being the units
    of the dense layer. Outputs: `logits` (1, U) and for each of `layers` (default: all, names as in
    `EfficientNet.layers`) `activation/<layer>` (1, H, W, C) and `gradient/<layer>` (targets, H, W, C), or the maps of
    `methods` (names of `METHODS`), signed: `<method>/<layer>` (targets, H, W), not a number where a map of
    eigenvectors is not proven (see `graph_eigen`); or all of them, and `gate/<layer>` (1, C) 0..1 where the block has
    squeeze-and-excitation; with `outputs="logits"` none, and no cotangent. The metadata, as JSON, say what a program
    needs to show them: `input_size`, `labels`, `layers` (name, shape, stride and offset of each: cell i is centred at
    pixel offset + stride * i).

    `half` stores the large weights as float16 and computes in float32: half the file, maps within 1e-2. `recompute`
    lets the backward pass compute again what is cheap, instead of keeping it from the forward pass: faster where a
    runtime makes one step of a convolution and its swish (OpenVINO), slower where it does not (onnxruntime).
    Raises EngineError where the model is no EfficientNet with one dense layer on top, for a layer that it has not, for
    a method that is not in `METHODS`, and where neither the model nor the caller says the size.
    """
    network = read(model)
    if others := [method for method in methods if method not in METHODS]:
        raise EngineError(f"A graph has no {others[0]!r}; the methods that one can have are: {', '.join(METHODS)}.")
    size = size or network.size
    if size is None:
        raise EngineError("This network takes photographs of any size: say which one the graph is for.")
    wanted = network.layers if layers is None else tuple(layers)
    if unknown := [name for name in wanted if name not in network.layers]:
        raise EngineError(f"This network has no layer {unknown[0]}; it has {', '.join(network.layers)}.")
    return _Writer(network, size, wanted, half, tuple(methods), recompute).write(outputs, labels)


@dataclass(frozen=True)
class _Grid:
    """`size` cells a side, `stride` pixels apart, the first centred at pixel `offset`."""

    size: int
    stride: int = 1
    offset: float = 0.0

    def after(self, convolution: Convolution) -> "_Grid":
        before, _, size = convolution.padding(self.size)
        reach = (convolution.kernel.shape[-1] - 1) / 2 - before
        return _Grid(size, self.stride * convolution.stride, self.offset + self.stride * reach)


class _Writer:
    """Collects nodes; each step of the forward pass hands back the function that writes its backward."""

    def __init__(
        self,
        network: EfficientNet,
        size: int,
        wanted: tuple[str, ...],
        half: bool,
        methods: tuple[str, ...],
        recompute: bool,
    ) -> None:
        self.network, self.size, self.wanted, self.half, self.methods = network, size, wanted, half, methods
        self.recompute = recompute
        self.nodes: list[onnx.NodeProto] = []
        self.made: dict[tuple[str, tuple[str, ...], str], str] = {}
        self.weights: list[onnx.TensorProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.activations: dict[str, str] = {}
        self.gates: list[tuple[str, int]] = []
        self.facts: dict[str, dict] = {}
        self.dense = ""

    def write(self, outputs: Outputs, labels: Sequence[str] | None) -> onnx.ModelProto:
        units = len(self.network.bias)
        inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, self.size, self.size, 3])]
        results = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, units])]
        steps = self.forward()
        if outputs != "logits":
            inputs.append(helper.make_tensor_value_info("cotangent", TensorProto.FLOAT, ["targets", units]))
            results += self.excitations()
            gradients = {name: one for name, one in self.backward(steps).items() if name in self.wanted}
            for name, gradient in gradients.items():
                results += self.results(name, gradient, outputs)
            if outputs in ("maps", "all"):
                results += self.eigen_maps(gradients)
        graph = helper.make_graph(self.nodes, "explanation", inputs, results, [*self.weights, *self.constants.values()])
        proto = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="parallax"
        )
        facts: dict[str, Any] = {"input_size": self.size, "layers": [self.facts[name] for name in self.wanted]}
        if labels is not None:
            facts["labels"] = list(labels)
        helper.set_model_props(proto, {key: json.dumps(value) for key, value in facts.items()})
        return proto

    def excitations(self) -> list[onnx.ValueInfoProto]:
        """Writes the gates of the layers that are wanted."""
        results = []
        gated = [block for block in self.network.blocks if block.excitation]
        for block, (gate, channels) in zip(gated, self.gates, strict=True):
            if block.name in self.wanted:
                out = self.node("Flatten", gate, out=f"gate/{block.name}")
                results.append(helper.make_tensor_value_info(out, TensorProto.FLOAT, [1, channels]))
        return results

    def results(self, name: str, gradient: str, outputs: Outputs) -> list[onnx.ValueInfoProto]:
        """Writes the outputs of one layer."""
        height, width, channels = self.facts[name]["shape"]
        shapes: dict[str, list[int | str]] = {}
        if outputs in ("gradients", "all"):
            whole = gradient
            if name == "top":
                whole = self.node("Expand", gradient, self.constant([1, 1, height, width]))
            shapes[f"activation/{name}"] = [1, height, width, channels]
            shapes[f"gradient/{name}"] = ["targets", height, width, channels]
            self.node("Transpose", self.activations[name], out=f"activation/{name}", perm=[0, 2, 3, 1])
            self.node("Transpose", whole, out=f"gradient/{name}", perm=[0, 2, 3, 1])
        if outputs in ("maps", "all"):
            for method in self.methods:
                if method in IN_GRAPH:
                    out = f"{method}/{name}"
                    shapes[out] = ["targets", height, width]
                    IN_GRAPH[method](self, self.activations[name], gradient, out)
        return [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in shapes.items()]

    def eigen_maps(self, gradients: dict[str, str]) -> list[onnx.ValueInfoProto]:
        """Writes the maps that are made of all layers together."""
        layers = [
            LayerNodes(name, self.activations[name], gradient, self.facts[name]["shape"])
            for name, gradient in gradients.items()
        ]
        results = []
        for method in self.methods:
            if method in OF_ALL_LAYERS and layers:
                outs = {layer.name: f"{method}/{layer.name}" for layer in layers}
                OF_ALL_LAYERS[method](self, layers, outs)
                for layer in layers:
                    shape = ["targets", *layer.shape[:2]]
                    results.append(helper.make_tensor_value_info(outs[layer.name], TensorProto.FLOAT, shape))
        return results

    # Nodes and weights

    def node(self, op: str, *inputs: str, out: str | None = None, **attributes) -> str:
        # Formulas share terms, such as A G and relu(G): what is there already is not computed twice.
        key = (op, inputs, repr(sorted(attributes.items())))
        if out is None and key in self.made:
            return self.made[key]
        out = self.made[key] = out or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [out], name=out, **attributes))
        return out

    def weight(self, array: np.ndarray) -> str:
        name = f"weight_{len(self.weights)}"
        if not self.half or array.size < HALF_FROM:
            self.weights.append(numpy_helper.from_array(array, name))
            return name
        self.weights.append(numpy_helper.from_array(array.astype(np.float16), name))
        return self.node("Cast", name, to=TensorProto.FLOAT)

    def constant(self, value: float | list[int]) -> str:
        name = f"constant_{value}"
        if name not in self.constants:
            array = np.array(value, np.int64 if isinstance(value, list) else np.float32)
            self.constants[name] = numpy_helper.from_array(array, name)
        return name

    # The forward pass

    def forward(self) -> list[_Backward]:
        """Writes the logits; returns for each block the way from the gradient after it to the one before it."""
        network = self.network
        x = self.node("Transpose", "image", perm=[0, 3, 1, 2])
        x = self.node("Mul", x, self.weight(network.scale.reshape(-1, 1, 1)))
        x = self.node("Add", x, self.weight(network.offset.reshape(-1, 1, 1)))
        where = _Grid(self.size)
        backs = []
        for block in network.blocks:
            x, where, back = self.block(x, where, block)
            backs.append(back)
            self.activations[block.name] = x
            channels = len(block.projection.bias)
            self.facts[block.name] = {
                "name": block.name,
                "shape": [where.size, where.size, channels],
                "stride": where.stride,
                "offset": where.offset,
            }
        mean = self.node("Flatten", self.node("GlobalAveragePool", x))
        self.dense = self.weight(network.kernel)
        self.node("Gemm", mean, self.dense, self.weight(network.bias), out="logits")
        return backs

    def block(self, x: str, where: _Grid, block: Block) -> tuple[str, _Grid, _Backward]:
        y, backs = x, []
        for convolution in block.convolutions:
            last = convolution is block.convolutions[-1]
            y, where, back = self.convolution(y, where, convolution, block.excitation if last else None)
            backs.append(back)
        y, where, back = self.convolution(y, where, block.projection)
        backs.append(back)
        if block.residual:
            y = self.node("Add", y, x)

        def backward(gradient: str) -> str:
            through = gradient
            for back in reversed(backs):
                through = back(through)
            return self.node("Add", through, gradient) if block.residual else through

        return y, where, backward

    def convolution(
        self, x: str, where: _Grid, convolution: Convolution, excitation: Excitation | None = None
    ) -> tuple[str, _Grid, _Backward]:
        """The convolution, its swish and its excitation, where it has them."""
        kernel, bias = self.weight(convolution.kernel), self.weight(convolution.bias)
        before, after, _ = convolution.padding(where.size)
        k = convolution.kernel.shape[-1]
        shape = {"kernel_shape": [k, k], "strides": [convolution.stride] * 2, "group": convolution.groups}
        pads = [before, before, after, after]
        y = self.node("Conv", x, kernel, bias, pads=pads, **shape)

        def again() -> tuple[str, str]:
            if not self.recompute or convolution.groups > 1 or convolution.kernel[0].size > CHEAP:
                return y, self.node("Sigmoid", y)
            # From -y, so that runtimes do not notice that they have seen this before and keep it after all.
            minus = self.node("Conv", x, self.node("Neg", kernel), self.node("Neg", bias), pads=pads, **shape)
            return self.node("Neg", minus), self.node("Sub", self.constant(1), self.node("Sigmoid", minus))

        result, unswish = y, lambda gradient: gradient
        if excitation is not None:
            result, unswish = self.excited_swish(y, again, excitation)
        elif convolution.swish:
            result, unswish = self.swish(y, again)

        def backward(gradient: str) -> str:
            gradient = unswish(gradient)
            if convolution.stride > 1:
                return self.node("ConvTranspose", gradient, kernel, pads=pads, **shape)
            # Without strides the transposed convolution is a convolution with the kernel turned round, and faster so.
            # Runtimes turn it when they load; the file holds it once. Kernels are odd, so the padding stays.
            turned = kernel
            if k > 1:
                turned = self.node("Slice", turned, *map(self.constant, ([-1, -1], [-k - 1] * 2, [2, 3], [-1, -1])))
            if convolution.groups == 1:
                turned = self.node("Transpose", turned, perm=[1, 0, 2, 3])
            return self.node("Conv", gradient, turned, pads=pads, **shape)

        return result, where.after(convolution), backward

    def swish(self, x: str, again: _Again) -> tuple[str, _Backward]:
        """`again` gives x and sigmoid(x) for the backward pass."""

        def backward(gradient: str) -> str:
            return self.node("Mul", gradient, self.slope(*again()))

        return self.node("Mul", x, self.node("Sigmoid", x)), backward

    def slope(self, x: str, s: str) -> str:
        """swish' = s (1 + x (1 - s)) with s = sigmoid(x)."""
        if not self.recompute:
            # s + d - d s with d = x s, which is there already.
            d = self.node("Mul", x, s)
            return self.node("Add", s, self.node("Sub", d, self.node("Mul", d, s)))
        one = self.constant(1)
        return self.node("Mul", s, self.node("Add", one, self.node("Mul", x, self.node("Sub", one, s))))

    def excited_swish(self, x: str, again: _Again, excitation: Excitation) -> tuple[str, _Backward]:
        """d * gate(mean(d)) for d = swish(x): a gradient G gives G * gate and, through the gate, the mean of G * d."""
        d = self.node("Mul", x, self.node("Sigmoid", x))
        squeezed, dot = self.node("GlobalAveragePool", d), _Grid(1)
        reduced, dot, back_reduce = self.convolution(squeezed, dot, excitation.reduce)
        expanded, dot, back_expand = self.convolution(reduced, dot, excitation.expand)
        gate = self.node("Sigmoid", expanded)
        self.gates.append((gate, len(excitation.expand.bias)))

        def backward(gradient: str) -> str:
            one = self.constant(1)
            if self.recompute:
                # d once more, as a quotient, so that nothing but x is kept of the forward pass.
                inverse = self.node("Add", one, self.node("Exp", self.node("Neg", x)))
                product = self.node("Div", self.node("Mul", gradient, x), inverse)
            else:
                product = self.node("Mul", gradient, d)
            # Every cell gets 1 / n of what arrives at the mean, hence the mean here where the gate's gradient is a sum.
            share = self.node("Mul", self.node("GlobalAveragePool", product), gate)
            through = back_reduce(back_expand(self.node("Mul", share, self.node("Sub", one, gate))))
            slope = self.slope(*again())
            if not self.recompute:
                return self.node("Mul", self.node("Add", self.node("Mul", gradient, gate), through), slope)
            # Multiplied out, so that it becomes one pass over the cells.
            straight = self.node("Mul", gradient, self.node("Mul", gate, slope))
            return self.node("Add", straight, self.node("Mul", through, slope))

        return self.node("Mul", d, gate), backward

    # The backward pass

    def backward(self, backs: list[_Backward]) -> dict[str, str]:
        """Writes the gradient of sum(cotangent * logits) at each layer, as deep as the shallowest that is wanted."""
        blocks = self.network.blocks
        height, width, _ = self.facts["top"]["shape"]
        pooled = self.node("Gemm", "cotangent", self.dense, alpha=1 / (height * width), transB=1)
        # Every cell of the top has the same gradient, so that one stands for all of them.
        gradient = self.node("Unsqueeze", pooled, self.constant([2, 3]))
        gradients = {}
        for block, back in zip(reversed(blocks), reversed(backs), strict=True):
            gradients[block.name] = gradient
            if set(self.wanted) <= set(gradients):
                break
            gradient = back(gradient)
        return gradients
