"""The methods by name: formulas, which cost no more than a pass, and perturbations, which cost many."""

from collections.abc import Sequence

from explain import perturbation
from explain.errors import EngineError
from explain.formulas import FORMULAS
from explain.perturbation import PERTURBATIONS

DEFAULT = "hires_cam"
"""What is shown where nobody asks for another: below the last convolution, Grad-CAM's mean over the gradient puts
evidence where there is none (Draelos and Carin, HiResCAM, arXiv:2011.08891); at `top` the two are the same."""
ODD = ("grad_cam", "hires_cam", "xgrad_cam", "eigen_grad_cam")
"""Formulas that change their sign with the logit."""
EIGEN = ("eigen_cam", "eigen_grad_cam")
"""Formulas of eigenvectors, which cost the most."""
FIXED = ("eigen_cam",)
"""Formulas that no target changes."""


def title(method: str) -> str:
    """What a method is called: `Grad-CAM`."""
    equation = FORMULAS.get(method) or getattr(perturbation, method)
    return (equation.__doc__ or method).split(":")[0]


def check_methods(methods: Sequence[str]) -> None:
    """Raises EngineError, which names all methods, if one of these is none."""
    known = (*FORMULAS, *PERTURBATIONS)
    for method in methods:
        if method not in known:
            raise EngineError(f"There is no method {method!r}; the methods are: {', '.join(known)}.")
