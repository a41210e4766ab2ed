"""A network run once, as whole as its backend runs it well."""

from typing import Any

import numpy as np


def forward(model: Any, pictures: np.ndarray) -> np.ndarray:
    """What a model says of pictures (B, S, S, 3), in inference mode."""
    import keras

    if keras.backend.backend() == "jax":
        # Called, it would be compiled operation by operation, each in its own program.
        return np.asarray(model.predict_on_batch(pictures))
    return np.asarray(keras.ops.convert_to_numpy(model(pictures, training=False)))
