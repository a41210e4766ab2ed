"""Every formula against its paper in slow loops, against numbers worked out by hand, and at its edges."""

import itertools

import numpy as np
import pytest

from explain import formulas
from explain.formulas import FORMULAS

E = formulas.XGRAD_EPSILON


# The slow twins: float64, one picture, A and G as nested loops over cells ij and channels k, as in the papers.


def cells(A):
    return list(itertools.product(range(A.shape[0]), range(A.shape[1])))


def weighted_channels(A, weights):
    M = np.zeros(A.shape[:2])
    for i, j in cells(A):
        for k in range(A.shape[2]):
            M[i, j] += weights[k] * A[i, j, k]
    return M


def slow_grad_cam(A, G):
    Z = len(cells(A))
    return weighted_channels(A, [sum(G[a, b, k] for a, b in cells(A)) / Z for k in range(A.shape[2])])


def slow_grad_cam_pp(A, G):
    weights = []
    for k in range(A.shape[2]):
        S = max(0.0, sum(A[a, b, k] for a, b in cells(A)))
        weight = 0.0
        for i, j in cells(A):
            g = G[i, j, k]
            second, third = g**2, g**3
            alpha = second / (2 * second + S * third) if g > 0 else 0.0
            weight += alpha * max(g, 0.0)
        weights.append(weight)
    return weighted_channels(A, weights)


def slow_hires_cam(A, G):
    M = np.zeros(A.shape[:2])
    for i, j in cells(A):
        M[i, j] = sum(A[i, j, k] * G[i, j, k] for k in range(A.shape[2]))
    return M


def slow_xgrad_cam(A, G):
    weights = []
    for k in range(A.shape[2]):
        S = sum(A[a, b, k] for a, b in cells(A))
        m = sum(abs(A[a, b, k]) for a, b in cells(A))
        if m == 0:
            weights.append(0.0)
            continue
        inverse = (1 + E**2) * (S / m) / ((S / m) ** 2 + E**2) / m
        weights.append(inverse * sum(A[a, b, k] * G[a, b, k] for a, b in cells(A)))
    return weighted_channels(A, weights)


def slow_layer_cam(A, G):
    M = np.zeros(A.shape[:2])
    for i, j in cells(A):
        M[i, j] = sum(A[i, j, k] * max(G[i, j, k], 0.0) for k in range(A.shape[2]))
    return M


def singular(values):
    matrix = np.array([values[i, j] for i, j in cells(values)])
    v = np.linalg.svd(matrix, full_matrices=False)[2][0]
    return (matrix @ v).reshape(values.shape[:2]), v


def slow_eigen_cam(A, G):
    M, _ = singular(A)
    return M if M.sum() >= 0 else -M


def slow_eigen_grad_cam(A, G):
    M, v = singular(A * G)
    return M if v.sum() >= 0 else -M


SLOW = {
    "grad_cam": slow_grad_cam,
    "grad_cam_pp": slow_grad_cam_pp,
    "hires_cam": slow_hires_cam,
    "xgrad_cam": slow_xgrad_cam,
    "layer_cam": slow_layer_cam,
    "eigen_cam": slow_eigen_cam,
    "eigen_grad_cam": slow_eigen_grad_cam,
}

every_formula = pytest.mark.parametrize("name", FORMULAS)


def layer(seed, shape=(2, 3, 4, 5), bias=0.0):
    """Activations and gradients of both signs, no two axes alike, with a first singular value that stands out."""
    dice = np.random.default_rng(seed)
    A, G = dice.normal(size=shape) + bias, dice.normal(size=shape)
    A += 2 * dice.normal(size=(*shape[:3], 1)) * dice.normal(size=shape[3])
    return A.astype(np.float32), G.astype(np.float32)


def test_every_formula_has_a_slow_twin():
    assert set(FORMULAS) == set(SLOW)
    for name, formula in FORMULAS.items():
        assert formula is getattr(formulas, name)
        assert "arXiv:" in formula.__doc__ or "et al." in formula.__doc__


@every_formula
@pytest.mark.parametrize("seed", range(5))
def test_equal_to_the_slow_twin(name, seed):
    A, G = layer(seed, bias=seed - 2)
    M = FORMULAS[name](A, G)
    assert M.dtype == np.float32 and M.shape == (2, 3, 4)
    for picture in range(2):
        expected = SLOW[name](A[picture].astype(np.float64), G[picture].astype(np.float64))
        assert np.abs(M[picture] - expected).max() <= 2e-5 * np.abs(expected).max()


@pytest.mark.parametrize("name", ["eigen_cam", "eigen_grad_cam"])
@pytest.mark.parametrize("shape", [(1, 28, 28, 40), (1, 14, 14, 112), (2, 7, 7, 192), (1, 7, 7, 1280), (1, 1, 1, 3)])
def test_singular_vectors_of_tall_and_wide_layers(name, shape):
    A, G = layer(1, shape, bias=0.3)
    G = np.abs(G)
    M = FORMULAS[name](A, G)
    for picture in range(shape[0]):
        expected = SLOW[name](A[picture].astype(np.float64), G[picture].astype(np.float64))
        assert np.abs(M[picture] - expected).max() <= 1e-4 * np.abs(expected).max()


def test_the_smaller_matrix_is_taken_apart(monkeypatch):
    """An eigenvector costs the cube of the matrix' side: channels or cells, whichever are fewer."""
    sides = []
    eigh = formulas.eigh
    monkeypatch.setattr(formulas, "eigh", lambda gram, **options: sides.append(len(gram)) or eigh(gram, **options))
    for channels in (8, 20):
        formulas.eigen_cam(*layer(2, (1, 3, 4, channels)))
    assert sides == [8, 12]


def with_spectrum(values, first):
    """A symmetric matrix with these eigenvalues, the largest of the eigenvector `first`, and that vector."""
    n = len(first)
    random = np.random.default_rng(0).normal(size=(n, n))
    random[:, 0] = first
    if first.sum() == pytest.approx(0):
        random[:, 1] = 1
    Q, _ = np.linalg.qr(random)
    spectrum = np.zeros(n)
    spectrum[: len(values)] = values
    return (Q * spectrum @ Q.T).astype(np.float32), Q[:, 0]


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize(
    ("side", "values", "lapack"),
    [
        (48, (1, 0.8, 0.3), False),
        (112, (1, 0.5, 0.5, 0.5, 0.1), False),
        (112, (1, 0.85, 0.85), False),
        # small, or with a second eigenvalue so near that powers do not part them
        (47, (1, 0.5), True),
        (64, (1, 0.995), True),
    ],
)
def test_power_iterations_where_they_are_fast_and_lapack_otherwise(monkeypatch, side, values, lapack, scale):
    asked = []
    eigh = formulas.eigh
    monkeypatch.setattr(formulas, "eigh", lambda gram, **options: asked.append(gram) or eigh(gram, **options))
    gram, first = with_spectrum(values, np.random.default_rng(1).normal(size=side) + 1)
    found = formulas._first_eigenvector(gram * np.float32(scale))
    assert bool(asked) == lapack
    assert np.linalg.norm(found) == pytest.approx(1, rel=1e-5)
    assert np.abs(found - first * np.sign(first @ found)).max() < (1e-4 if lapack else 1e-5)


def test_the_second_eigenvector_is_never_taken_for_the_first():
    """The first sums to 0 and the second is even: what the iterations start from has nothing of the first."""
    gram, first = with_spectrum((1, 0.9, 0.1), np.tile([1.0, -1.0], 30))
    found = formulas._first_eigenvector(gram)
    assert np.abs(found - first * np.sign(first @ found)).max() < 1e-5


@pytest.mark.parametrize("second", [0.95, 0.99])
def test_an_eigenvector_that_stays_is_not_yet_the_first(second):
    """Of numbers that float32 holds nearly without rounding: the iterations start at the second and stay there."""
    first, even = np.tile([1, -1], 32) / 8, np.ones(64) / 8
    gram = np.outer(first, first) + second * np.outer(even, even)
    found = formulas._first_eigenvector(gram.astype(np.float32))
    assert np.abs(found - first * np.sign(first @ found)).max() < 1e-5


def test_rows_that_sum_to_nothing_and_nothing_at_all():
    first = (np.tile([1, -1], 32) / 8).astype(np.float32)
    with np.errstate(all="raise", under="ignore"):
        found = formulas._first_eigenvector(np.outer(first, first))
        nothing = formulas._first_eigenvector(np.zeros((64, 64), np.float32))
    assert np.abs(found - first * np.sign(first @ found)).max() < 1e-5
    assert np.linalg.norm(nothing) == pytest.approx(1)


# Worked out by hand, cell by cell:    A channel 0: 1 2 / 3 4     channel 1: 0 -1 / 1 2
#                                      G channel 0: 1 0 / -1 2    channel 1: 2 2 / 4 -4
HAND_A = np.stack([[[1, 2], [3, 4]], [[0, -1], [1, 2]]], axis=-1)[None].astype(np.float32)
HAND_G = np.stack([[[1, 0], [-1, 2]], [[2, 2], [4, -4]]], axis=-1)[None].astype(np.float32)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # weights 2 / 4 and 4 / 4
        ("grad_cam", [[0.5, 0.0], [2.5, 4.0]]),
        # weights 1 / 12 + 2 / 22 = 23 / 132 and 2 / 6 + 2 / 6 + 4 / 10 = 16 / 15
        ("grad_cam_pp", [[23 / 132, 46 / 132 - 16 / 15], [69 / 132 + 16 / 15, 92 / 132 + 32 / 15]]),
        ("hires_cam", [[1.0, -2.0], [1.0, 0.0]]),
        # weight 6 / 10 for the channel of one sign; the other has S = 2, m = 4, r = 1 / 2 and evidence -6:
        # -6 x 1.01 x 0.5 / (0.25 + 0.01) / 4 = -3.03 / 1.04
        ("xgrad_cam", [[0.6, 1.2 + 3.03 / 1.04], [1.8 - 3.03 / 1.04, 2.4 - 6.06 / 1.04]]),
        ("layer_cam", [[1.0, -2.0], [4.0, 8.0]]),
    ],
)
def test_by_hand(name, expected):
    assert FORMULAS[name](HAND_A, HAND_G)[0] == pytest.approx(np.array(expected), rel=1e-6, abs=1e-6)


def test_eigen_maps_by_hand():
    # All cells are multiples t of (3, 4), so v = (0.6, 0.8) and the map is 5 t.
    t = np.array([[1, 0], [2, -1]], np.float32)
    A = (t[..., None] * np.array([3, 4], np.float32))[None]
    ones = np.ones_like(A)
    assert formulas.eigen_cam(A, ones)[0] == pytest.approx(5 * t, abs=1e-5)
    assert formulas.eigen_cam(-A, ones)[0] == pytest.approx(5 * t, abs=1e-5)
    assert formulas.eigen_grad_cam(A, ones)[0] == pytest.approx(5 * t, abs=1e-5)
    assert formulas.eigen_grad_cam(A, -ones)[0] == pytest.approx(-5 * t, abs=1e-5)


@every_formula
def test_a_batch_is_its_pictures_one_by_one(name):
    A, G = layer(3, (4, 5, 3, 6))
    one_by_one = np.concatenate([FORMULAS[name](A[i : i + 1], G[i : i + 1]) for i in range(4)])
    assert np.array_equal(FORMULAS[name](A, G), one_by_one)


@every_formula
def test_the_same_twice_and_nothing_changed(name):
    A, G = layer(4)
    before = A.copy(), G.copy()
    first = FORMULAS[name](A, G)
    assert np.array_equal(first, FORMULAS[name](A, G))
    assert np.array_equal(A, before[0]) and np.array_equal(G, before[1])


@every_formula
def test_any_layout_and_precision(name):
    A, G = layer(5)
    expected = FORMULAS[name](A, G)
    turned = [np.asfortranarray(array.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1) for array in (A, G)]
    assert FORMULAS[name](*turned) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    double = FORMULAS[name](A.astype(np.float64), G.astype(np.float64))
    assert double.dtype == np.float32 and double == pytest.approx(expected, rel=1e-4, abs=1e-5)
    half = A.astype(np.float16), G.astype(np.float16)
    widened = [array.astype(np.float32) for array in half]
    assert np.array_equal(FORMULAS[name](*half), FORMULAS[name](*widened))


@every_formula
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 2, 2, 9)], ids=["tall", "wide"])
def test_nothing_gives_nothing(name, shape):
    A, G = layer(6, shape)
    zero = np.zeros_like(A)
    with np.errstate(all="raise", under="ignore"):
        assert not FORMULAS[name](zero, G).any()
        assert not FORMULAS[name](zero, zero).any()
        M = FORMULAS[name](A, zero)
    assert np.isfinite(M).all() if name == "eigen_cam" else not M.any()


@every_formula
def test_a_dead_channel_changes_nothing(name):
    A, G = layer(7)
    more_A = np.concatenate([A, np.zeros_like(A[..., :1])], axis=3)
    more_G = np.concatenate([G, np.ones_like(G[..., :1])], axis=3)
    assert FORMULAS[name](more_A, more_G) == pytest.approx(FORMULAS[name](A, G), rel=1e-4, abs=1e-5)


@every_formula
def test_what_is_not_a_number_is_not_hidden(name):
    A, G = layer(8)
    A[1, 2, 1, 3] = np.nan
    M = FORMULAS[name](A, G)
    assert np.isnan(M[1]).any()
    assert np.isfinite(M[0]).all()


@every_formula
def test_one_gradient_for_many_pictures_is_an_error(name):
    A, G = layer(9)
    for wrong in (G[:1], G[0], G[..., :1], G[:, :, :2]):
        with pytest.raises(ValueError, match="one shape"):
            FORMULAS[name](A, wrong)
    for several in (A[0], A[None]):
        with pytest.raises(ValueError, match="one shape"):
            FORMULAS[name](several, several)


@pytest.mark.parametrize("name", ["grad_cam", "hires_cam", "xgrad_cam"])
def test_linear_in_the_logit(name):
    (A, first), (_, second) = layer(10), layer(11)
    formula = FORMULAS[name]
    assert formula(A, 2 * first) == pytest.approx(2 * formula(A, first), rel=1e-5)
    difference = formula(A, first) - formula(A, second)
    assert formula(A, first - second) == pytest.approx(difference, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("name", ["grad_cam", "hires_cam", "xgrad_cam", "eigen_grad_cam"])
def test_the_other_label_of_one_logit_is_the_negative(name):
    A, G = layer(12)
    assert np.array_equal(FORMULAS[name](A, -G), -FORMULAS[name](A, G))


@every_formula
def test_the_scale_of_a_layer_is_of_no_account(name):
    A, G = layer(17)
    factor = np.float32(1e-5)
    expected = FORMULAS[name](A, G) * (factor if name == "eigen_cam" else 1)
    M = FORMULAS[name](A * factor, G / factor)
    assert np.abs(M - expected).max() <= 1e-4 * np.abs(expected).max()


def test_after_pooling_and_a_dense_layer_three_are_one():
    A, _ = layer(13, (2, 7, 7, 12))
    w = np.random.default_rng(0).normal(size=12).astype(np.float32)
    G = np.broadcast_to(w / 49, A.shape)
    cam = A @ (w / 49)
    assert formulas.grad_cam(A, G) == pytest.approx(cam, rel=1e-4, abs=1e-6)
    assert formulas.hires_cam(A, G) == pytest.approx(cam, rel=1e-4, abs=1e-6)
    assert formulas.hires_cam(A, G).sum((1, 2)) == pytest.approx(A.mean((1, 2)) @ w, rel=1e-4, abs=1e-5)


def test_the_papers_own_denominators_after_a_relu():
    A, G = layer(14)
    A = np.maximum(A, 0)
    S = A.sum((1, 2), keepdims=True, dtype=np.float64)
    alpha = np.where(G != 0, G**2 / (2 * G**2 + S * G**3), 0)
    weights = (alpha * np.maximum(G, 0)).sum((1, 2))
    assert formulas.grad_cam_pp(A, G) == pytest.approx(np.einsum("bhwc,bc->bhw", A, weights), rel=1e-4)
    weights = (A * G / S).sum((1, 2))
    assert formulas.xgrad_cam(A, G) == pytest.approx(np.einsum("bhwc,bc->bhw", A, weights), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("name", ["grad_cam_pp", "xgrad_cam"])
def test_stable_where_a_channel_sums_to_zero(name):
    A, G = layer(15, (1, 6, 6, 4))
    A -= A.mean((1, 2), keepdims=True)
    formula = FORMULAS[name]
    path = np.stack([formula((A + shift).astype(np.float32), G) for shift in np.linspace(-0.5, 0.5, 1001)])
    size = np.abs(path).max()
    before, at, after = (formula((A + shift).astype(np.float32), G) for shift in (-1e-6, 0.0, 1e-6))
    assert max(np.abs(before - at).max(), np.abs(after - at).max()) <= 1e-3 * size
    # From a negative to a positive sum in small steps, the map goes in small steps: there is no pole in between.
    assert np.abs(np.diff(path, axis=0)).max() <= 0.05 * size


def test_grad_cam_pp_with_negative_sums_counts_half_the_rising_gradient():
    A, G = layer(16, bias=-9)
    weights = np.maximum(G, 0).sum((1, 2)) / 2
    assert formulas.grad_cam_pp(A, G) == pytest.approx(np.einsum("bhwc,bc->bhw", A, weights), rel=1e-5)


def test_xgrad_cam_never_exceeds_its_bound():
    r = np.linspace(-1, 1, 20001)
    gain = (1 + E**2) * r / (r**2 + E**2)
    assert np.abs(gain).max() == pytest.approx(5.05, abs=0.001)
    assert gain[[0, 10000, -1]] == pytest.approx([-1, 0, 1])


def test_the_signs_of_the_eigen_maps():
    for seed in range(20):
        A, G = layer(seed, (1, 4, 5, 6))
        assert formulas.eigen_cam(A, G).sum() >= 0
        assert np.array_equal(formulas.eigen_cam(A, G), formulas.eigen_cam(A, -3 * G))
        assert (formulas.eigen_grad_cam(A, G) * formulas.hires_cam(A, G)).sum() >= 0
