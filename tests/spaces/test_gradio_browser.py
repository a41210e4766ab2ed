"""The Gradio Space for people, in a real browser."""

import io
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import expect

from tests.explain import pictures
from tests.spaces.gradio_space import PAIR, Space
from tests.ui.tab import Tab, leave, pixels, shut_out, visit

pytestmark = pytest.mark.browser

LAYERS = "stem 1a 2a 2b 3a 3b 4a 4b 4c 5a 5b 5c 6a 6b 6c 6d 7a top".split()
SIZES = {"a projector": (1280, 720), "a large one": (1920, 1080), "a phone": (390, 844)}
PAPER = {"light": "rgb(251, 251, 249)", "dark": "rgb(17, 19, 22)"}


@pytest.fixture
def look(space: Space, visitor: Callable) -> Iterator[Callable[..., Tab]]:
    """Opens the page; whatever a test does there asks no other host and breaks nothing."""
    tabs: list[Tab] = []

    def open_tab(address: str = "/", **options) -> Tab:
        tab = visit(visitor(**options).new_page(), space.url + address)
        tabs.append(tab)
        return tab.ready()

    yield open_tab
    for tab in tabs:
        leave(tab)
    for tab in tabs:
        assert not tab.errors
        assert tab.hosts == {urlsplit(space.url).netloc}


@pytest.fixture(scope="module")
def harbour() -> bytes:
    return pictures.encoded(pictures.photograph(400, 300), "JPEG", quality=95)


def test_the_page_opens_with_evidence_and_depth_moves_without_the_server(look):
    tab = look()
    tab.at("top")
    expect(tab.page).to_have_title("Parallax")
    expect(tab.page).to_have_url(re.compile(r"\?photo=chelsea#layer=top&show=positive&"))
    expect(tab.button("chelsea")).to_have_attribute("aria-pressed", "true")
    for run in ("SGD", "Adam"):
        assert pixels(tab.evidence(run)).std() > 10
    expect(tab.alert).to_have_count(0)
    before = len(tab.requests)
    tab.depth.focus()
    for layer in LAYERS[-2::-1]:
        tab.page.keyboard.press("ArrowLeft")
        tab.at(layer)
    expect(tab.page).to_have_url(re.compile("layer=stem"))
    assert len(tab.requests) == before


def test_an_upload_is_explained_as_programs_hear_it(look, space, harbour, tmp_path):
    tab = look("/?photo=china#layer=5c&class=dog&show=signed")
    tab.at("5c")
    before = set(space.files.rglob("*"))
    tab.upload("a <b>harbour</b>.jpg", harbour)
    tab.ready("a <b>harbour</b>.jpg")
    expect(tab.page).to_have_url(re.compile(r"/#layer=5c&class=dog"))
    # What the page is given never lies on the server's disk.
    assert set(space.files.rglob("*")) <= before
    path = tmp_path / "harbour.jpg"
    path.write_bytes(harbour)
    client = Client(space.url, verbose=False, analytics_enabled=False, download_files=tmp_path)
    _, npz, _ = client.predict(handle_file(path), list(PAIR), ["5c"], ["dog"], api_name="/explain")
    numbers = np.load(npz)
    for run, shown in zip(PAIR, ("SGD", "Adam"), strict=True):
        strength = np.abs(numbers[f"{run}/hires_cam/5c/dog"]).max()
        said = re.search(r"strength ([\d.e−-]+)", tab.evidence(shown).get_attribute("aria-label") or "")
        assert said is not None
        assert float(said[1].replace("−", "-")) == pytest.approx(strength, rel=0.06)
    seen = Image.fromarray(pixels(tab.seen)).resize((224, 224), Image.Resampling.BOX)
    assert np.abs(np.asarray(seen, float) - numbers["seen"]).mean() < 3


def test_a_bad_file_gets_a_sentence_and_the_last_photograph_stays(look, harbour):
    tab = look("/?photo=nowhere")
    expect(tab.alert).to_have_text("The photograph that the address names is not here.")
    tab.ready("chelsea")
    tab.upload("good.jpg", harbour)
    tab.ready("good.jpg")
    expect(tab.alert).to_have_count(0)
    before = pixels(tab.evidence("Adam"))
    for name in ("text.jpg", "truncated.jpg", "bomb.png"):
        tab.upload(name, pictures.BAD[name]())
        expect(tab.alert).to_contain_text(f'"{name}"')
        said = tab.alert.inner_text()
        assert said.endswith(".") and said.count(". ") == 0
        tab.ready("good.jpg")
        assert np.array_equal(pixels(tab.evidence("Adam")), before)
    places = _places(tab)
    tab.upload(f"{'long' * 20}.jpg", pictures.BAD["text.jpg"]())
    expect(tab.alert).to_contain_text("longlong")
    # Said over the page, it moves nothing.
    assert _places(tab) == places
    tab.upload("enormous.jpg", bytes(20_000_001))
    expect(tab.alert).to_have_text('"enormous.jpg" has more than 20 MB: make it smaller first.')
    # Other runs are asked about the photograph that stands, not about the one that was refused.
    tab.page.get_by_label("Right run").select_option(label="SGD seed 1")
    expect(tab.evidence("SGD seed 1")).to_be_visible()
    tab.ready("good.jpg")
    expect(tab.alert).to_have_count(0)


def _places(tab: Tab) -> list:
    """Where a run's evidence stands in windows of several sizes."""
    found = []
    for width, height in ((1000, 720), SIZES["a phone"]):
        tab.page.set_viewport_size({"width": width, "height": height})
        found.append(tab.evidence("Adam").bounding_box())
    return found


def test_without_a_connection_nobody_waits_for_ever(look, harbour):
    tab = look()
    network = tab.page.context
    network.set_offline(True)
    try:
        tab.upload("good.jpg", harbour)
        expect(tab.alert).to_have_text("There is no connection: try again when it is back.")
        tab.ready("chelsea")
    finally:
        network.set_offline(False)
    # What a browser says beside a server on a machine without a network.
    tab.page.evaluate("Object.defineProperty(navigator, 'onLine', { value: false })")
    tab.upload("good.jpg", harbour)
    tab.ready("good.jpg")
    expect(tab.alert).to_have_count(0)
    # Gradio's own questions to its server, meanwhile.
    assert all("ERR_INTERNET_DISCONNECTED" in error for error in tab.errors)
    tab.errors.clear()


def test_a_server_that_is_gone_is_told_and_the_page_begins_anew_when_it_is_back(look, harbour):
    tab = look()
    tab.page.route("**/*", lambda route: route.abort())
    tab.upload("good.jpg", harbour)
    gone = "The server does not answer: this page begins anew when it does."
    expect(tab.alert).to_have_text(gone)
    tab.ready("chelsea")
    tab.page.get_by_label("Right run").select_option(label="SGD seed 1")
    tab.ready("chelsea")
    expect(tab.alert).to_have_text(gone)
    with tab.page.expect_event("load"):
        tab.page.unroute("**/*")
    tab.ready("chelsea")
    expect(tab.alert).to_have_count(0)
    assert all("ERR_FAILED" in error or "Failed to fetch" in error for error in tab.errors)
    tab.errors.clear()


def test_what_programs_can_ask_is_told_over_the_photograph_of_ones_own(look, harbour):
    tab = look()
    tab.upload("good.jpg", harbour)
    tab.ready("good.jpg")
    tab.button("API").click()
    told = tab.page.locator(".api-docs")
    for tool in ("predict", "explain"):
        expect(told.get_by_text(tool, exact=True).first).to_be_visible()
    tab.ready("good.jpg")


def test_other_runs_the_numbers_of_what_is_shown_and_the_camera(look):
    tab = look("/?photo=coffee&left=%3Cb%3E&right=cats_vs_dogs/sgd-seed1")
    tab.ready("coffee")
    expect(tab.alert).to_have_text("The run that the address names is not here: <b>.")
    left, right = (tab.page.get_by_label(f"{side} run") for side in ("Left", "Right"))
    expect(right).to_have_value("cats_vs_dogs/sgd-seed1")
    expect(tab.page).to_have_url(re.compile("right=cats_vs_dogs%2Fsgd-seed1"))
    # Who chooses for one side the run of the other changes the two.
    left.select_option("cats_vs_dogs/sgd-seed1")
    expect(right).to_have_value("cats_vs_dogs/sgd")
    expect(tab.page).to_have_url(re.compile("right=cats_vs_dogs%2Fsgd#"))
    tab.ready("coffee")
    with tab.page.expect_download() as download:
        tab.button("Download the numbers as npz").click()
    assert download.value.suggested_filename == "parallax-coffee.npz"
    numbers = np.load(io.BytesIO(Path(download.value.path()).read_bytes()))
    runs = ("cats_vs_dogs/sgd", "cats_vs_dogs/sgd-seed1")
    maps = {f"{run}/hires_cam/{layer}/{target}" for run in runs for layer in LAYERS for target in ("cat", "dog")}
    assert maps < set(numbers.files)
    tab.ready("coffee")
    _camera(tab)


def _camera(tab: Tab) -> None:
    """It gives a photograph, and is off afterwards."""
    tab.button("Camera").click()
    dialog = tab.page.get_by_role("dialog", name="Camera")
    expect(dialog).to_be_visible()
    tab.page.wait_for_function("document.querySelector('video').videoWidth > 0")
    tab.page.evaluate("globalThis.track = document.querySelector('video').srcObject.getTracks()[0]")
    dialog.get_by_role("button", name="Take the photograph").click()
    tab.ready("camera")
    expect(dialog).to_be_hidden()
    assert tab.page.evaluate("track.readyState") == "ended"


def test_who_waits_is_told_the_place(look, space, harbour, tmp_path):
    path = tmp_path / "harbour.jpg"
    path.write_bytes(harbour)
    client = Client(space.url, verbose=False, analytics_enabled=False, download_files=tmp_path)
    tab = look()
    tab.page.evaluate("""
      globalThis.said = [];
      const viewer = document.querySelector(".parallax-viewer").shadowRoot;
      new MutationObserver(() => said.push(viewer.querySelector(".px-note").textContent))
        .observe(viewer, { subtree: true, childList: true, characterData: true });
    """)
    jobs = [client.submit(handle_file(path), list(PAIR), ["top"], api_name="/explain") for _ in range(6)]
    while not any((job.status().rank or 0) > 2 for job in jobs):
        assert not all(job.done() for job in jobs)
        time.sleep(0.02)
    tab.button("china").click()
    tab.ready("china")
    for job in jobs:
        job.result()
    assert any(re.fullmatch(r"Number \d of \d in the queue", words) for words in tab.page.evaluate("said"))


@pytest.mark.parametrize("theme", PAPER)
def test_it_fits_in_both_themes_and_does_not_look_like_gradio(look, theme):
    tab = look(color_scheme=theme)
    tab.at("top")
    page = tab.page
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == PAPER[theme]
    expect(page.locator(".parallax")).to_have_attribute("data-theme", theme)
    for width, height in SIZES.values():
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function(f"document.documentElement.scrollWidth <= {width}")
        if width > height:
            page.wait_for_function(f"document.documentElement.scrollHeight <= {height}")
        assert page.locator(".parallax").bounding_box()["width"] > 0.92 * width
        assert shut_out(page, theme) == []
    page.emulate_media(media="print")
    expect(page.get_by_role("heading", name="Parallax")).to_have_css("color", "rgb(20, 24, 29)")
    expect(page.get_by_text("Upload")).to_be_hidden()
    page.emulate_media(media="screen")
    expect(page.locator("footer")).to_be_hidden()
    expect(page.locator("[data-testid=status-tracker]").locator("visible=true")).to_have_count(0)
    fonts = page.evaluate("[...document.fonts].filter((font) => font.status === 'loaded').map((font) => font.family)")
    assert fonts == []
