"""What can go wrong with a run, said in one sentence."""


class ModelError(Exception):
    """A run that cannot be found, read or trusted; the message is one plain sentence for a person."""
