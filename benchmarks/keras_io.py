"""Grad-CAM as keras.io's tutorial has it, for the comparison."""

from typing import Any

import numpy as np


def make_gradcam_heatmap(image: np.ndarray, model: Any, layer: str, target: int) -> np.ndarray:
    """One layer's map (H, W) of one photograph (1, S, S, 3), rectified and scaled to a largest value of 1.

    The function of that name in https://keras.io/examples/vision/grad_cam/ (Chollet, 2020; Apache License 2.0), in
    its own steps: a new model for every map, run without tracing. NaN where no cell speaks for the target.
    """
    import keras
    import tensorflow as tf

    grad_model = keras.Model(model.input, [model.get_layer(layer).output, model.output])
    with tf.GradientTape() as tape:
        activations, predictions = grad_model(image)
        score = predictions[:, target]
    gradients = tape.gradient(score, activations)
    weights = tf.reduce_mean(gradients, axis=(0, 1, 2))
    heatmap = tf.squeeze(activations[0] @ tf.expand_dims(weights, -1))
    return (tf.maximum(heatmap, 0) / tf.math.reduce_max(heatmap)).numpy()
