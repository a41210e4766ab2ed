"""Fixtures that every room's tests share."""

import atexit
import gc
import os
import random
import shutil
import tempfile
from pathlib import Path

# As in the app: OpenBLAS threads go on spinning after a product and take a core from the other worker.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# There are more workers than cores: TensorFlow's threads would only wait for each other.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
if "PARALLAX_GRAPHS" not in os.environ:
    # One folder for all workers of a run and their servers, and none that knows an earlier run.
    os.environ["PARALLAX_GRAPHS"] = tempfile.mkdtemp(prefix="parallax-graphs-")
    atexit.register(shutil.rmtree, os.environ["PARALLAX_GRAPHS"], ignore_errors=True)

import pytest

from models.quiet import import_keras

# Networks are a million objects and no garbage: to look for some, time and again, takes a twelfth of the time.
gc.set_threshold(50_000, 20, 100)

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module", autouse=True)
def only_what_is_new_is_looked_through() -> None:
    """What is imported, collected and shared is no garbage: each full collection would look through a million objects.

    Streamlit collects after every run of a page, KerasTuner twice for each network.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with photographs that the repository does not carry."""
    folder = Path(os.environ.get("PARALLAX_DATA_ROOT", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("needs the photographs: name their folder in PARALLAX_DATA_ROOT")
    return folder


@pytest.fixture(scope="session")
def shipped():
    """The pair of runs that the repository ships."""
    import models

    names = ("cats_vs_dogs/sgd", "cats_vs_dogs/adam")
    return {name: models.load(name) for name in names}


SHARED = {"tests/ui/test_browser_": "app", "tests/ui/test_corpus": "app"}
SHARED |= {"tests/explain/test_main": "shipped", "tests/explain/test_truths": "shipped"}
SHARED |= {"tests/spaces/test_gradio": "spaces", "tests/spaces/test_static": "spaces"}
"""Files that share a server, or networks, by how their paths begin; every other file is a group of its own."""
FIRST = ("tests/ui/test_browser_", "tests/spaces/test_static", "tests/spaces/test_gradio")
FIRST += ("tests/ui/test_bring.py", "tests/spaces/test_docker.py")
"""Files that come first, by how their paths begin: what is short comes last, so that all workers end together. Gradio's
server finds what the app's has remembered meanwhile."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Where tests are collected, Keras comes first and quietly; who only hands them out to workers needs none."""
    if hasattr(session.config, "workerinput") or not session.config.getoption("numprocesses", None):
        import_keras()


def group_of(nodeid: str) -> str:
    """The group of a test: all tests of one go to one worker."""
    file = nodeid.split("::")[0]
    return next((name for start, name in SHARED.items() if file.startswith(start)), file)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Keras draws its seeds from here: a network of a test has the same first weights in every run."""
    random.seed(1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """`--dist loadfile`, but by groups in the order of collection; xdist's own marks for it fail in pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return Groups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser on a busy machine may miss a moment: its tests have three tries, and the report names every rerun."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=2))
    items.sort(key=lambda item: [not item.nodeid.startswith(start) for start in FIRST])
