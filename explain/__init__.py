"""What a Keras classifier says of a photograph, and where it looks, at every layer.

explainer = explain.Explainer(model, labels=("cat", "dog"))
found = explainer("photo.jpg", targets=("cat",))
found.probabilities, found.maps["hires_cam"]["5c"]
"""

import sys
from typing import TYPE_CHECKING, Any

from explain.errors import EngineError, ExplainError, LayerError, PhotoError, TargetError

# OpenVINO reports each import of it to a statistics server, unless this is not to be had.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

if TYPE_CHECKING:
    from explain.anatomy import MBConv
    from explain.checks import Finding, check
    from explain.explainer import Explainer
    from explain.explanation import Explanation
    from explain.remembered import remember

__all__ = [
    "EngineError",
    "ExplainError",
    "Explainer",
    "Explanation",
    "Finding",
    "LayerError",
    "MBConv",
    "PhotoError",
    "TargetError",
    "check",
    "remember",
]


def __getattr__(name: str) -> Any:
    # Photographs can be read without waiting seconds for Keras.
    if name in ("Explainer", "Explanation", "MBConv"):
        from explain import explainer

        return getattr(explainer, name)
    if name in ("Finding", "check"):
        from explain import checks

        return getattr(checks, name)
    if name == "remember":
        from explain import remembered

        return remembered.remember
    raise AttributeError(f"module 'explain' has no attribute {name!r}")


def __dir__() -> list[str]:
    # What is imported late is offered and described all the same.
    return sorted({*globals(), *__all__})
