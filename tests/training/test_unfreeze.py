"""Blocks are trained whole, from the one named on; BatchNorm of the backbone never."""

import keras
import numpy as np
import pytest

from models import graphs
from tests.training import studies
from training import data
from training.cache import Cache
from training.freeze import cut, unfreeze
from training.job import Job
from training.recipe import Stage, TrainingError
from training.stages import Trained
from training.start import start

BLOCKS = ["1a", "2a", "2b", "3a", "3b", "4a", "4b", "4c", "5a", "5b", "5c", "6a", "6b", "6c", "6d", "7a"]


@pytest.fixture(scope="module")
def b0():
    """EfficientNet-B0 with BatchNorms that are not at their defaults."""
    keras.utils.set_random_seed(1)
    model = graphs.build("EfficientNetB0", 32, 1, head_norm=True)
    random = np.random.default_rng(1)
    for layer in norms_of(model):
        layer.gamma.assign(random.uniform(0.8, 1.2, layer.gamma.shape))
        layer.moving_mean.assign(random.normal(0, 0.1, layer.moving_mean.shape))
        layer.moving_variance.assign(random.uniform(0.5, 1.5, layer.moving_variance.shape))
    return model


def norms_of(model) -> list:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def place_of(variable_or_layer: str) -> str:
    """`5c` for what belongs to that block, else the word before the first underscore (stem, top, head, logits)."""
    return variable_or_layer.removeprefix("block").replace("/", "_").split("_")[0]


@pytest.mark.parametrize(
    ("trainable", "expected"),
    [
        ("all", ["stem", *BLOCKS, "top", "head", "logits"]),
        ("5", [*BLOCKS[8:], "top", "head", "logits"]),
        ("6b", [*BLOCKS[12:], "top", "head", "logits"]),
        ("head", ["head", "logits"]),
    ],
)
def test_whole_blocks_are_trained_and_nothing_before(b0, trainable, expected):
    unfreeze(b0, trainable)
    trained = {variable.path for variable in b0.trainable_variables}
    assert sorted({place_of(path) for path in trained}) == sorted(expected)
    norms = {variable.path for layer in norms_of(b0) for variable in layer.variables}
    for variable in b0.variables:
        place = place_of(variable.path)
        learnt = not any(word in variable.path for word in ("moving_", "normalization", "dropout", "seed", "drop/"))
        frozen = variable.path in norms and place != "head"
        assert (variable.path in trained) == (place in expected and learnt and not frozen), variable.path


def test_a_block_that_is_not_there_is_one_sentence(b0):
    with pytest.raises(TrainingError, match="no block '9'"):
        unfreeze(b0, "9")


def test_a_block_that_is_entered_in_two_places_is_trained_with_what_enters_it():
    """What is frozen is one part, which drops nothing: a branch beside the block is none of it."""
    image = keras.Input((8, 8, 3))
    first = keras.layers.Dropout(0.5, name="block1_drop")(keras.layers.Conv2D(4, 1, name="block1_conv")(image))
    branch = keras.layers.Conv2D(4, 1, name="branch")(first)
    block = keras.layers.Conv2D(4, 1, name="block2_conv")(first)
    pool = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.Add(name="block2_add")([branch, block]))
    model = keras.Model(image, keras.layers.Dense(2, name="logits")(pool))
    unfreeze(model, "2")
    assert {place_of(variable.path) for variable in model.trainable_variables} == {"branch", "2", "logits"}
    parts = cut(model, "2")
    assert parts is not None
    assert parts.name == "block1_drop"


def test_a_share_of_a_network_that_scales_its_pixels_is_whole_blocks():
    parts = cut(graphs.build("MobileNet", 32, 2), "90 %")
    assert parts is not None
    assert parts.name == "conv_pw_1"


def test_training_from_block_2_moves_it_and_what_follows_and_no_backbone_batchnorm(tiny_weights, hub_folder, tmp_path):
    table = studies.recipe(architecture="TinyNet", head_norm=True, batch_size=16)
    model = graphs.build("TinyNet", 32, 1, head_norm=True)
    start(model, "TinyNet", str(tiny_weights))
    split = data.load(str(hub_folder), "train", table.labels, 32)
    before = {variable.path: variable.numpy() for variable in model.variables}
    stage = Stage(1, "2")
    job = Job(table, "steady", table.plans["steady"], (stage,), 1, split, split, {}, "", tmp_path)
    Trained(model, job, stage, Cache(tmp_path), print).epoch(0)
    moved = {
        variable.path for variable in model.variables if not np.array_equal(before[variable.path], variable.numpy())
    }
    moved -= {path for path in moved if "seed" in path}
    assert sorted({place_of(path) for path in moved}) == ["2a", "head", "logits", "top"]
    kernels = {path for path in before if path.endswith("kernel") and place_of(path) == "2a"}
    assert kernels <= moved
    backbone_norms = [layer for layer in norms_of(model) if layer.name != "head_norm"]
    assert len(backbone_norms) == 7
    assert not moved & {variable.path for layer in backbone_norms for variable in layer.variables}
    assert {variable.path for layer in norms_of(model)[-1:] for variable in layer.variables} <= moved
