"""The page's memory, without a browser."""

import gc
import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from ui import samples

PAGE = Path(__file__).parents[2] / "ui" / "navigation.py"


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    for number in range(8):
        Image.new("RGB", (40, 40), (30 * number, 99, 160)).save(folder / f"{number}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(samples.FOLDER, str(folder))
        samples.samples.cache_clear()
        yield AppTest.from_file(PAGE, default_timeout=120)
    samples.samples.cache_clear()


def test_a_session_keeps_a_few_photographs(app):
    for number in [*range(8), 7]:
        app.query_params["photo"] = f"{number}.png"
        app.run()
        assert not app.exception
        assert app.session_state["last"].sample == f"{number}.png"
    kept = app.session_state["kept"]
    assert [key[1] for key in kept] == ["2", "3", "4", "5", "6", "7"]


def test_nothing_of_a_photograph_outlives_its_session(app):
    app.query_params.clear()
    file = io.BytesIO()
    Image.new("RGB", (41, 37), "navy").save(file, "PNG")
    content = file.getvalue()
    before = sys.getrefcount(content)
    app.session_state["offered"] = SimpleNamespace(name="mine", sample="", content=content)
    app.run()
    assert app.session_state["own"].name == "mine"
    assert sys.getrefcount(content) > before
    for key in ("own", "last", "kept"):
        del app.session_state[key]
    app.run()
    gc.collect()
    assert sys.getrefcount(content) == before
    assert not [one for one in gc.get_objects() if isinstance(one, Image.Image) and one.size == (41, 37)]
