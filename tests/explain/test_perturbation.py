"""Every perturbation against its slow twin, one picture after the other in float64, and cases by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.ndimage import map_coordinates

from explain import EngineError, Explainer
from explain.perturbation import BATCH, ablation_cam, occlusion, rise, score_cam
from tests.explain.networks import classifier, few, photograph

SIZE = 28
random = np.random.default_rng(3)
PICTURE = random.uniform(0, 255, (SIZE, SIZE, 3)).astype("float32")
PIXELS = random.normal(0, 1 / SIZE, (2, SIZE, SIZE, 3))
ACTIVATIONS = random.normal(0, 1, (5, 5, BATCH + 3)).astype("float32")
# Interpolated, it is not quite constant any more.
ACTIVATIONS[:, :, 4] = 0.9
CELLS = random.normal(0, 1, (2, *ACTIVATIONS.shape))
STRIDE, OFFSET = 5.5, 3.5


def score(pictures):
    """Two classes, neither linear."""
    sums = np.einsum("byxc,tyxc->bt", pictures.astype("float64") / 64, PIXELS)
    return (3 * np.tanh(sums) + sums).astype("float32")


def score_behind(activations):
    sums = np.einsum("bhwc,thwc->bt", activations.astype("float64"), CELLS) / 9
    return (3 * np.tanh(sums) + sums).astype("float32")


def off(mine, reference):
    assert mine.shape == reference.shape
    assert mine.dtype == np.float32
    return np.abs(mine - reference).max() / np.abs(reference).max()


def test_score_cam_is_its_slow_twin():
    at = (np.indices((SIZE, SIZE)) - OFFSET) / STRIDE
    scores = []
    for k in range(ACTIVATIONS.shape[2]):
        mask = map_coordinates(ACTIVATIONS[:, :, k].astype("float64"), at, order=1, mode="nearest")
        contrast = mask.max() - mask.min()
        mask = (mask - mask.min()) / contrast if contrast > 1e-9 else np.zeros_like(mask)
        scores.append(score(PICTURE[None] * mask[None, :, :, None])[0].astype("float64"))
    black = score(np.zeros_like(PICTURE)[None])[0]
    slow = np.zeros((2, 5, 5))
    for t in range(2):
        rises = np.exp([one[t] - black[t] for one in scores])
        for k, share in enumerate(rises / rises.sum()):
            slow[t] += share * ACTIVATIONS[:, :, k]
    assert off(score_cam(PICTURE, ACTIVATIONS, score, STRIDE, OFFSET), slow) < 1e-5


def test_score_cam_by_hand():
    # The first channel lets the left pixel through, the second the right one; the logit is log 3 for white on the left.
    activations = np.array([[[2.0, -1.0], [0.0, 1.0]]], "float32")
    white = np.full((1, 2, 3), 255, "float32")

    def left(pictures):
        return np.log(3) * pictures[:, 0, 0, :1] / 255

    assert np.allclose(score_cam(white, activations, left, 1, 0), [[[0.75 * 2 - 0.25 * 1, 0.25 * 1]]])


def test_score_cam_masks_everything_where_no_pixel_sees_a_channel_s_contrast():
    """Of two cells one lies outside the picture."""
    activations, white = np.array([[[2.0, 1.0], [0.0, 1.0]]], "float32"), np.full((1, 2, 3), 255, "float32")
    found = score_cam(white, activations, lambda pictures: pictures[:, 0, 0, :1], 1, -1)
    assert np.allclose(found, [[[1.5, 0.5]]])


def test_ablation_cam_is_its_slow_twin():
    slow = np.zeros((2, 5, 5))
    for k in range(ACTIVATIONS.shape[2]):
        without = ACTIVATIONS.astype("float64")
        without[:, :, k] = 0
        drop = score_behind(ACTIVATIONS[None])[0].astype("float64") - score_behind(without[None])[0]
        for t in range(2):
            slow[t] += drop[t] * ACTIVATIONS[:, :, k]
    assert off(ablation_cam(ACTIVATIONS, score_behind), slow) < 1e-4


def test_ablation_cam_behind_a_mean_and_a_dense_layer_by_hand():
    # f = 3 mean A_1 - 2 mean A_2: without A_1 it loses 3 x 1, without A_2 it gains 2 x 2.
    activations = np.array([[[0.0, 4.0], [2.0, 0.0]]], "float32")

    def head(activations):
        return activations.mean(axis=(1, 2)) @ np.array([[3.0], [-2.0]])

    assert np.allclose(ablation_cam(activations, head), [[[-4 * 4, 3 * 2]]])


def test_occlusion_is_its_slow_twin():
    side, step = 8, 5
    whole = score(PICTURE[None])[0]
    drops = [[[[] for _ in range(SIZE)] for _ in range(SIZE)] for _ in range(2)]
    starts = (0, 5, 10, 15, 20)
    for y in starts:
        for x in starts:
            picture = PICTURE.copy()
            picture[y : y + side, x : x + side] = 127.5
            drop = whole - score(picture[None])[0]
            for t in range(2):
                for i in range(y, y + side):
                    for j in range(x, x + side):
                        drops[t][i][j].append(drop[t])
    slow = np.array([[[np.mean(drop) for drop in row] for row in rows] for rows in drops])
    assert off(occlusion(PICTURE, score, side, step), slow) < 1e-5


def test_squares_cover_the_whole_picture_whatever_its_size():
    for size in (3, 7, 20, 31):
        picture = np.zeros((size, size, 3), "float32")
        assert np.isfinite(occlusion(picture, lambda pictures: pictures.sum(axis=(1, 2))[:, :1])).all(), size


def test_occlusion_of_one_bright_pixel_by_hand():
    # Squares of one pixel: what is brighter than grey speaks for the class, black against it.
    picture = np.full((2, 2, 3), 127.5, "float32")
    picture[0, 1], picture[1, 0] = 255, 0
    found = occlusion(picture, lambda pictures: pictures.sum(axis=(1, 2))[:, :1], side=1, step=1)
    assert np.allclose(found, [[[0, 127.5], [-127.5, 0]]])


def test_rise_is_its_slow_twin():
    masks, cells, keep, seed = BATCH + 9, 7, 0.4, 11
    draw = np.random.default_rng(seed)
    drawn, scores = [], []
    for _ in range(masks):
        grid = (draw.random((cells, cells)) < keep).astype("float32")
        y, x = draw.integers(0, 4, 2)
        # One cell of four pixels more than the picture.
        large = np.asarray(Image.fromarray(grid).resize((32, 32), Image.Resampling.BILINEAR), "float64")
        drawn.append(large[y : y + SIZE, x : x + SIZE])
        scores.append(score((PICTURE * drawn[-1][:, :, None])[None])[0].astype("float64"))
    slow = np.zeros((2, SIZE, SIZE))
    for t in range(2):
        mean = np.mean([one[t] for one in scores])
        for mask, one in zip(drawn, scores, strict=True):
            slow[t] += (one[t] - mean) * mask / (keep * masks)
    assert off(rise(PICTURE, score, masks, cells, keep, seed), slow) < 1e-4


def test_rise_finds_the_pixels_that_count():
    def corner(pictures):
        return pictures[:, :8, :8].mean(axis=(1, 2, 3))[:, None] / 255

    found = rise(np.full_like(PICTURE, 255), corner, masks=600)[0]
    away = found[16:, 16:]
    assert found[:8, :8].mean() > 6 * np.abs(away).mean()


def test_rise_is_drawn_by_its_seed():
    one, again, other = (rise(PICTURE, score, masks=20, seed=seed) for seed in (4, 4, 5))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("method", "total"),
    [
        (lambda score, **more: score_cam(PICTURE, ACTIVATIONS, score, STRIDE, OFFSET, **more), BATCH + 3),
        (lambda _, **more: ablation_cam(ACTIVATIONS, score_behind, **more), BATCH + 3),
        (lambda score, **more: occlusion(PICTURE, score, 8, 4, **more), 36),
        (lambda score, **more: rise(PICTURE, score, masks=2 * BATCH, **more), 2 * BATCH),
    ],
    ids=("score_cam", "ablation_cam", "occlusion", "rise"),
)
def test_work_comes_in_batches_and_tells_its_progress(method, total):
    told, asked = [], []

    def watched(pictures):
        asked.append(len(pictures))
        return score(pictures)

    method(watched, progress=lambda done, of: told.append((done, of)))
    assert told == [(BATCH, total), (total, total)]
    assert all(count <= BATCH for count in asked)


NETWORK_SIZE = 32


@pytest.fixture(scope="module")
def model():
    return classifier(few(NETWORK_SIZE))


@pytest.fixture(scope="module")
def traced(model):
    return tf.function(lambda pictures: model(pictures, training=False), reduce_retracing=True)


@pytest.fixture(scope="module")
def photo():
    return photograph(NETWORK_SIZE)[0].astype("uint8")


def test_what_is_behind_a_layer_is_the_model_with_a_channel_switched_off(model, photo):
    """Without gamma and beta a channel of a block's projection is zero, in Keras' own forward pass."""
    found = Explainer(model, layers=("2a",))(photo, targets=[2, 0], methods=("ablation_cam",), keep=True)
    activations = found.evidence.activations["2a"][0]
    norm = model.get_layer("block2a_project_bn")
    gamma, beta = norm.gamma.numpy(), norm.beta.numpy()
    slow = 0
    for k in range(8):
        on = np.arange(8) != k
        norm.gamma.assign(gamma * on)
        norm.beta.assign(beta * on)
        without = model(found.seen[None].astype("float32"), training=False).numpy()[0]
        slow = slow + (found.logits - without)[[2, 0], None, None] * activations[:, :, k]
    norm.gamma.assign(gamma)
    norm.beta.assign(beta)
    assert off(found.maps["ablation_cam"]["2a"], slow) < 1e-3


def test_paths_past_the_layer_see_the_photograph_as_it_is(photo):
    """A concatenation: one half of the features leads past the layer that is ablated."""
    image = keras.Input((NETWORK_SIZE, NETWORK_SIZE, 3))
    x = keras.layers.Conv2D(3, 3, activation="relu", name="first")(keras.layers.Rescaling(1 / 255)(image))
    y = keras.layers.Conv2D(4, 3, activation="relu", name="second")(x)
    features = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(way) for way in (x, y)])
    hidden = keras.layers.Dense(5, activation="tanh", name="hidden")(features)
    branched = keras.Model(image, keras.layers.Dense(2, name="logits")(hidden))
    found = Explainer(branched)(photo, targets=[1], methods=("ablation_cam",), keep=True)
    activations = found.evidence.activations["second"][0]
    features = keras.Model(image, features)(found.seen[None].astype("float32"))[0].numpy()

    hidden, last = (branched.get_layer(name).kernel.numpy() for name in ("hidden", "logits"))

    def logit(features):
        return np.tanh(features @ hidden) @ last[:, 1]

    slow = sum((logit(features) - logit(features * (np.arange(7) != 3 + k))) * activations[:, :, k] for k in range(4))
    assert off(found.maps["ablation_cam"]["second"][0], slow) < 1e-3


@pytest.mark.parametrize("engine", ["tensorflow", "openvino"])
def test_perturbations_are_asked_for_by_name(model, traced, photo, engine):
    """The explainer gives each function the picture, the layer's place and the logits of the targets asked for."""
    explainer = Explainer(model, engine=engine, layers=("1a", "2b"))
    names = ("score_cam", "ablation_cam", "occlusion", "rise", "grad_cam")
    told = []
    found = explainer(
        photo, targets=[1, 0], methods=names, keep=True, seed=5, progress=lambda done, of: told.append((done, of))
    )
    image = found.seen.astype("float32")

    def logits(pictures):
        return traced(pictures).numpy()[:, [1, 0]]

    assert tuple(found.maps) == names
    for layer in found.layers:
        activations = found.evidence.activations[layer.name][0]
        slow = score_cam(image, activations, logits, layer.stride, layer.offset)
        assert off(found.maps["score_cam"][layer.name], slow) < 1e-3
        assert found.maps["ablation_cam"][layer.name].shape == (2, *layer.shape[:2])
    assert list(found.maps["occlusion"]) == list(found.maps["rise"]) == ["image"]
    # What a patch changes in a logit is here so little that the logit's rounding is a thousandth of it and more.
    assert off(found.maps["occlusion"]["image"], occlusion(image, logits)) < 1e-2
    assert off(found.maps["rise"]["image"], rise(image, logits, seed=5)) < 1e-3
    channels = sum(layer.shape[2] for layer in found.layers)
    assert told.count((channels, channels)) == 2
    assert told[-1] == (1000, 1000)


def test_evidence_for_one_class_of_one_unit_is_the_negative_of_the_other(photo):
    network = classifier(few(NETWORK_SIZE), units=1)
    explainer = Explainer(network, labels=("no", "yes"), layers=("2a",))
    found = explainer(photo, targets=("no", "yes"), methods=("ablation_cam", "occlusion"))
    for maps in found.maps.values():
        for no, yes in maps.values():
            assert np.array_equal(no, -yes)
            assert np.abs(yes).max() > 0
    slow = occlusion(found.seen.astype("float32"), lambda pictures: network(pictures, training=False).numpy())
    assert off(found.maps["occlusion"]["image"][1:], slow) < 1e-3


def test_an_unknown_method_names_all_of_them(model, photo):
    with pytest.raises(EngineError, match=r"no method 'cam'.*grad_cam, .*eigen_cam, .*score_cam, .*rise\."):
        Explainer(model)(photo, methods=("cam",))
