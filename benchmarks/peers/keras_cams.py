"""Grad-CAM in the libraries for Keras: tf-keras-vis and xplique.

Both are asked for one layer at a time: neither takes several. Explainers that can be made once are made once.
"""

from typing import Any

import numpy as np

from benchmarks.peers.task import Explain, Maps, Task

VERSIONS = ("tensorflow-cpu", "tensorflow", "keras", "tf-keras-vis", "xplique")
STAND_INS: list[str] = []


class Framework:
    """The network in Keras, loaded from its file."""

    def __init__(self, task: Task) -> None:
        import keras

        self.model: Any = keras.models.load_model(task.folder / "network.keras", compile=False)
        self.image = task.photograph[None]

    @property
    def logits(self) -> np.ndarray:
        """(U,), to be compared with those of the network that was handed over."""
        return np.asarray(self.model(self.image, training=False))[0]


def tf_keras_vis(framework: Framework, task: Task) -> Explain:
    """As in tf-keras-vis' Attentions example; maps stay at the layer's own size and scale, which is less work."""
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.scores import CategoricalScore

    explainer, score = Gradcam(framework.model, clone=False), CategoricalScore([task.target])

    def explain() -> Maps:
        return {
            name: np.asarray(
                explainer(
                    score,
                    framework.image,
                    penultimate_layer=layer,
                    seek_penultimate_conv_layer=False,
                    expand_cam=False,
                    normalize_cam=False,
                )
            )[0]
            for name, layer in task.layers.items()
        }

    return explain


def xplique(framework: Framework, task: Task) -> Explain:
    """As in xplique's Grad-CAM page, one explainer for each layer; its maps have the photograph's size."""
    from xplique.attributions import GradCAM

    explainers = {name: GradCAM(framework.model, conv_layer=layer, batch_size=1) for name, layer in task.layers.items()}
    target = np.eye(framework.model.output_shape[1], dtype=np.float32)[[task.target]]

    def explain() -> Maps:
        return {
            name: np.asarray(explainer.explain(framework.image, target))[0, ..., 0]
            for name, explainer in explainers.items()
        }

    return explain


CASES = {
    "tf-keras-vis, one layer at a time": tf_keras_vis,
    "xplique, one layer at a time": xplique,
}
