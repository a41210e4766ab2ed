"""What is frozen is computed once, and a training that uses it again is the training that computed it each time."""

import errno
import os
from dataclasses import replace

import keras
import numpy as np
import pytest

from models import graphs
from tests.training import studies
from tests.training.runs import Training, assert_same_end, same
from tests.training.test_resume import kill
from training import cache, features, freeze, stages, start, views
from training.cache import Cache, Store
from training.features import Features
from training.recipe import Stage
from training.setup import MIXED

# Features are stored with 11 significant bits.
TOLERANCE = 2e-3
WEIGHTS = 1e-4


@pytest.fixture(scope="module")
def built(tiny_weights):
    keras.utils.set_random_seed(3)
    model = graphs.build("TinyNet", 32, 2)
    start.start(model, "TinyNet", str(tiny_weights))
    return model


@pytest.fixture
def network(built):
    """TinyNet with weights that are none at the defaults, whatever the test before made of them."""
    weights = built.get_weights()
    yield built
    built.set_weights(weights)


@pytest.fixture
def mixed():
    """What is built within computes in bfloat16."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(MIXED)
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture
def pictures() -> np.ndarray:
    """(11, 40, 40, 3): more than one chunk, and not a whole number of them."""
    return np.stack([studies.picture(number % 2, number) for number in range(11)])


def in_two():
    """One epoch of the head, three from block 2 on, two views of each picture."""
    stages = Stage(1, "head", views=2), Stage(3, "2", 2.0, views=2)
    return studies.recipe(architecture="TinyNet", stages=stages, head_norm=True)


@pytest.fixture
def training(hub_folder, tiny_weights, tmp_path):
    """A training of an EfficientNet that has not begun."""
    return Training(tmp_path / "run", hub_folder, tiny_weights)


@pytest.fixture(scope="module")
def kept(hub_folder, tiny_weights, tmp_path_factory):
    """Trained with features kept."""
    return Training(tmp_path_factory.mktemp("kept") / "run", hub_folder, tiny_weights)(in_two())


def losses(training) -> np.ndarray:
    return np.array([[float(row["loss"]), float(row["val_loss"])] for row in training.history])


def test_features_kept_train_what_the_whole_network_trains(training, kept, monkeypatch):
    monkeypatch.setattr(stages, "cut", lambda model, trainable: None)
    training(in_two())
    assert np.allclose(losses(training), losses(kept), atol=TOLERANCE)
    assert same(training.last, kept.last, WEIGHTS)
    moved = max(np.abs(last - first).max() for last, first in zip(kept.last, kept.first, strict=True) if last.ndim > 1)
    assert moved > 20 * WEIGHTS
    # The first stage needs one view, the second two, of which it uses one twice.
    assert len(kept.batches) == (1 + 2) * 2
    assert len(training.batches) == (1 + 3) * 2


def test_a_training_with_another_optimizer_finds_the_features_of_the_first(training, kept, monkeypatch):
    training.cache = kept.cache
    stage = Stage(1, "head", views=2)

    def refuse(*_):
        raise AssertionError("A feature was computed again.")

    monkeypatch.setattr(stages, "forward_of", lambda *_: refuse)
    training(replace(in_two(), stages=(stage,)), run="adam")
    assert not training.batches


def test_a_training_killed_within_a_stage_of_kept_features_goes_on_to_the_same_end(training, kept):
    kill(training, 3, batch=1, recipe=in_two())
    training(in_two(), resume=True)
    assert_same_end(training, kept)


def test_features_that_are_too_large_are_computed_each_time_and_the_training_is_the_same(training, kept):
    training.cache = Cache(training.out.parent / "features", 500)
    training(replace(in_two(), stages=in_two().stages[:1]))
    said = [line for line in training.said if "is not kept" in line]
    assert len(said) == 2
    assert said[0].endswith("they would take 0.0 GB, and 0.0 GB are allowed.")
    assert np.allclose(losses(training), losses(kept)[:1], atol=TOLERANCE)


@pytest.mark.parametrize(("trainable", "name"), [("head", "pool"), ("2", "block1a_add"), ("1", "stem_activation")])
def test_openvino_gives_the_features_of_keras_in_inference(network, pictures, trainable, name):
    parts = freeze.cut(network, trainable)
    assert parts.name == name
    seen = views.plain(pictures, 32)(range(11), 0)
    theirs = np.asarray(parts.front(seen.astype("float32"), training=False))
    for forward in (features._openvino(network, parts), features._keras(parts)):
        assert np.allclose(forward(seen), theirs, atol=1e-5 * np.abs(theirs).max())
    # The two parts are the whole.
    assert np.allclose(parts.rest(theirs), network(seen.astype("float32")), atol=1e-5)


def test_what_a_network_holds_on_a_gpu_is_brought_over_for_openvino(network, pictures, monkeypatch):
    class Far:
        """A tensor of PyTorch on a GPU, or in bfloat16: Keras brings it over, NumPy cannot."""

        def __init__(self, near):
            self.near = near

        def __array__(self, *_, **__):
            raise TypeError

    parts, bring = freeze.cut(network, "2"), keras.ops.convert_to_numpy
    wanted = features._openvino(network, parts)(pictures[:, :32, :32])
    layer = next(layer for layer in network.layers if isinstance(layer, keras.layers.Normalization))
    for name in ("mean", "variance"):
        monkeypatch.setattr(layer, name, Far(getattr(layer, name)))
    monkeypatch.setattr(keras.ops, "convert_to_numpy", lambda x: bring(x.near if isinstance(x, Far) else x))
    assert np.array_equal(features._openvino(network, parts)(pictures[:, :32, :32]), wanted)


def test_a_network_that_openvino_does_not_know_runs_in_keras():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="block1_conv")(image)
    x = keras.layers.Conv2D(4, 3, name="block2_conv")(x)
    pool = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, keras.layers.Dense(2, name="logits")(pool))
    parts = freeze.cut(model, "2")
    seen = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype="uint8")
    assert np.allclose(features.forward_of(model, parts)(seen), parts.front(seen.astype("float32")), rtol=1e-5)


def test_a_network_of_which_no_part_can_be_frozen_is_trained_whole_and_not_cut(network):
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(3, 1, name="block1_conv")(image)
    y = keras.layers.Conv2D(3, 1, name="block2_conv")(x)
    pool = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.add([image, y]))
    model = keras.Model(image, keras.layers.Dense(2, name="logits")(pool))
    assert freeze.cut(model, "2") is None
    freeze.unfreeze(model, "2")
    assert len(model.trainable_variables) == 6
    assert freeze.cut(network, "all") is None


def features_of(network, pictures, tmp_path, said, scale=1.0, most=cache.MOST, first="2", **changes) -> Features:
    parts = freeze.cut(network, first)
    facts = {"augmentation": studies.recipe().augmentation, "size": 32, "seed": 0, "count": 2}
    source = views.Views(pictures, **(facts | changes))

    def forward(seen: np.ndarray) -> np.ndarray:
        return features._keras(parts)(seen) * scale

    return Features(parts, source, Cache(tmp_path, most), forward, said.append)


def test_weights_pictures_and_views_decide_which_features_are_found(network, pictures, tmp_path, monkeypatch):
    said = []
    kinds = [{}, {"seed": 1}, {"count": 3}, {"size": 24}, {"augmentation": views.PLAIN}]
    for kind in kinds:
        features_of(network, pictures, tmp_path, said, **kind)
    features_of(network, pictures[::-1], tmp_path, said)
    network.get_layer("stem_conv").kernel.assign_add(np.full((3, 3, 3, 8), 1e-3))
    features_of(network, pictures, tmp_path, said)
    assert len(list(tmp_path.glob("*.features"))) == len(kinds) + 2
    # The head is trained meanwhile.
    network.get_layer("logits").bias.assign([1.0, 2.0])
    features_of(network, pictures, tmp_path, said)
    assert len(list(tmp_path.glob("*.features"))) == len(kinds) + 2
    # Another version makes another view of the same.
    see = views.view
    monkeypatch.setattr(views, "view", lambda *facts: see(*facts) ^ 1)
    features_of(network, pictures, tmp_path, said)
    assert len(list(tmp_path.glob("*.features"))) == len(kinds) + 3
    assert not said


def test_features_in_bfloat16_are_not_found_by_a_training_in_float32(network, pictures, tmp_path, mixed):
    half = graphs.build("TinyNet", 32, 2)
    graphs.copy_weights(network, half)
    for one in (network, half, network, half):
        features_of(one, pictures, tmp_path, [])
    assert len(list(tmp_path.glob("*.features"))) == 2


def test_a_training_that_goes_on_finds_them_whatever_its_dropout_draws(pictures, tmp_path):
    """Its blocks drop out whole, also those that are frozen."""
    network = graphs.build("EfficientNetB0", 32, 2)
    for epoch in (0, 5):
        stages.reseed(network, 0, epoch)
        features_of(network, pictures, tmp_path, [], first="3")
    assert len(list(tmp_path.glob("*.features"))) == 1


def test_what_was_not_written_to_disk_is_computed_anew(network, pictures, tmp_path):
    whole = features_of(network, pictures, tmp_path, [])([3, 4, 3], 1)
    assert whole.dtype == "float32"
    # Its process ended before the epoch did.
    lost = features_of(network, pictures, tmp_path, [])
    assert not lost._store.known.any()
    assert np.array_equal(lost([3, 4, 3], 1), whole)
    lost.keep()
    found = features_of(network, pictures, tmp_path, [], scale=np.nan)
    assert np.array_equal(found([4, 3], 3), whole[[1, 0]])
    assert np.isnan(found([5], 1)).all()


def test_features_may_be_removed_while_a_training_has_them(tmp_path):
    cache, ones = Cache(tmp_path), np.ones((2, 3))
    first = Store(cache, "a", (1, 10, 3))
    first.put(0, np.array([0, 1]), ones)
    for file in tmp_path.iterdir():
        file.unlink()
    second = Store(cache, "a", (1, 10, 3))
    second.put(0, np.array([2, 3]), ones)
    for store in (second, first):
        store.keep()
    found = Store(cache, "a", (1, 10, 3))
    assert found.known.nonzero()[1].tolist() == [2, 3]
    assert np.array_equal(found.values[0, 2:4], ones)


def test_trainings_that_share_features_find_what_either_has_kept(tmp_path):
    both = [Store(Cache(tmp_path), "a", (2, 10, 3)) for _ in range(2)]
    for place, store in enumerate(both):
        store.put(place, np.array([place]), np.full((1, 3), place))
    for store in both:
        store.keep()
    found = Store(Cache(tmp_path), "a", (2, 10, 3))
    assert [place.tolist() for place in found.known.nonzero()] == [[0, 1], [0, 1]]


def test_features_beyond_float16_are_not_kept(network, pictures, tmp_path):
    said = []
    plain = features_of(network, pictures, tmp_path / "plain", said)([1, 2], 0)
    factor = 70_000 / np.abs(plain).max()
    large = features_of(network, pictures, tmp_path / "large", said, scale=factor)
    assert np.allclose(large([1, 2], 0), plain * factor, rtol=1e-3, atol=70)
    assert said == [
        "What the frozen layers make of the pictures is not kept, but computed in every epoch: "
        "they are too large for 16 bits."
    ]


def test_a_full_disk_is_a_sentence(network, pictures, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    said = []
    kept = features_of(network, pictures, tmp_path, said)
    assert said[0].endswith("No space left on device.")
    assert not list(tmp_path.iterdir())
    assert np.isfinite(kept([0], 0)).all()


def test_the_features_used_longest_ago_make_room(tmp_path):
    # Two bytes for each number, and one for each picture.
    small = Cache(tmp_path, most=3 * (2 * 100 + 10))
    for second, name in enumerate("abc"):
        Store(small, name, (1, 10, 10)).keep()
        os.utime(tmp_path / f"{name}.features", (second, second))
    Store(small, "a", (1, 10, 10))
    Store(small, "d", (1, 20, 10))
    assert sorted(file.name for file in tmp_path.glob("*.features")) == ["a.features", "d.features"]
    with pytest.raises(OSError, match="are allowed"):
        Store(small, "e", (1, 31, 10))
    assert len(list(tmp_path.glob("*.features"))) == 2
