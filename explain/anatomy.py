"""What an MBConv block makes of a photograph, part by part.

The parts are the model's own layers, found by Keras' names, run once more on what entered the block.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from explain.engine import Pass
from explain.engine_tensorflow import at_rest, traced
from explain.errors import LayerError
from explain.layers import Layer


@dataclass(frozen=True, eq=False)
class MBConv:
    """One MBConv or Fused-MBConv block and one photograph; None for parts that the block does not have.

    The output and what leaves the residual sum get the same gradient, that of the target's logit: so contributions,
    activation x gradient, add up over the two paths.

    Attributes:
        layer: the block's output as a layer; `layer.block` has its facts.
        target: the label that contributions are for.
        entered: (H, W, C_in) float32.
        expanded: (H, W, C) after the expansion's swish; (H', W', C) where a fused block has a stride. None in blocks
            that do not expand.
        depthwise: (H', W', C) after the depthwise convolution's swish, before the gates. None in fused blocks.
        gates: (C,) 0..1, what squeeze-and-excitation multiplies each channel by. None in blocks without it.
        projected: (H', W', C_out) after the projection's BatchNorm.
        output: (H', W', C_out), `projected` and, where there is a residual, `entered`.
        residual_share: |entered| / (|entered| + |projected|), Euclidean norms: how much of the output merely passed
            by, 0..1; 0 where there is no residual.
        residual_score: activation x gradient over what passed by, in units of the logit; 0 where there is no residual.
        projected_score: the same over the projection.
        contributions: (C_out,) float32, activation x gradient of each channel of the output, summed over the cells,
            signed, in units of the logit. To first order, what the logit would lose were the channel zero (gradient x
            input, Shrikumar et al. 2016, arXiv:1605.01713). Their sum is `residual_score + projected_score`.
    """

    layer: Layer
    target: str
    entered: np.ndarray = field(repr=False)
    expanded: np.ndarray | None = field(repr=False)
    depthwise: np.ndarray | None = field(repr=False)
    gates: np.ndarray | None = field(repr=False)
    projected: np.ndarray = field(repr=False)
    output: np.ndarray = field(repr=False)
    residual_share: float
    residual_score: float
    projected_score: float
    contributions: np.ndarray = field(repr=False)


def block_of(layers: tuple[Layer, ...], name: str) -> Layer:
    """The layer that is the output of block `name`.

    Raises:
        LayerError: if there is no such layer, or it is no MBConv block.
    """
    blocks = [layer for layer in layers if layer.block]
    found = next((layer for layer in blocks if layer.name == name), None)
    if found:
        return found
    if not blocks:
        raise LayerError("This network has no MBConv blocks: anatomy is for EfficientNets.")
    known = ", ".join(layer.name for layer in blocks)
    raise LayerError(f"There is no MBConv block {name!r}; the blocks are: {known}.")


def dissect(model: Any, before: Layer, layer: Layer, found: Pass, target: str) -> MBConv:
    """Take a block apart, for the first photograph and the first target of a pass.

    Args:
        model: flat functional `keras.Model` of an EfficientNet.
        before: the layer whose output enters the block.
        layer: the block's output.
        found: a pass that has both layers.
        target: what the target is called.
    """
    prefix = f"block{layer.name}_"
    values = {before.keras_name: found.activations[before.name][:1]}
    for part in model.layers:
        if part.name.startswith(prefix):
            inputs = [values[source.operation.name] for source in part._inbound_nodes[0].parent_nodes]
            values[part.name] = at_rest(part)(inputs[0] if len(inputs) == 1 else inputs)

    def value(*names: str) -> Any:
        return next((np.asarray(values[prefix + name])[0] for name in names if prefix + name in values), None)

    entered, projected = np.asarray(values[before.keras_name])[0], value("project_activation", "project_bn")
    gates = value("se_expand")
    gradient = found.gradients[layer.name][0, 0]
    passed = entered if layer.block and layer.block.residual else np.zeros_like(projected)
    norms = np.linalg.norm(passed), np.linalg.norm(projected)
    return MBConv(
        layer=layer,
        target=target,
        entered=entered,
        expanded=value("expand_activation"),
        depthwise=value("activation"),
        gates=None if gates is None else gates[0, 0],
        projected=projected,
        output=np.asarray(values[layer.keras_name])[0],
        residual_share=float(norms[0] / max(sum(norms), 1e-30)),
        residual_score=float(np.vdot(passed, gradient)),
        projected_score=float(np.vdot(projected, gradient)),
        contributions=np.einsum("hwc,hwc->c", passed + projected, gradient),
    )


class Gates:
    """The gates of all blocks for one photograph, in one traced forward pass."""

    def __init__(self, model: Any, layers: tuple[Layer, ...]) -> None:
        """`model` is flat; raises LayerError where no block has squeeze-and-excitation."""
        import keras
        import tensorflow as tf

        gated = {layer.name: layer.gates for layer in layers if layer.gates}
        if not gated:
            raise LayerError("This network has no gates: no block has squeeze-and-excitation.")
        outputs = {name: model.get_layer(part).output for name, part in gated.items()}
        gates = keras.Model(model.inputs[0], outputs)
        side = model.inputs[0].shape[1]
        picture = tf.TensorSpec((None, side, side, 3), tf.float32)
        self._traced = traced(lambda images: gates(images, training=False), picture)

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Gates (C,) 0..1 by block, from the first to the last, of a photograph (S, S, 3) in 0..255."""
        found = self._traced(image[None].astype("float32"))
        return {name: values.numpy()[0, 0, 0] for name, values in found.items()}
