"""Many photographs are explained as each of them alone, in order, a few at a time."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explain import Explainer, PhotoError, explainer, photo
from explain.methods import DEFAULT
from tests.explain.networks import classifier, few, photograph

SIZE = 32
PICTURES = [photograph(SIZE, seed=seed)[0].astype("uint8") for seed in range(7)]
WANTED = [[0], [1, 2], None, [2], [0, 1], None, [1]]


@pytest.fixture(scope="module")
def model():
    return classifier(few(SIZE))


@pytest.fixture
def side_by_side(monkeypatch):
    monkeypatch.setattr(explainer, "MANY", 3)
    monkeypatch.setattr(explainer.os, "cpu_count", lambda: 3)


@pytest.mark.parametrize("keep", [False, True])
def test_side_by_side_is_one_by_one(model, side_by_side, keep):
    methods = ("grad_cam", "layer_cam", "eigen_cam")
    one = Explainer(model, engine="openvino", layers=("2b", "top"))
    together = list(one.batch(PICTURES, WANTED, methods, keep))
    assert one._side_by_side[1] == 3
    assert one._side_by_side[0] is not one._engine
    for picture, wanted, found in zip(PICTURES, WANTED, together, strict=True):
        alone = one(picture, wanted, methods, keep)
        assert found.targets == alone.targets
        np.testing.assert_array_equal(found.seen, alone.seen)
        np.testing.assert_array_equal(found.logits, alone.logits)
        assert tuple(found.maps) == methods
        for method, layers in alone.maps.items():
            for layer, maps in layers.items():
                np.testing.assert_array_equal(found.maps[method][layer], maps)
        assert (found.evidence is not None) == keep
        if keep:
            np.testing.assert_array_equal(found.gates["2b"], alone.gates["2b"])


@pytest.mark.parametrize(
    ("engine", "threads", "photographs"), [("openvino", None, 2), ("openvino", 1, 7), ("tensorflow", None, 7)]
)
def test_few_photographs_one_thread_and_tensorflow_go_one_by_one(
    model, side_by_side, monkeypatch, engine, threads, photographs
):
    one = Explainer(model, engine=engine, threads=threads, layers=("2b",))
    asked = []
    monkeypatch.setattr(type(one._engine), "side_by_side", lambda *_: asked.append(1), raising=False)
    found = list(one.batch(PICTURES[:photographs], WANTED[:photographs]))
    assert not asked
    for picture, wanted, mine in zip(PICTURES, WANTED, found, strict=False):
        assert np.array_equal(mine.maps[DEFAULT]["2b"], one(picture, wanted).maps[DEFAULT]["2b"])


def test_photographs_are_read_as_they_are_needed(model, side_by_side, monkeypatch):
    one = Explainer(model, engine="openvino", layers=("top",))
    read = []
    see = one.see
    monkeypatch.setattr(one, "see", lambda picture: read.append(1) or see(picture))
    given = one.batch(PICTURES * 5, [[0]] * 35)
    assert not read
    for number, _ in enumerate(given, 1):
        assert number <= len(read) <= number + 3
        if number == 20:
            given.close()
            break
    assert len(read) <= 23


def test_photographs_are_made_as_they_are_needed(model, side_by_side):
    made = []
    given = Explainer(model, engine="openvino", layers=("top",)).batch(made.append(1) or PICTURES[0] for _ in range(40))
    for number, _ in enumerate(given, 1):
        assert len(made) <= number + 3
    assert number == 40


@pytest.mark.parametrize("kind", [str, Path, open, bytes, Image.open, np.asarray, None])
def test_one_photograph_is_a_batch_of_one(model, tmp_path, kind):
    """Not as many as its path has letters, or its pixels have rows."""
    path = tmp_path / "one.png"
    Image.fromarray(PICTURES[0]).save(path)
    makers = {bytes: Path.read_bytes, open: lambda path: path.open("rb"), np.asarray: lambda _: PICTURES[0][..., 0]}
    one = Explainer(model, layers=("top",))
    (found,) = one.batch(makers.get(kind, kind)(path) if kind else PICTURES[0])
    assert np.array_equal(found.seen, np.repeat(PICTURES[0][..., :1], 3, axis=2) if kind is np.asarray else PICTURES[0])


def test_a_photograph_that_cannot_be_read_comes_after_those_before_it(model, side_by_side):
    one = Explainer(model, engine="openvino", layers=("top",))
    given = one.batch([*PICTURES[:4], b"words", *PICTURES])
    for picture in PICTURES[:4]:
        assert np.array_equal(next(given).logits, one(picture).logits)
    with pytest.raises(PhotoError):
        next(given)


def test_what_was_seen_already_is_seen_as_it_is():
    picture = np.random.default_rng(8).integers(0, 256, (32, 32, 3), np.uint8)
    model = classifier(few(32))
    for source_size in (None, 16):
        seen = Explainer(model, source_size=source_size).see(picture)
        np.testing.assert_array_equal(seen, photo.see(photo.read(picture), 32, source_size=source_size))
        assert not np.shares_memory(seen, picture)
