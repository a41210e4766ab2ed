"""Models that a visitor may bring."""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np

from explain import photo
from tests.explain.networks import few
from ui import samples

SIZE = 64


def nested(path: Path, units: int = 2, size: int = SIZE) -> keras.Model:
    """The tutorial's: a thin EfficientNet in a Sequential, with what a training on the samples leaves."""
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(2)
    backbone = few(size)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(random.uniform(0.7, 1.3, layer.gamma.shape))
            layer.momentum = 0.0
        elif isinstance(layer, keras.layers.Normalization):
            layer.adapt_mean.assign([0.485, 0.456, 0.406])
            layer.adapt_variance.assign([0.229**2, 0.224**2, 0.225**2])
            layer.finalize_state()
    model = keras.Sequential(
        [keras.Input((size, size, 3)), backbone, keras.layers.GlobalAveragePooling2D(), _head(units)]
    )
    seen = [photo.see(photo.read(sample.path), size) for sample in samples.samples()[:4]]
    model(np.stack(seen).astype("float32"), training=True)
    model.save(path)
    return model


def untrained(path: Path) -> None:
    """Weights as they were drawn."""
    image = keras.Input((SIZE, SIZE, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(few(SIZE)(image))
    keras.Model(image, keras.layers.Dense(2)(pooled)).save(path)


def long_names(path: Path) -> None:
    """Four convolutions whose layers are called at length."""
    keras.utils.set_random_seed(3)
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    for number in range(1, 5):
        x = keras.layers.Conv2D(8, 3, 2, padding="same", activation="relu", name=f"convolution_number_{number}")(x)
    keras.Model(image, _head(2)(keras.layers.GlobalAveragePooling2D()(x))).save(path)


def _head(units: int) -> keras.layers.Layer:
    """As a training leaves it: nobody's biases are zero."""
    return keras.layers.Dense(units, bias_initializer=keras.initializers.RandomNormal(0, 0.3))


def with_a_program(path: Path) -> None:
    """A network with a Lambda layer, which would write a file beside it."""
    nested(path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    config["config"]["layers"].insert(1, {"module": "keras.layers", "class_name": "Lambda", "config": {}})
    files["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
