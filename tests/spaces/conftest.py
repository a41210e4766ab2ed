"""One Gradio Space and one static one, for programs and for people."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.spaces.gradio_space import Space, running
from tests.spaces.static_space import assembled
from tests.ui.conftest import browser_type_launch_args, visitor  # noqa: F401


@pytest.fixture(scope="session")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    """A running Gradio Space that asks no other machine for anything and never says more than it should."""
    with running(tmp_path_factory.mktemp("gradio")) as one:
        yield one
        assert one.asked == []
        log = one.log.read_text(errors="replace")
        # Gradio itself logs who asks for a file that nobody uploaded.
        assert log.count("Traceback") == log.count("gradio.exceptions.InvalidPathError:")


@pytest.fixture(scope="session")
def static_folder(tmp_path_factory: pytest.TempPathFactory, shipped: dict) -> Path:
    """What the static Space of the shipped pair is made of."""
    with pytest.MonkeyPatch.context() as patch:
        # Loaded once, for those who compare with it too.
        patch.setattr("models.load", shipped.__getitem__)
        return assembled(tmp_path_factory.mktemp("static") / "space")


@pytest.fixture(scope="session")
def explainers(shipped: dict) -> dict:
    """The shipped pair, explained by the library: what every Space must say."""
    from explain import Explainer

    return {name: Explainer(run.model, labels=run.labels, threads=1) for name, run in shipped.items()}
