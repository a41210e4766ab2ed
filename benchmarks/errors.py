"""The one error of this room."""


class BenchmarkError(Exception):
    """Something that a person can put right; the message is one plain sentence."""
