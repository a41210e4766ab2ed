"""Fixtures that every room's tests share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with photographs and base weights that the repository does not carry."""
    folder = Path(os.environ.get("PARALLAX_DATA_ROOT", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("needs the photographs and base weights: name their folder in PARALLAX_DATA_ROOT")
    return folder


@pytest.fixture(scope="session")
def shipped():
    """The pair of runs that the repository ships."""
    import models

    names = ("cats_vs_dogs/sgd", "cats_vs_dogs/adam")
    return {name: models.load(name) for name in names}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser on a busy machine may miss a moment: its tests have three tries, and the report names every rerun."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=2))
