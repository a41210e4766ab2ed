"""What can go wrong in this room, each error with one plain sentence for the person who caused it."""

from collections.abc import Sequence


class ExplainError(Exception):
    """What was asked cannot be explained; the message is one plain sentence that says what to do."""


class PhotoError(ExplainError):
    """A picture cannot be read: missing, empty, damaged, too large, or not a picture at all."""


class TargetError(ExplainError):
    """A target is unknown, or there are not as many lists of targets as photographs."""

    @classmethod
    def unknown(cls, target: object, labels: Sequence[str]) -> "TargetError":
        """Of a target that is none of the labels."""
        known = ", ".join(labels[:10]) + (", ..." if len(labels) > 10 else "")
        return cls(f"There is no class {target!r}; the classes are: {known}.")


class LayerError(ExplainError):
    """A layer is unknown, or a model has none that could be shown as a map."""


class EngineError(ExplainError):
    """An engine is unknown, not installed, or cannot run the model."""
