"""What a Keras classifier says of a photograph, and where it looks, at every layer.

explainer = explain.Explainer(model, labels=("cat", "dog"))
found = explainer("photo.jpg", targets=("cat",))
found.probabilities, found.maps["grad_cam"]["5c"]
"""

from typing import TYPE_CHECKING, Any

from explain.errors import EngineError, ExplainError, LayerError, PhotoError, TargetError

if TYPE_CHECKING:
    from explain.explainer import Explainer, Explanation

__all__ = [
    "EngineError",
    "ExplainError",
    "Explainer",
    "Explanation",
    "LayerError",
    "PhotoError",
    "TargetError",
]


def __getattr__(name: str) -> Any:
    # Photographs can be read without waiting seconds for Keras.
    if name in ("Explainer", "Explanation"):
        from explain import explainer

        return getattr(explainer, name)
    raise AttributeError(f"module 'explain' has no attribute {name!r}")
