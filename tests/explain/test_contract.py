"""One contract for every method over every kind of model: its targets, batches, threads, and what it leaves behind."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import keras
import numpy as np
import pytest

from explain import Explainer, perturbation
from explain.formulas import FORMULAS
from explain.layers import layers_of
from explain.perturbation import PERTURBATIONS
from tests.explain.kinds import KINDS, OTHERS, PICTURES, parts, state

LINEAR = ("grad_cam", "hires_cam", "xgrad_cam")
METHODS = (*FORMULAS, *PERTURBATIONS)
CLOSE = 1e-4
WRITTEN = ("flat", "mixed float16")
"""Of the ways to write the same network those that differ most: test_network.py holds that all become one graph."""


@pytest.fixture(scope="module", autouse=True)
def _few_forwards():
    """As many squares and masks as show a mistake."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(perturbation, "occlusion", partial(perturbation.occlusion, side=32, step=16))
        patch.setattr(perturbation, "rise", partial(perturbation.rise, masks=16))
        yield


@pytest.fixture(scope="module", params=[*WRITTEN, *OTHERS])
def kind(request):
    """A model, what it was before anybody explained it, its explainer, and each picture explained for two classes."""
    keras.utils.set_random_seed(4)
    build, options = OTHERS.get(request.param) or (KINDS[request.param], {})
    model = build()
    for layer in parts(model):
        if isinstance(layer, keras.layers.Normalization) and hasattr(layer, "adapt_mean"):
            layer.adapt_mean.assign([0.485, 0.456, 0.406])
            layer.adapt_variance.assign([0.05, 0.05, 0.05])
            layer.finalize_state()
    before = state(model)
    # Two layers of few channels, for each of which Score-CAM and Ablation-CAM take a forward; of such layers the deeper
    # ones, as what is behind each is traced.
    layers = layers_of(model) if request.param in OTHERS else ()
    narrow = sorted(layers, key=lambda layer: (layer.shape[2], -layer.stride))
    names = [layer.name for layer in narrow[:2]] or ["2a", "2b"]
    explainer = Explainer(model, layers=names, **options)
    alone = {(n, target): explainer(PICTURES[n], [target], METHODS, seed=n) for n in (0, 1) for target in (0, 1)}
    return model, before, explainer, alone


def _same(found, alone, close=CLOSE):
    """One target of one explanation against another, method by method, layer by layer."""
    np.testing.assert_allclose(found.logits, alone.logits, rtol=1e-4, atol=1e-5)
    assert tuple(found.maps) == METHODS
    for method, layers in alone.maps.items():
        for layer, maps in layers.items():
            mine = found.maps[method][layer][found.targets.index(alone.targets[0])]
            assert mine.dtype == np.float32
            assert np.isfinite(mine).all(), (method, layer)
            assert np.abs(mine - maps[0]).max() <= close * np.abs(maps).max(), (method, layer)


def test_every_method_gives_each_target_its_map(kind):
    _, _, explainer, alone = kind
    for number, picture in enumerate(PICTURES[:2]):
        together = explainer(picture, [1, 0], METHODS, seed=number)
        assert together.targets == (explainer.labels[1], explainer.labels[0])
        for target in (0, 1):
            _same(together, alone[number, target])
    for method in METHODS:
        maps = [alone[0, target].maps[method] for target in (0, 1)]
        differ = any(np.abs(maps[0][layer] - maps[1][layer]).max() > 0 for layer in maps[0])
        # Score-CAM weighs all channels alike where no mask makes a difference, as in networks that never trained.
        assert method == "score_cam" or differ == (method != "eigen_cam"), method


def test_every_method_gives_maps_of_the_layer_or_of_the_picture(kind):
    _, _, explainer, alone = kind
    shapes = {layer.name: layer.shape[:2] for layer in explainer.layers} | {"image": (explainer.size,) * 2}
    for method, layers in alone[0, 0].maps.items():
        assert list(layers) == (["image"] if method in ("occlusion", "rise") else list(shapes)[:-1])
        for layer, maps in layers.items():
            assert maps.shape == (1, *shapes[layer])


def test_a_batch_is_a_loop_for_every_method(kind):
    _, _, explainer, alone = kind
    batch = list(explainer.batch(PICTURES[:2], [[1], [0, 1]], METHODS[:-1]))
    assert [len(found.targets) for found in batch] == [1, 2]
    for found, key in ((batch[0], (0, 1)), (batch[1], (1, 0)), (batch[1], (1, 1))):
        for method in METHODS[:-1]:
            for layer, maps in alone[key].maps[method].items():
                mine = found.maps[method][layer][found.targets.index(alone[key].targets[0])]
                assert np.abs(mine - maps[0]).max() <= CLOSE * np.abs(maps).max(), (method, layer)


def test_the_same_call_gives_the_same_maps_for_every_method(kind):
    _, _, explainer, alone = kind
    _same(explainer(PICTURES[1], [0], METHODS, seed=1), alone[1, 0], 1e-6)


def test_threads_get_their_own_maps_from_every_method(kind):
    _, _, explainer, alone = kind
    with ThreadPoolExecutor(4) as pool:
        calls = {
            key: pool.submit(explainer, PICTURES[key[0]], [key[1]], METHODS, seed=key[0])
            for key in [(n, target) for n in (0, 1) for target in (0, 1)]
        }
        for key, call in calls.items():
            _same(call.result(), alone[key])


def test_maps_are_linear_in_the_logits(kind):
    """map(2 a) = 2 map(a) and map(a - b) = map(a) - map(b), for the formulas that are linear in the gradient."""
    _, _, explainer, alone = kind
    image = alone[0, 0].seen[None].astype("float32")
    units = 1 if explainer.labels == ("no", "yes") else len(explainer.labels)
    a, b = np.random.default_rng(5).normal(size=(2, 1, 1, units)).astype("float32")

    def maps(row):
        found = explainer._engine(image, row)
        pairs = {name: (found.activations[name], found.gradients[name][:, 0]) for name in found.activations}
        return {(method, name): FORMULAS[method](*pair) for method in LINEAR for name, pair in pairs.items()}

    of_a, of_b, of_twice, of_difference = (maps(row) for row in (a, b, 2 * a, a - b))
    for key, values in of_a.items():
        size = np.abs(values).max() + np.abs(of_b[key]).max()
        assert size > 0, key
        assert np.abs(of_twice[key] - 2 * values).max() <= CLOSE * size, key
        assert np.abs(of_difference[key] - (values - of_b[key])).max() <= CLOSE * size, key


def test_no_method_leaves_a_trace_in_the_model(kind):
    model, before, *_ = kind
    assert state(model) == before
