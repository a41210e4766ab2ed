"""The weights that a training starts from."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from models.graphs import backbone_of, copy_weights
from models.store import sha256
from training.recipe import TrainingError

ORIGINS = {
    "28b639abf3612fb5eb557070d126ad1a9a9fe601339e6f554945dd61124a6699": (
        "ImageNet weights (EfficientNet-PyTorch's B0, converted from TensorFlow's) up to block 7a's "
        "squeeze-and-excitation; block7a_project_conv, top_conv and their BatchNorms learned again on frozen features "
        "(Tiny ImageNet, Imagenette, Food-101 at 64 px, pet breeds)"
    )
}
"""Where weights files came from, by sha256."""


def start(model: Any, architecture: str, weights: str) -> dict[str, str]:
    """Load the backbone's weights into a graph of `models.graphs.build`.

    Args:
        weights: `imagenet` (Keras' own, downloaded once), a file for the backbone, or `random`.

    Returns:
        What the card says of them.

    Raises:
        TrainingError: if they cannot be had or belong to another network.
    """
    file = weights_file(weights)
    if file is None:
        return {"name": "random"} if weights == "random" else _imagenet(model, architecture)
    try:
        with warnings.catch_warnings():
            # For a file of another network Keras lists every layer that it misses before it gives up.
            warnings.simplefilter("ignore")
            backbone_of(model).load_weights(file)
    except Exception as error:
        raise TrainingError(f"{file.name} does not hold the weights of {architecture} without its head.") from error
    return described(file.name, sha256(file))


def weights_file(name: str) -> Path | None:
    """The file of base weights of that name; None for `imagenet` and `random`, which are no files.

    Raises:
        TrainingError: if there is none.
    """
    if name in ("imagenet", "random"):
        return None
    file = Path(name)
    if not file.is_file():
        raise TrainingError(f"There is no weights file {name}.")
    return file


def described(name: str, digest: str) -> dict[str, str]:
    """What the card says of a weights file: its name, its sha256 and, where it is known, where it came from."""
    known = {"origin": ORIGINS[digest]} if digest in ORIGINS else {}
    return {"name": name, "sha256": digest} | known


def _imagenet(model: Any, architecture: str) -> dict[str, str]:
    import keras

    network = getattr(keras.applications, architecture)
    try:
        donor = network(include_top=False, weights="imagenet", input_shape=model.input_shape[1:])
    except Exception as error:
        raise TrainingError(
            f"Keras' weights of {architecture} could not be fetched; they need the network once, "
            "or name a file with --weights."
        ) from error
    copy_weights(donor, backbone_of(model))
    _take_scale(model, donor)
    return {"name": "imagenet", "source": f"keras {keras.__version__}"}


def _take_scale(model: Any, donor: Any) -> None:
    """Fold the Rescaling that Keras puts after an EfficientNet's Normalization for ImageNet weights only into ours.

    (x - mean) / sqrt(variance) * scale = (x - mean) / sqrt(variance / scale ** 2), see tensorflow#49930.
    """
    import keras

    normalization = next((la for la in model.layers if isinstance(la, keras.layers.Normalization) and la.weights), None)
    if normalization is None:
        return
    kinds = [type(layer) for layer in donor.layers]
    follower = donor.layers[kinds.index(keras.layers.Normalization) + 1]
    mean, variance, count = normalization.get_weights()
    if isinstance(follower, keras.layers.Rescaling):
        variance = variance / np.square(follower.scale)
    normalization.set_weights([mean, variance, count])
    normalization.finalize_state()
