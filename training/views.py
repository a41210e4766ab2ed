"""Augmented views of pictures, in an order that only seed and epoch decide.

Both optimizers of a study must see the same pictures, turned the same way, in the same order; and a training that
was killed must go on with the pictures that it would have seen. So nothing here has state: order and view of
every picture follow from (seed, epoch, index).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from explain.photo import see
from training.recipe import Augmentation

# A view is too small to be shared out: OpenCV's threads would only take the cores that make other views, and train.
cv2.setNumThreads(1)

ORDER, VIEW, ERASED = 0, 1, 2
GREY = 127

PLAIN = Augmentation(flip=False)
"""No augmentation: what validation and test pictures get."""

Source = Callable[[Sequence[int] | np.ndarray, int], np.ndarray]
"""What a network is fed with: (indices of pictures, epoch) -> (B, ...)."""


def order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of one epoch: a permutation of 0..count-1."""
    return np.random.default_rng((ORDER, seed, epoch)).permutation(count)


def matrix(augmentation: Augmentation, source: int, target: int, seed: int, epoch: int, index: int) -> np.ndarray:
    """The affine map from source pixels to target pixels of one view, (2, 3) float64.

    Where nothing is drawn it is the plain resize: pixel centres go to pixel centres.
    """
    rng = np.random.default_rng((VIEW, seed, epoch, index))
    turn, shear, zoom, right, down, mirror = rng.uniform(-1, 1, 6)
    angle = math.radians(augmentation.rotation * turn)
    size = (target / source) * (1 + augmentation.zoom * zoom)
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = size * rotation @ np.array([[1, augmentation.shear * shear], [0, 1]])
    if augmentation.flip and mirror > 0:
        linear = linear @ np.diag([-1.0, 1.0])
    shift = target * augmentation.shift * np.array([right, down])
    centre = (target - 1) / 2 + shift - linear @ np.full(2, (source - 1) / 2)
    return np.column_stack([linear, centre])


def view(picture: np.ndarray, affine: np.ndarray, target: int) -> np.ndarray:
    """One view of a picture (S, S, 3) uint8 as (target, target, 3) uint8; the border repeats the edge."""
    return cv2.warpAffine(picture, affine, (target, target), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def erase(picture: np.ndarray, share: float, seed: int, epoch: int, index: int) -> None:
    """Grey a square of (S, S, 3) in place, of side share * S around a random pixel; what lies outside is cut off."""
    side = len(picture)
    half = share * side / 2
    rows, columns = (
        slice(max(0, round(centre - half)), round(centre + half))
        for centre in np.random.default_rng((ERASED, seed, epoch, index)).uniform(0, side, 2)
    )
    picture[rows, columns] = GREY


def augmented(
    picture: np.ndarray, augmentation: Augmentation, target: int, seed: int, epoch: int, index: int
) -> np.ndarray:
    """The view that an epoch has of a picture (S, S, 3) uint8, (target, target, 3) uint8.

    A picture to which nothing is done is brought to its size as a photograph is on the page, to the last grey level.
    """
    if augmentation == PLAIN:
        return see(Image.fromarray(picture), target)
    seen = view(picture, matrix(augmentation, len(picture), target, seed, epoch, index), target)
    if augmentation.erase:
        erase(seen, augmentation.erase, seed, epoch, index)
    return seen


def views(
    pictures: np.ndarray,
    indices: Sequence[int] | np.ndarray,
    augmentation: Augmentation,
    target: int,
    seed: int,
    epoch: int,
) -> np.ndarray:
    """Views of the pictures at `indices`, (B, target, target, 3) uint8."""
    return np.stack([augmented(pictures[index], augmentation, target, seed, epoch, int(index)) for index in indices])


@dataclass(frozen=True)
class Views:
    """The views of a split's pictures: `views(indices, epoch)`, (B, size, size, 3) uint8.

    Attributes:
        pictures: (N, S, S, 3) uint8.
        augmentation: what may be done to them.
        size: side of a view, in pixels.
        seed: of the views.
        count: how many views a picture has, used in turn; None: another in each epoch.
    """

    pictures: np.ndarray
    augmentation: Augmentation
    size: int
    seed: int
    count: int | None

    def view(self, epoch: int) -> int:
        """The number of the view that an epoch uses."""
        return epoch % self.count if self.count else epoch

    def of(self, picture: np.ndarray, index: int, epoch: int) -> np.ndarray:
        """The view that an epoch has of one picture that is not at hand in `pictures`, (size, size, 3) uint8."""
        return augmented(picture, self.augmentation, self.size, self.seed, self.view(epoch), index)

    def __call__(self, indices: Sequence[int] | np.ndarray, epoch: int) -> np.ndarray:
        return views(self.pictures, indices, self.augmentation, self.size, self.seed, self.view(epoch))


def plain(pictures: np.ndarray, size: int) -> Views:
    """The one view of pictures that are only brought to a size."""
    return Views(pictures, PLAIN, size, seed=0, count=1)
