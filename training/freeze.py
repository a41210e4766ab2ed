"""Which layers a stage trains, and the network cut in two where the trained ones begin."""

import re
from dataclasses import dataclass
from typing import Any

from training.recipe import TrainingError

BLOCK = re.compile(r"(block_?\d+[a-z]?|conv\d+_block\d+|expanded_conv_\d+)_")
"""How `keras.applications` names the layers of a block."""


@dataclass(frozen=True)
class Cut:
    """A network in two parts that share its layers and weights.

    Attributes:
        front: from the picture to the activation that enters the first trained layer; frozen, so run in inference
            mode throughout, dropout included.
        rest: from that activation to the logits.
        name: the layer that gives the activation.
    """

    front: Any
    rest: Any
    name: str


def unfreeze(model: Any, trainable: str) -> None:
    """Train the head and whole blocks from `trainable` on; BatchNorm of the backbone stays frozen,
    except from scratch.

    Args:
        model: a graph of `models.graphs.build`.
        trainable: `all`, `head` or a block, see `training.recipe.Stage`.

    Raises:
        TrainingError: if the network has no such block.
    """
    import keras

    pool = _place_of_pool(model)
    first = _first(model, trainable)
    for index, layer in enumerate(model.layers):
        norm = isinstance(layer, keras.layers.BatchNormalization)
        frozen_norm = norm and index < pool and trainable != "scratch"
        layer.trainable = index >= first and not frozen_norm


def cut(model: Any, trainable: str) -> Cut | None:
    """The network in two where the trained layers begin, or None where all are trained."""
    import keras

    # What is pooled is a fraction of what enters the pooling, and there are no weights in between.
    first = _place_of_pool(model) + 1 if trainable == "head" else _first(model, trainable)
    entering = _entering(model, first)
    if not entering:
        return None
    (tensor,) = entering
    return Cut(
        keras.Model(model.input, tensor), keras.Model(tensor, model.output), tensor._keras_history.operation.name
    )


def joined(cut: Cut) -> Any:
    """The whole network from the picture to the logits, its front in inference mode also while the rest trains."""
    import keras

    # Keras hands `training` on to every graph within a graph, whatever it was called with; to a layer it does not.
    class Front(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__(trainable=False)
            self.front, self.built = cut.front, True

        def call(self, pictures: Any) -> Any:
            return self.front(pictures, training=False)

    picture = cut.front.input
    return keras.Model(picture, cut.rest(Front()(picture)))


def _entering(model: Any, first: int) -> set[Any]:
    """The activations that enter the layers from `first` on."""
    after = set(model.layers[first:])
    return {
        tensor
        for layer in after
        # The first node is the network's own; others come from graphs that share the layer.
        for tensor in layer._inbound_nodes[0].input_tensors
        if tensor._keras_history.operation not in after
    }


def _place_of_pool(model: Any) -> int:
    return [layer.name for layer in model.layers].index("pool")


def _first(model: Any, trainable: str) -> int:
    """The place of the first trained layer."""
    if trainable in ("all", "scratch"):
        return 0
    pool = _place_of_pool(model)
    if trainable == "head":
        return pool
    if share := re.fullmatch(r"(\d+) ?%", trainable):
        return _whole(model, round(pool * (1 - int(share[1]) / 100)))
    for index, layer in enumerate(model.layers):
        if layer.name.startswith(f"block{trainable}"):
            return _whole(model, index)
    raise TrainingError(f"{model.name} has no block {trainable!r} to train from.")


def _whole(model: Any, first: int) -> int:
    """The last place at or before `first` where a block begins: one activation enters, from another block.

    The first of all where what enters is the picture, so that nothing would be frozen.
    """
    places = [BLOCK.match(layer.name) for layer in model.layers]
    blocks = [place[1] if place else None for place in places]
    for index in range(first, 0, -1):
        begins = blocks[index] is None or blocks[index] != blocks[index - 1]
        if begins and len(entering := _entering(model, index)) == 1 and model.inputs[0] not in entering:
            return index
    return 0
