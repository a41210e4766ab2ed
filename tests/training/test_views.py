"""What a training sees: decided by seed, epoch and picture alone, and turned, sheared, zoomed and mirrored as asked."""

import hashlib
import math

import cv2
import numpy as np
import pytest
from PIL import Image

from explain import photo
from tests.training import studies
from training import data, views
from training.batches import batches_of
from training.recipe import Augmentation

ALL = Augmentation(rotation=40, shear=0.2, zoom=0.2, shift=0.1, flip=True)


def bilinear(picture: np.ndarray, affine: np.ndarray, target: int) -> np.ndarray:
    """The picture seen through an affine map, pixel by pixel in float64; beyond the edge lies the edge."""
    inverse = np.linalg.inv(np.vstack([affine, [0, 0, 1]]))
    source = picture.shape[0]
    seen = np.zeros((target, target, 3))
    for row in range(target):
        for column in range(target):
            x, y, _ = inverse @ (column, row, 1)
            left, top = math.floor(x), math.floor(y)
            for i, j, share in (
                (top, left, (1 - (y - top)) * (1 - (x - left))),
                (top, left + 1, (1 - (y - top)) * (x - left)),
                (top + 1, left, (y - top) * (1 - (x - left))),
                (top + 1, left + 1, (y - top) * (x - left)),
            ):
                seen[row, column] += share * picture[min(max(i, 0), source - 1), min(max(j, 0), source - 1)]
    return seen


def resized(picture: np.ndarray, target: int) -> np.ndarray:
    """The plain resize: the middle of the first pixel stays in the middle between the edges, scale by scale."""
    source = picture.shape[0]
    places = (np.arange(target) + 0.5) * source / target - 0.5
    seen = np.zeros((target, target, 3))
    for row, y in enumerate(places):
        for column, x in enumerate(places):
            top, left = math.floor(y), math.floor(x)
            rows = [min(max(i, 0), source - 1) for i in (top, top + 1)]
            columns = [min(max(j, 0), source - 1) for j in (left, left + 1)]
            corners = picture[np.ix_(rows, columns)].astype("float64")
            weights = np.outer([1 - (y - top), y - top], [1 - (x - left), x - left])
            seen[row, column] = (corners * weights[..., None]).sum(axis=(0, 1))
    return seen


@pytest.fixture(scope="module")
def smooth() -> np.ndarray:
    """A picture in which no two places look alike, and no step is so large that 1/32 of a pixel shows."""
    rows, columns = np.mgrid[:40, :40]
    return np.stack([rows * 4 + columns, columns * 5 + 20, 200 - rows * 2 - columns], axis=-1).astype("uint8")


@pytest.mark.parametrize("target", [40, 64])
def test_without_augmentation_a_view_is_the_plain_resize(smooth, target):
    still = views.view(smooth, views.matrix(views.PLAIN, 40, target, seed=3, epoch=1, index=7), target)
    for seen in (still, views.augmented(smooth, views.PLAIN, target, seed=3, epoch=1, index=7)):
        assert np.abs(seen - resized(smooth, target)).max() <= 1
        if target == 40:
            assert np.array_equal(seen, smooth)


@pytest.mark.parametrize(("source", "size"), [(32, 160), (64, 160), (None, 48)])
def test_a_picture_is_evaluated_as_the_page_shows_it(tmp_path, source, size):
    noise = np.random.default_rng(size).integers(0, 256, (90, 70, 3), dtype="uint8")
    for label in studies.LABELS:
        (tmp_path / label).mkdir()
        Image.fromarray(noise).save(tmp_path / label / "noise.png")
    pictures = data.load(str(tmp_path), None, studies.LABELS, source or size).pictures
    on_the_page = photo.see(Image.fromarray(noise), size, source_size=source)
    assert np.array_equal(views.plain(pictures, size)([0], 0)[0], on_the_page)


@pytest.mark.parametrize("index", range(8))
def test_a_view_is_what_the_slow_version_sees(smooth, index):
    affine = views.matrix(ALL, 40, 32, seed=0, epoch=0, index=index)
    assert np.abs(views.view(smooth, affine, 32) - bilinear(smooth, affine, 32)).max() <= 2


def turned(degrees: float = 0, shear: float = 0, zoom: float = 1, mirror: bool = False) -> np.ndarray:
    """The linear part from its four numbers, as a product of plain matrices: mirror, then shear, turn, zoom."""
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return zoom * turn @ np.array([[1, shear], [0, 1]]) @ np.diag([-1 if mirror else 1, 1])


def parts(linear: np.ndarray) -> tuple[float, float, float, bool]:
    """(degrees, shear, zoom, mirrored) of such a product."""
    mirrored = np.linalg.det(linear) < 0
    plain = linear @ np.diag([-1 if mirrored else 1, 1])
    zoom = math.hypot(plain[0, 0], plain[1, 0])
    degrees = math.degrees(math.atan2(plain[1, 0], plain[0, 0]))
    (_, shear), _ = np.linalg.inv(turned(degrees)) @ plain / zoom
    return degrees, shear, zoom, mirrored


def test_a_thousand_views_stay_in_their_ranges_and_fill_them():
    found = []
    for index in range(1000):
        affine = views.matrix(ALL, 40, 80, seed=1, epoch=2, index=index)
        degrees, shear, zoom, mirrored = parts(affine[:, :2])
        assert np.allclose(affine[:, :2], turned(degrees, shear, zoom, mirrored))
        moved = affine @ (19.5, 19.5, 1) - 39.5
        found.append((degrees / 40, shear / 0.2, (zoom / 2 - 1) / 0.2, *(moved / 80 / 0.1)))
    shares = np.array(found)
    assert np.abs(shares).max() <= 1 + 1e-9
    # Even over the whole range: a thousand draws of -1..1 have mean 0 and deviation 0.577, within 0.08.
    assert np.allclose(shares.mean(axis=0), 0, atol=0.08)
    assert np.allclose(shares.std(axis=0), 3**-0.5, atol=0.04)
    assert np.abs(np.corrcoef(shares.T) - np.eye(5)).max() < 0.15


def test_half_of_the_views_are_mirrored_if_any():
    def share(flip: bool) -> float:
        kind = Augmentation(rotation=10, flip=flip)
        return np.mean([parts(views.matrix(kind, 40, 40, 0, 0, index)[:, :2])[3] for index in range(1000)])

    assert 0.45 < share(True) < 0.55
    assert share(False) == 0


def test_a_square_around_any_pixel_is_greyed_and_nothing_else():
    white, whole = np.full((40, 40, 3), 255, "uint8"), 0
    greyed = np.zeros((40, 40))
    for index in range(1000):
        seen = views.augmented(white, Augmentation(flip=False, erase=0.3), 40, seed=1, epoch=2, index=index)
        rows, columns = (np.flatnonzero((seen != 255).any(axis=(axis, 2))) for axis in (1, 0))
        for places in (rows, columns):
            # 0.3 of 40, where the picture's edge does not cut it off.
            inside = places[0] > 0 and places[-1] < 39
            assert len(places) in ((11, 12, 13) if inside else range(5, 14))
        assert (seen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == views.GREY).all()
        assert (seen != 255).any(axis=2).sum() == len(rows) * len(columns)
        greyed += (seen != 255).any(axis=2)
        whole += len(rows) * len(columns) > 120
    # A pixel inside is greyed by the squares whose middle is within 6 pixels of it, both ways; a corner by a quarter.
    inside = (12 / 40) ** 2 * 1000
    assert np.abs(greyed[8:-8, 8:-8] / inside - 1).mean() < 0.15
    assert np.abs(greyed[[0, 0, -1, -1], [0, -1, 0, -1]] / inside - 0.25).max() < 0.15
    assert 400 < whole < 800


@pytest.fixture(scope="module")
def split() -> data.Split:
    pictures = np.stack([studies.picture(number % 2, number) for number in range(20)])
    return data.Split(pictures, np.arange(20) % 2, tuple(map(str, range(20))), "")


def source_of(split: data.Split, seed: int = 0, count: int | None = None) -> views.Views:
    return views.Views(split.pictures, studies.recipe().augmentation, 32, seed, count)


def seen_by(split: data.Split, steps: int = 3, seed: int = 0, epoch: int = 0) -> list[str]:
    """A hash of each batch that a training gets."""
    batches = batches_of(source_of(split, seed), split.labels, 8, steps, seed, epoch)
    assert len(batches) == steps
    return [
        hashlib.sha256(pictures.tobytes() + labels.tobytes()).hexdigest()
        for pictures, labels in (batches[index] for index in range(steps))
    ]


def test_the_batches_do_not_depend_on_what_was_drawn_before(split):
    first = seen_by(split)
    np.random.default_rng().random(7)
    seen_by(split, epoch=1)
    assert seen_by(split) == first
    last, labels = batches_of(source_of(split), split.labels, 8, 3, 0, 0)[2]
    assert hashlib.sha256(last.tobytes() + labels.tobytes()).hexdigest() == first[2]


def test_another_epoch_or_seed_gives_other_batches(split):
    kinds = [seen_by(split), seen_by(split, epoch=1), seen_by(split, seed=1), seen_by(split, seed=1, epoch=1)]
    hashes = [digest for kind in kinds for digest in kind]
    assert len(set(hashes)) == len(hashes)
    assert len({tuple(views.order(20, seed, epoch)) for seed in range(4) for epoch in range(4)}) == 16


def test_each_picture_is_seen_another_way_in_each_epoch_and_by_each_seed():
    found = {
        views.matrix(ALL, 40, 32, seed, epoch, index).tobytes()
        for seed in range(3)
        for epoch in range(3)
        for index in range(3)
    }
    assert len(found) == 27


def test_the_view_of_a_picture_does_not_depend_on_its_place_in_the_batch(split):
    one = views.views(split.pictures, [4, 9], ALL, 32, seed=0, epoch=3)
    other = views.views(split.pictures, [9, 1, 4], ALL, 32, seed=0, epoch=3)
    assert np.array_equal(one, other[[2, 0]])


def test_a_view_takes_no_cores_from_the_others_or_from_the_training():
    assert cv2.getNumThreads() == 1


@pytest.mark.parametrize(("steps", "expected"), [(3, 20), (2, 16), (5, 40)])
def test_one_pass_sees_each_picture_once_and_other_steps_fill_their_batches(split, steps, expected):
    batches = batches_of(views.plain(split.pictures, studies.SIDE), split.labels, 8, steps, 0, 0)
    seen = np.concatenate([batches[index][0] for index in range(steps)])
    labels = np.concatenate([batches[index][1] for index in range(steps)])
    assert len(seen) == expected
    numbers = [int(np.flatnonzero((split.pictures == picture).all(axis=(1, 2, 3)))[0]) for picture in seen]
    assert np.array_equal(split.labels[numbers], labels)
    assert numbers == list(np.resize(views.order(20, 0, 0), expected))
    assert len(set(numbers)) == min(expected, 20)


def test_bounded_views_are_used_in_turn(split):
    source = source_of(split, count=3)
    seen = [source([4, 9], epoch).tobytes() for epoch in range(7)]
    assert len(set(seen)) == 3
    assert seen[:3] == seen[3:6]
    assert seen[6] == seen[0]
    endless = source_of(split)
    assert [endless([4, 9], epoch).tobytes() for epoch in range(3)] == seen[:3]
