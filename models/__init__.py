"""What a run is: its graph, its card, its weights, saved and loaded."""

from models.card import Card
from models.errors import ModelError
from models.store import CHECKPOINTS, Run, find, load, names, save

__all__ = ["CHECKPOINTS", "Card", "ModelError", "Run", "find", "load", "names", "save"]
