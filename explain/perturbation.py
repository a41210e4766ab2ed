"""Maps that need no gradient: change the picture or a layer, and see what becomes of the score.

They cost hundreds to thousands of forward passes, so they are asked for by name. A `Score` tells T targets' logits
(B, T) of B pictures (B, S, S, 3), or of B activations (B, H, W, C) behind a layer; `progress(done, total)` is told
after each batch. Maps are (T, H, W) float32, signed; as in `explain.formulas`, a last ReLU is left out.

In the equations f is the logit, I the picture, k counts channels, ij and p cells or pixels; pixels are 0..255, and
what is masked becomes black.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from explain.layers import Layer

Score = Callable[[np.ndarray], np.ndarray]
Progress = Callable[[int, int], None]

OF_LAYERS = ("score_cam", "ablation_cam")
OF_PICTURES = ("occlusion", "rise")
PERTURBATIONS = OF_LAYERS + OF_PICTURES
IMAGE = "image"
"""The layer name of maps of the picture itself, as large as what the network sees."""

BATCH = 32
GREY = 127.5


def _silent(done: int, total: int) -> None:
    del done, total


def score_cam(
    image: np.ndarray,
    activations: np.ndarray,
    score: Score,
    stride: float,
    offset: float,
    progress: Progress = _silent,
) -> np.ndarray:
    """Score-CAM: M_ij = sum_k w_k A_ijk with w = softmax_k f(I * s(up(A_k))) and s(x) = (x - min x) / (max x - min x).

    Wang et al., Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks (2020,
    arXiv:1910.01279), definitions 2 and 3 and algorithm 1, without the last ReLU. In units of the activations; weights
    are positive and sum to 1. The paper's baseline f(black) is the same for every channel and falls out of the softmax.
    A channel without contrast masks everything. `up` is linear, and puts cell i on pixel offset + stride * i, where it
    looks.

    Args:
        image: I (S, S, 3), 0..255.
        activations: A (H, W, C).
        score: logits (B, T) of pictures (B, S, S, 3); it is asked for C pictures.
        stride: pixels between neighbouring cells.
        offset: the pixel on which the first cell is centred.
    """
    height, width, channels = activations.shape
    rows, columns = ((np.arange(side) - offset) / stride for side in image.shape[:2])
    rows, columns = _linear(rows, height), _linear(columns, width)

    def masked(k: int) -> np.ndarray:
        mask = rows @ activations[:, :, k] @ columns.T
        # Interpolation's rounding errors are no contrast.
        contrast = np.ptp(mask) if np.ptp(activations[:, :, k]) else 0
        return image * ((mask - mask.min()) / (contrast or np.inf))[:, :, None]

    batches = _batches(channels, progress)
    scores = np.concatenate([score(np.stack([masked(k) for k in batch])) for batch in batches])
    weights = np.exp(scores - scores.max(axis=0))
    weights /= weights.sum(axis=0)
    return np.einsum("hwc,ct->thw", activations, weights).astype(np.float32)


def ablation_cam(activations: np.ndarray, score: Score, progress: Progress = _silent) -> np.ndarray:
    """Ablation-CAM: M_ij = sum_k w_k A_ijk with w_k = f(A) - f(A with A_k = 0).

    Desai and Ramaswamy, Ablation-CAM: Visual Explanations for Deep Convolutional Network via Gradient-free
    Localization (2020, WACV), without the last ReLU and without the paper's division of every weight by f(A), which
    scales the whole map and would turn it over where the logit is negative. A weight is in units of the logit.

    Args:
        activations: A (H, W, C).
        score: logits (B, T) of activations (B, H, W, C) behind the layer; it is asked for C + 1 of them.
    """
    channels = activations.shape[2]

    def without(k: int) -> np.ndarray:
        return activations * (np.arange(channels) != k)

    batches = _batches(channels, progress)
    ablated = np.concatenate([score(np.stack([without(k) for k in batch])) for batch in batches])
    weights = score(activations[None]) - ablated
    return np.einsum("hwc,ct->thw", activations, weights).astype(np.float32)


def occlusion(
    image: np.ndarray, score: Score, side: int | None = None, step: int | None = None, progress: Progress = _silent
) -> np.ndarray:
    """Occlusion: M_p = the mean of f(I) - f(I with a grey square) over the squares that cover p. In units of the logit.

    Zeiler and Fergus, Visualizing and Understanding Convolutional Networks (2014, arXiv:1311.2901), "Occlusion
    Sensitivity", where the score is drawn at the square's centre. Here positive means that the pixels speak for the
    class.

    Args:
        image: I (S, S, 3), 0..255.
        score: logits (B, T) of pictures (B, S, S, 3).
        side: of the grey square, in pixels; a seventh of the picture by default.
        step: from square to square, at most; half a square by default. The last square ends at the border.
    """
    size = image.shape[0]
    side = side or max(1, size // 7)
    step = step or max(1, side // 2)
    starts = np.rint(np.linspace(0, size - side, -(-(size - side) // step) + 1)).astype(int)
    squares = [(slice(y, y + side), slice(x, x + side)) for y in starts for x in starts]

    def occluded(n: int) -> np.ndarray:
        picture = image.copy()
        picture[squares[n]] = GREY
        return picture

    whole = score(image[None])[0]
    drops, covered = np.zeros((len(whole), size, size)), np.zeros((size, size))
    for batch in _batches(len(squares), progress):
        for n, found in zip(batch, score(np.stack([occluded(n) for n in batch])), strict=True):
            drops[:, *squares[n]] += (whole - found)[:, None, None]
            covered[squares[n]] += 1
    return (drops / covered).astype(np.float32)


def rise(
    image: np.ndarray,
    score: Score,
    masks: int = 1000,
    cells: int = 7,
    keep: float = 0.5,
    seed: int = 0,
    progress: Progress = _silent,
) -> np.ndarray:
    """RISE: M_p = 1 / (keep N) sum_n (f(I * m_n) - mean f) m_n(p) over N random masks m. In units of the logit.

    Petsiuk et al., RISE: Randomized Input Sampling for Explanation of Black-box Models (2018, arXiv:1806.07421),
    equation 6, with masks as in its section "Mask generation": grids of `cells` x `cells` zeros and ones, enlarged
    linearly by one cell more than the picture and moved by a random part of a cell. The paper's score is a probability;
    subtracting the mean score makes 0 neutral for a logit, which has no zero of its own.

    Args:
        image: I (S, S, 3), 0..255.
        score: logits (B, T) of pictures (B, S, S, 3).
        masks: N. The error falls with its square root; the paper takes 4,000 to 8,000.
        cells: of a mask's grid, a side.
        keep: probability that a cell is kept.
        seed: the same seed gives the same map.
    """
    size = image.shape[0]
    random = np.random.default_rng(seed)
    enlarged = (cells + 1) / cells * size

    def draw() -> np.ndarray:
        grid = (random.random((cells, cells)) < keep).astype(np.float32)
        rows, columns = (
            _linear((np.arange(size) + shift + 0.5) * cells / enlarged - 0.5, cells)
            for shift in random.integers(0, -(-size // cells), 2)
        )
        return rows @ grid @ columns.T

    weighted, total, scores = 0.0, np.zeros((size, size)), []
    for batch in _batches(masks, progress):
        drawn = np.stack([draw() for _ in batch])
        scores.append(score(image * drawn[..., None]))
        weighted = weighted + np.einsum("nt,nyx->tyx", scores[-1], drawn, dtype=np.float64)
        total += drawn.sum(axis=0)
    mean = np.concatenate(scores).mean(axis=0, dtype=np.float64)
    return ((weighted - mean[:, None, None] * total) / (keep * masks)).astype(np.float32)


def _linear(positions: np.ndarray, cells: int) -> np.ndarray:
    """What each of `cells` cells, at 0, 1, ..., weighs at each position, (n, cells); level beyond the ends."""
    positions = np.clip(positions, 0, cells - 1)
    return np.maximum(0, 1 - np.abs(positions[:, None] - np.arange(cells))).astype(np.float32)


def _batches(total: int, progress: Progress) -> Iterator[range]:
    for first in range(0, total, BATCH):
        batch = range(first, min(first + BATCH, total))
        yield batch
        progress(batch.stop, total)


def perturb(
    method: str,
    image: np.ndarray,
    activations: Mapping[str, np.ndarray],
    layers: Sequence[Layer],
    score: Score,
    score_behind: Callable[[Layer], Score],
    seed: int = 0,
    progress: Progress = _silent,
) -> dict[str, np.ndarray]:
    """Maps (T, H, W) by layer name, with one of `PERTURBATIONS`; those of the whole picture under `IMAGE`.

    Args:
        image: (S, S, 3), 0..255.
        activations: (H, W, C) by layer name.
        score: logits (B, T) of pictures.
        score_behind: for a layer, logits (B, T) of its activations (B, H, W, C).
    """
    if method == "occlusion":
        return {IMAGE: occlusion(image, score, progress=progress)}
    if method == "rise":
        return {IMAGE: rise(image, score, seed=seed, progress=progress)}
    total = sum(layer.shape[2] for layer in layers)
    done, maps = 0, {}
    for layer in layers:
        A = activations[layer.name]

        def forward(more: int, _: int, before: int = done) -> None:
            progress(before + more, total)

        if method == "score_cam":
            maps[layer.name] = score_cam(image, A, score, layer.stride, layer.offset, forward)
        else:
            maps[layer.name] = ablation_cam(A, score_behind(layer), forward)
        done += layer.shape[2]
    return maps
