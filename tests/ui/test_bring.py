"""A model of one's own on the Look page, without a browser: what is shown, what is refused, and what is kept."""

import gc
import re
import tempfile
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

import models
from explain import compiled
from models import Card, save
from tests.explain.networks import small_net
from tests.models.a_hub import State, serving
from tests.ui import strangers
from ui import bring, guests, runs, warm_up
from ui.viewer import streamlit

PAGE = Path(__file__).parents[2] / "ui" / "navigation.py"
LABELS = ("cat", "dog")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What visitors bring."""
    folder = tmp_path_factory.mktemp("strangers")
    strangers.nested(folder / "mine.keras")
    strangers.untrained(folder / "raw.keras")
    strangers.with_a_program(folder / "program.keras")
    return folder


@pytest.fixture(scope="module", autouse=True)
def shipped(tmp_path_factory):
    """Two small runs in the place of the shipped ones."""
    folder = tmp_path_factory.mktemp("checkpoints")
    cached = (runs.cards, runs._shipped)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.applications, "SmallNet", small_net, raising=False)
        for seed, run in enumerate(("sgd", "adam")):
            keras.utils.set_random_seed(seed)
            card = Card("pets", run, "SmallNet", LABELS, strangers.SIZE, 2)
            save(models.graphs.build("SmallNet", strangers.SIZE, 2), card, folder / "pets" / run)
        find = models.find
        patch.setattr(models, "CHECKPOINTS", folder)
        patch.setattr(models, "names", lambda: models.store.names(folder))
        patch.setattr(models, "find", lambda name: find(name, folder))
        for one in cached:
            one.cache_clear()
        warm_up.wait()
        yield
    for one in cached:
        one.cache_clear()


@pytest.fixture
def trusted(monkeypatch):
    """Whoever comes is let in without the checks, which take half of the time: for what happens afterwards."""
    monkeypatch.setattr(guests, "check", lambda *_: ())


@pytest.fixture
def app(monkeypatch):
    monkeypatch.delenv(bring.SETTING, raising=False)
    return AppTest.from_file(PAGE, default_timeout=120).run()


def give(app: AppTest, file: Path, name: str = "") -> AppTest:
    """Put a file into the field."""
    field = next(one for one in app.file_uploader if one.label == "A Keras file of your own")
    field.set_value((name or file.name, file.read_bytes(), "application/octet-stream"))
    app.run()
    assert not app.exception
    return app


def told(app: AppTest) -> str:
    """What the page says of the model."""
    headline, sentences = app.session_state["guest_report"]
    return " ".join([headline, *sentences])


@pytest.fixture(autouse=True)
def sent(monkeypatch) -> None:
    """Every session notes what its page sends to the viewer."""
    viewer = streamlit.viewer

    def noting(payload, about, *more, **named):
        st.session_state["sent"] = payload.meta | about
        return viewer(payload, about, *more, **named)

    monkeypatch.setattr(streamlit, "viewer", noting)


def meta(app: AppTest) -> dict:
    """What the page last sent to the viewer."""
    return app.session_state["sent"]


def shown(app: AppTest) -> list[str]:
    """The runs of the photograph that is on the page, as the page calls them."""
    return [run["name"] for run in meta(app)["runs"]]


def test_a_click_while_a_model_is_prepared_loses_nothing_and_begins_nothing_anew(app, files, trusted, monkeypatch):
    take, progress, clicked, calls = guests.from_file, DeltaGenerator.progress, threading.Event(), []

    def watched(content, file, say):
        calls.append(file)
        say(0.0, "Begun")
        assert clicked.wait(60)
        return take(content, file, say)

    def click(*_, **__):
        monkeypatch.setattr(DeltaGenerator, "progress", progress)
        clicked.set()
        st.stop()

    monkeypatch.setattr(guests, "from_file", watched)
    monkeypatch.setattr(DeltaGenerator, "progress", click)
    give(app, files / "mine.keras").run()
    assert shown(app) == ["SGD", "mine"]
    assert calls == ["mine.keras"]
    assert "brought" not in app.session_state


def test_a_model_that_is_brought_instead_of_another_does_not_wait_for_it(monkeypatch):
    begun, replaced, threads, further = threading.Event(), threading.Event(), [], []

    def take(name, say):
        threads.append(threading.current_thread())
        say(0.0, "Begun")
        if name == "hf://a/first":
            begun.set()
            assert replaced.wait(60)
            say(0.1, "Checking")
            further.append(name)
        replaced.set()
        threads[0].join(60)
        raise guests.GuestError("It is no model.")

    def click(*_, **__):
        assert begun.wait(60)
        if len(threads) == 1:
            st.stop()

    def page() -> None:
        from ui import bring

        bring.offer()

    monkeypatch.setattr(guests, "from_hub", take)
    monkeypatch.setattr(DeltaGenerator, "progress", click)
    app = AppTest.from_function(page, default_timeout=120).run()
    for name in ("a/first", "a/second"):
        app.text_input[0].set_value(name).run()
    assert told(app) == "hf://a/second is not shown. It is no model."
    assert not further


def test_a_field_that_is_reported_once_more_brings_nothing():
    def page() -> None:
        import streamlit as st
        from streamlit.runtime.uploaded_file_manager import DeletedFile

        from ui import bring

        st.session_state["guest_turn"], st.session_state["guest_file_0"] = 1, DeletedFile("an id")
        bring._take_file(0)

    app = AppTest.from_function(page).run()
    assert not app.exception
    assert "brought" not in app.session_state


def test_a_model_stands_beside_a_run_and_takes_the_names_of_its_classes(app, files):
    from explain import Explainer
    from ui import samples

    assert shown(app) == ["SGD", "Adam"]
    give(app, files / "mine.keras")
    assert told(app).startswith("mine is shown on the right. Its classes have no names")
    assert shown(app) == ["SGD", "mine"]
    assert [one["label"] for one in meta(app)["classes"]] == list(LABELS)
    assert {one["label"] for one in meta(app)["runs"][1]["top"]} == set(LABELS)
    # What explain finds by itself.
    model = keras.saving.load_model(files / "mine.keras")
    found = Explainer(model, engine="tensorflow")(samples.samples()[0].path, targets=(0, 1))
    mine = meta(app)["runs"][1]
    assert np.allclose(mine["probabilities"], found.probabilities, atol=1e-4)
    strengths = [np.abs(maps[0]).max() for maps in found.maps["hires_cam"].values()]
    assert np.allclose([one["strength"] for one in mine["maps"][0]], strengths, rtol=2e-3)


def test_a_broken_model_is_one_report_and_the_page_goes_on(app, files, tmp_path):
    torn = tmp_path / "torn.keras"
    torn.write_bytes((files / "mine.keras").read_bytes()[:5_000])
    broken = {
        files / "raw.keras": "the statistics of a new layer",
        files / "program.keras": "its Lambda is a program",
        torn: "is damaged, or was not written by Keras",
    }
    for path, sentence in broken.items():
        give(app, path)
        assert f"{path.name} is not shown." in told(app)
        assert sentence in told(app)
        assert shown(app) == ["SGD", "Adam"]
        assert not app.session_state["guests"]
    give(app, files / "mine.keras")
    assert shown(app) == ["SGD", "mine"]


def test_another_kind_of_network_stands_alone(app, files, tmp_path):
    strangers.nested(tmp_path / "three.keras", units=3)
    give(app, tmp_path / "three.keras")
    assert "three is shown alone: it tells 3 classes apart and SGD 2." in told(app)
    assert shown(app) == ["three"]


def test_two_are_kept_and_two_of_one_name_are_told_apart(app, files, trusted):
    for _ in range(3):
        give(app, files / "mine.keras")
    titles = [guest.title for guest in app.session_state["guests"].values()]
    assert len(set(titles)) == len(titles) == bring.MOST_KEPT
    assert next(box for box in app.selectbox if box.label == "Right").value in app.session_state["guests"]


@pytest.mark.parametrize("name", ["Adam", "adam"])
def test_a_model_that_is_called_like_a_run_is_told_apart(app, files, trusted, tmp_path, name):
    (tmp_path / f"{name}.keras").write_bytes((files / "mine.keras").read_bytes())
    give(app, tmp_path / f"{name}.keras")
    assert shown(app) == ["SGD", f"{name} 2"]


def test_a_model_goes_with_its_visitor(app, files, trusted):
    give(app, files / "mine.keras")
    here = len(runs.guests)
    assert here
    del app.session_state["guests"]
    gc.collect()
    assert len(runs.guests) == here - 1


def test_nothing_of_a_model_stays_on_the_disk(app, files, monkeypatch, tmp_path):
    monkeypatch.setenv(compiled.VARIABLE, str(tmp_path))
    give(app, files / "mine.keras")
    (name,) = runs.guests
    assert runs.explainer(name).engine == "openvino"
    assert not list(tmp_path.iterdir())
    # As it would were it a run of the house.
    runs.prepare(keras.saving.load_model(files / "mine.keras"), runs.guests[name].card)
    assert list(tmp_path.iterdir())


def test_all_visitors_together_bring_so_much(app, files, trusted, monkeypatch):
    gc.collect()
    assert not runs.guests
    other = AppTest.from_file(PAGE, default_timeout=120).run()
    give(other, files / "mine.keras")
    (guest,) = runs.guests.values()
    monkeypatch.setattr(guests, "MOST_WEIGHTS", guest.weights + 10)
    give(app, files / "mine.keras")
    assert "other visitors take all the room" in told(app)
    assert shown(app) == ["SGD", "Adam"]
    assert shown(other) == ["SGD", "mine"]


def test_a_model_whose_maps_would_fill_the_memory_is_refused(app, files, monkeypatch):
    monkeypatch.setattr(guests, "MOST_VALUES", 10_000)
    give(app, files / "mine.keras")
    assert "numbers behind the maps of one photograph; 10,000 are the most" in told(app)


def test_a_model_on_the_hub(app, files, trusted, monkeypatch, tmp_path):
    state = State({"somebody/mine": {"a" * 40: {"mine.keras": (files / "mine.keras").read_bytes()}}})
    with serving(state, monkeypatch, tmp_path / "cache"):
        for name in ("hf://somebody/mine@main", "somebody/nothing"):
            next(one for one in app.text_input if "Hub" in one.label).set_value(name).run()
            assert shown(app) == ["SGD", "mine"]
    assert "There is no somebody/nothing on the Hub" in told(app)
    assert not app.exception


@pytest.mark.parametrize(
    "name", ["../../etc/passwd.keras", "..\\..\\x.keras", "<b>.keras", f"{'a' * 300}.keras", ".keras"]
)
def test_a_file_s_name_is_only_a_name(monkeypatch, name):
    given = []
    monkeypatch.setattr(guests, "_welcome", lambda source, title, _: given.append((Path(source), title)))
    guests.from_file(b"model", name, lambda *_: None)
    ((path, title),) = given
    assert path.parent.parent == Path(tempfile.gettempdir())
    assert path.name == f"{title}.keras"
    assert re.fullmatch(r"[\w.-]{1,40}", title)
    assert not path.exists()


def test_nobody_brings_anything_where_that_is_off(files, monkeypatch):
    monkeypatch.setenv(bring.SETTING, "0")
    app = AppTest.from_file(PAGE, default_timeout=120).run()
    assert not [one for one in app.file_uploader if "Keras" in one.label]
    assert not [one for one in app.text_input if "Hub" in one.label]
    assert shown(app) == ["SGD", "Adam"]


def test_a_guest_with_names_of_its_own_stands_beside_those_names_only(files):
    model = keras.saving.load_model(files / "mine.keras")
    card = Card("yours", "mine", "mine", ("lynx", "wolf"), strangers.SIZE, 2)
    explainer = runs.prepare(model, card)
    mine = {
        f"yours/{labelled}": runs.Guest("mine", card, explainer, weights=1, labelled=labelled)
        for labelled in (True, False)
    }
    runs.guests.update(mine)
    assert runs.unlike("yours/True", "pets/sgd") == "tells other classes apart than SGD"
    assert not runs.unlike("yours/False", "pets/sgd")
