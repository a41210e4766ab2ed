"""Class activation maps as equations: activations and gradients of one layer in, signed maps out.

Every formula takes A, the activations, and G, the gradient of one logit with respect to them, both (B, H, W, C),
and gives (B, H, W) float32, signed. In the docstrings k counts channels, ij and ab cells, and Z is the number of
cells. Papers end their formulas with a ReLU; that is a way of showing a map and is left out here, whereas a ReLU
inside a formula belongs to it and stays.

`FORMULAS` has them all by name. A new one is a function under `_formula` and a slow twin in the tests.

The two Eigen maps call BLAS and LAPACK, the others neither. OpenBLAS' threads spin after their work and take cores
from whatever the network runs next: with `OPENBLAS_NUM_THREADS=1` in the environment everything here is faster.
"""

import math
from collections.abc import Callable
from functools import wraps

import numpy as np
from scipy.linalg import eigh

Formula = Callable[[np.ndarray, np.ndarray], np.ndarray]

FORMULAS: dict[str, Formula] = {}

XGRAD_EPSILON = 0.1

# Sides of a matrix from which on power iterations are faster than LAPACK, measured on the layers of a B0.
LARGE = 48
# Iterations before the next power, powers before LAPACK is asked, and what an iteration may still change.
STEPS, ROUNDS, CLOSE = 6, 3, 1e-6


def _formula(equation: Formula) -> Formula:
    """Register a formula under its name, and check and convert what goes in and comes out."""

    @wraps(equation)
    def checked(A: np.ndarray, G: np.ndarray) -> np.ndarray:
        # Broadcasting would share one gradient between many pictures without a word.
        if A.ndim != 4 or A.shape != G.shape:
            raise ValueError(f"activations {A.shape} and gradients {G.shape} must have one shape (B, H, W, C)")
        A, G = (array.astype(np.result_type(array, np.float32), copy=False) for array in (A, G))
        return equation(A, G).astype(np.float32, copy=False)

    FORMULAS[equation.__name__] = checked
    return checked


def _sum(values: np.ndarray) -> np.ndarray:
    """Sum over the cells, (B, H, W, C) -> (B, C). Two short sums lose less in float32 than one long one."""
    return values.sum(axis=1).sum(axis=1)


def _weighted(A: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weigh the channels, (B, H, W, C) and (B, C) -> (B, H, W)."""
    return np.einsum("bhwc,bc->bhw", A, weights)


@_formula
def grad_cam(A: np.ndarray, G: np.ndarray) -> np.ndarray:
    """Grad-CAM: M_ij = sum_k w_k A_ijk with w_k = 1/Z sum_ab G_abk. In units of the logit.

    Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization (2017,
    arXiv:1610.02391), equations 1 and 2, without the last ReLU.
    """
    return _weighted(A, _sum(G) / (A.shape[1] * A.shape[2]))


@_formula
def grad_cam_pp(A: np.ndarray, G: np.ndarray) -> np.ndarray:
    """Grad-CAM++: M_ij = sum_k w_k A_ijk with w_k = sum_ab alpha_abk ReLU(G_abk), S_k = sum_ab A_abk and
    alpha_abk = G_abk^2 / (2 G_abk^2 + S_k G_abk^3) = 1 / (2 + S_k G_abk).

    Chattopadhyay et al., Grad-CAM++: Improved Visual Explanations for Deep Convolutional Networks (2018,
    arXiv:1710.11063), equations 5 and 19, for a score of exp(logit) but without its factor exp(logit), which
    scales the whole map, and without the last ReLU.

    The paper's activations follow a ReLU, so that S_k >= 0. In layers without one, such as the linear outputs of
    MBConv blocks, S_k can be negative and the denominator would cross zero. A negative S_k counts as 0, so the
    denominator is never below 2 and the paper's formula holds wherever its assumption does.
    """
    S = np.maximum(_sum(A), 0)[:, None, None, :]
    rising = np.maximum(G, 0)
    denominator = S * rising
    denominator += 2
    return _weighted(A, _sum(np.divide(rising, denominator, out=rising)))


@_formula
def hires_cam(A: np.ndarray, G: np.ndarray) -> np.ndarray:
    """HiResCAM: M_ij = sum_k G_ijk A_ijk. In units of the logit.

    Draelos and Carin, Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks
    (2020, arXiv:2011.08891). Where only pooling and a dense layer follow, the cells and the bias sum to the logit.
    """
    return np.einsum("bhwc,bhwc->bhw", A, G)


@_formula
def xgrad_cam(A: np.ndarray, G: np.ndarray) -> np.ndarray:
    """XGrad-CAM: M_ij = sum_k w_k A_ijk with w_k = sum_ab A_abk G_abk / S_k and S_k = sum_ab A_abk. In units of
    the logit.

    Fu et al., Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of CNNs (2020,
    arXiv:2008.02312), without the last ReLU.

    In layers without a ReLU, S_k can cross zero. With m_k = sum_ab |A_abk| and r_k = S_k / m_k, between -1 and 1,
    1 / S_k is taken as (1 + e^2) r_k / (r_k^2 + e^2) / m_k, e = 0.1. For channels of one sign (r_k = 1 or -1) that
    is 1 / S_k exactly; it is smooth, never above 5.05 / m_k, and 0 where S_k = 0: such a channel has no sum that
    could share its evidence out.
    """
    m = np.maximum(_sum(np.abs(A)), 1e-30)
    r = _sum(A) / m
    inverse = (1 + XGRAD_EPSILON**2) * r / (r**2 + XGRAD_EPSILON**2) / m
    return _weighted(A, np.einsum("bhwc,bhwc->bwc", A, G).sum(axis=1) * inverse)


@_formula
def layer_cam(A: np.ndarray, G: np.ndarray) -> np.ndarray:
    """LayerCAM: M_ij = sum_k ReLU(G_ijk) A_ijk. In units of the logit.

    Jiang et al., LayerCAM: Exploring Hierarchical Class Activation Maps for Localization (2021, IEEE Transactions
    on Image Processing 30), without the last ReLU.
    """
    return np.einsum("bhwc,bhwc->bhw", A, np.maximum(G, 0))


@_formula
def eigen_cam(A: np.ndarray, G: np.ndarray) -> np.ndarray:
    """Eigen-CAM: M_ij = sum_k A_ijk v_k with v the first right singular vector of A as a Z x C matrix.

    Muhammad and Yeasin, Eigen-CAM: Class Activation Map using Principal Components (2020, arXiv:2008.00299). As in
    the paper, and other than in pytorch-grad-cam, A is not centred. G plays no part: one map for every target, in units
    of the activations.

    A singular vector has no sign of its own; this one is turned so that the cells of the map sum to 0 or more.
    """
    M, _ = _first_component(A)
    return np.where(M.sum(axis=(1, 2), keepdims=True) < 0, -M, M)


@_formula
def eigen_grad_cam(A: np.ndarray, G: np.ndarray) -> np.ndarray:
    """EigenGrad-CAM: M_ij = sum_k A_ijk G_ijk v_k with v the first right singular vector of A * G as a Z x C matrix.
    In units of the logit.

    Gildenblat et al., pytorch-grad-cam (2021), where A * G is centred over the cells; there is no paper. Not centred
    here, like Eigen-CAM.

    The singular vector is turned so that sum_k v_k >= 0. The map then goes with HiResCAM's (their product, summed
    over the cells, is never negative) and changes its sign when the logit does.
    """
    M, v = _first_component(A * G)
    return np.where(v.sum(axis=1)[:, None, None] < 0, -M, M)


def _first_component(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project (B, H, W, C) on the first right singular vector v (B, C) of each picture's Z x C matrix: (B, H, W).

    The sign of both is arbitrary. v is an eigenvector of M^T M, or follows from one of M M^T: the smaller decides.
    """
    B, H, W, C = values.shape
    matrices = values.reshape(B, H * W, C)
    v = np.empty((B, C), values.dtype)
    for i, M in enumerate(matrices):
        if C <= H * W:
            v[i] = _first_eigenvector(M.T @ M)
        else:
            v[i] = M.T @ _first_eigenvector(M @ M.T)
            v[i] /= max(np.linalg.norm(v[i]), 1e-30)
    return (matrices @ v[:, :, None]).reshape(B, H, W), v


def _first_eigenvector(gram: np.ndarray) -> np.ndarray:
    """The first eigenvector of a positive semidefinite matrix, of length 1."""
    trace = np.trace(gram)
    # LAPACK does not promise to return from a matrix with a NaN.
    if not np.isfinite(trace):
        return np.full(len(gram), np.nan)
    found = _by_powers(gram / trace) if len(gram) >= LARGE and trace > 0 else None
    if found is None:
        last = len(gram) - 1
        found = eigh(gram, subset_by_index=[last, last], driver="evx", check_finite=False)[1][:, 0]
    return found


def _by_powers(power: np.ndarray) -> np.ndarray | None:
    """The first eigenvector of a matrix with trace 1 by a few power iterations; None where a few do not do.

    Powers of the matrix have its eigenvectors, further apart. A vector that one keeps is the first of them where its
    eigenvalue, squared, is more than two thirds of what all of them, squared, sum up to: the next is then below 0.71
    of it, and the vector within 3.5 times `CLOSE`.
    """
    power = power @ power
    for _ in range(ROUNDS):
        power = power @ power
        power /= np.trace(power)
        v = power.sum(axis=0)
        for _ in range(STEPS):
            v = power @ v
        length = math.sqrt(v @ v)
        if length == 0:
            return None
        v /= length
        image = power @ v
        value = v @ image
        rest = image - value * v
        if rest @ rest <= (CLOSE * value) ** 2 and 3 * value * value > 2 * np.vdot(power, power):
            return v
    return None
