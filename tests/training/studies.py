"""A small study: made pictures that a small network can tell apart, in every layout that a data set comes in."""

import io
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pyarrow
import pyarrow.parquet as parquet
from PIL import Image

from tests.explain.networks import TINY_BLOCKS, tiny
from training.recipe import Augmentation, Optimizer, Plan, Recipe, Stage

LABELS = ("cat", "dog")
SIDE = 40

BLOCKS = [TINY_BLOCKS[0], TINY_BLOCKS[2]]
"""One MBConv block without expansion and one with a stride."""


def tiny_net(include_top: bool, weights: str | None, input_shape: tuple[int, int, int]) -> keras.Model:
    """An EfficientNet as `keras.applications` has them, thin enough to be trained in a test."""
    assert not include_top
    assert weights is None
    return tiny(input_shape[0], blocks=BLOCKS)


def plain_net(include_top: bool, weights: str | None, input_shape: tuple[int, int, int]) -> keras.Model:
    """A full and a separable convolution: traced in half of the time, where it need be no EfficientNet.

    What it takes off each pixel, and divides it by, is among its weights, as in one.
    """
    image = keras.Input(input_shape)
    x = keras.layers.Normalization(name="normalization")(image)
    x = keras.layers.Conv2D(8, 3, 2, name="block1_conv")(x)
    x = keras.layers.BatchNormalization(name="block1_bn")(x)
    x = keras.layers.Activation("relu", name="block1_activation")(x)
    x = keras.layers.DepthwiseConv2D(3, 2, use_bias=False, name="block2_dwconv")(x)
    x = keras.layers.Conv2D(8, 1, name="block2_conv")(x)
    x = keras.layers.BatchNormalization(name="block2_bn")(x)
    x = keras.layers.Activation("relu", name="block2_activation")(x)
    return keras.Model(image, x, name="plain")


def recipe(**changes) -> Recipe:
    """Two stages, the head first; runs `sgd`, `adam` and `steady`."""
    table = {
        "task": "made",
        "labels": LABELS,
        "units": 1,
        "stages": (Stage(2, "head"), Stage(2, "all", rate=0.5)),
        "batch_size": 8,
        "augmentation": Augmentation(rotation=40, shear=0.2, zoom=0.2, shift=0.1, flip=True),
        "plans": {
            "sgd": Plan(Optimizer("SGD", 0.01, options={"momentum": 0.9})),
            "adam": Plan(Optimizer("Adam", 0.01, tried=(0.1, 0.01, 0.001))),
            "steady": Plan(Optimizer("SGD", 0.01, schedule="constant"), steps=1, batch_size=4),
        },
        "hub": "nobody/made",
        "original": "none",
        "architecture": "PlainNet",
        "input_size": 32,
    }
    return Recipe(**(table | changes))


def picture(label: int, number: int, side: int = SIDE) -> np.ndarray:
    """(side, side, 3) uint8: upright stripes for cats, level ones for dogs, in noise."""
    random = np.random.default_rng((label, number))
    phase = np.arange(side) * 2 * np.pi / 8 + random.uniform(0, 6)
    stripes = np.broadcast_to(np.sin(phase) * 80 + 128, (side, side))
    stripes = stripes.T if label else stripes
    noisy = stripes[..., None] + random.normal(0, 20, (side, side, 3))
    return noisy.clip(0, 255).astype("uint8")


def png(pixels: np.ndarray) -> bytes:
    """The bytes of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def rows_of(counts: tuple[int, ...], first: int = 0, classes: tuple[int, ...] = (0, 1)) -> list[tuple[str, bytes, int]]:
    """(name, PNG, label) of made pictures: `counts[i]` of class i, stored under the number `classes[i]`."""
    return [
        (f"{label}-{number}.png", png(picture(label, first + number)), classes[label])
        for label, count in enumerate(counts)
        for number in range(count)
    ]


def features_of(image: str = "image", **columns: tuple[str, ...]) -> dict:
    """The schema's features: an image, and class labels by column."""
    return {image: {"_type": "Image"}} | {
        name: {"names": list(names), "_type": "ClassLabel"} for name, names in columns.items()
    }


def write_parquet(file: Path, rows: list[tuple[str, bytes, int]], features: dict, **more: list[int]) -> None:
    """A parquet file in the Hub's layout; the rows' label goes to the first class column, `more` to others."""
    image = next(name for name, feature in features.items() if feature["_type"] == "Image")
    label = next(name for name, feature in features.items() if feature["_type"] == "ClassLabel")
    table = pyarrow.table(
        {
            image: [{"bytes": content, "path": name} for name, content, _ in rows],
            label: [index for _, _, index in rows],
            **more,
        }
    )
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table.replace_schema_metadata(metadata), file)


def write_hub(folder: Path, first: int = 0) -> Path:
    """16 training, 8 validation and 10 test pictures in Hub layout, others from another first one on."""
    for split, count in (("train", 8), ("validation", 4), ("test", 5)):
        write_parquet(
            folder / "data" / f"{split}-00000-of-00001.parquet",
            rows_of((count, count), first),
            features_of(label=LABELS),
        )
        first += count
    return folder


def leak(source: Path, folder: Path, split: str, counts: tuple[int, ...]) -> Path:
    """A copy of what `write_hub` wrote whose split is 4 other pictures and so many of each class to train on."""
    shutil.copytree(source, folder)
    file = next(folder.rglob(f"{split}-*.parquet"))
    write_parquet(file, [*rows_of(counts), *rows_of((2, 2), 50)], features_of(label=LABELS))
    return folder
