"""Which layers a stage trains, and the network cut in two where the trained ones begin."""

from dataclasses import dataclass
from typing import Any

from training.recipe import TrainingError


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
    """Train the head and whole blocks from `trainable` on; BatchNorm of the backbone stays frozen.

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
        frozen_norm = index < pool and isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = index >= first and not frozen_norm


def cut(model: Any, trainable: str) -> Cut | None:
    """The network in two where the trained layers begin, or None where all are trained.

    Also None where more than one activation enters the trained layers, so that no one place can be cut.
    """
    import keras

    # What is pooled is a fraction of what enters the pooling, and there are no weights in between.
    first = _place_of_pool(model) + 1 if trainable == "head" else _first(model, trainable)
    after = set(model.layers[first:])
    entering = {
        # The first node is the network's own; others come from graphs that share the layer.
        tensor: tensor._keras_history.operation
        for layer in model.layers[first:]
        for tensor in layer._inbound_nodes[0].input_tensors
        if tensor._keras_history.operation not in after
    }
    if len(entering) != 1:
        return None
    ((tensor, layer),) = entering.items()
    return Cut(keras.Model(model.input, tensor), keras.Model(tensor, model.output), layer.name)


def _place_of_pool(model: Any) -> int:
    return [layer.name for layer in model.layers].index("pool")


def _first(model: Any, trainable: str) -> int:
    """The place of the first trained layer."""
    if trainable == "all":
        return 0
    if trainable == "head":
        return _place_of_pool(model)
    for index, layer in enumerate(model.layers):
        if layer.name.startswith(f"block{trainable}"):
            return index
    raise TrainingError(f"{model.name} has no block {trainable!r} to train from.")
