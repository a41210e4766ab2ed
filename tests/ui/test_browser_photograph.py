"""Photographs of one's own, the samples, and files that are none."""

import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from explain.render import percent
from tests.explain import pictures
from tests.ui.tab import pixels

pytestmark = pytest.mark.browser

SHIFTS = """
  globalThis.shifts = [];
  new PerformanceObserver((list) => {
    for (const { value } of list.getEntries()) shifts.push(value);
  }).observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture(scope="module")
def retriever() -> bytes:
    """A JPEG of something brown on green, that no sample is."""
    y, x = np.mgrid[:300, :400]
    inside = ((x - 200) / 110) ** 2 + ((y - 160) / 90) ** 2 < 1
    noise = np.random.default_rng(3).normal(0, 12, (300, 400, 1))
    picture = np.where(inside[..., None], (150, 105, 60), (70, 120, 60)) + noise
    return pictures.encoded(Image.fromarray(picture.clip(0, 255).astype(np.uint8)), "JPEG", quality=90)


def test_an_upload_is_explained_as_explain_does(look, explainers, retriever):
    tab = look()
    tab.upload("a retriever.jpg", retriever)
    tab.ready("a retriever.jpg")
    seen = explainers["sgd"].see(retriever)
    shown = Image.fromarray(pixels(tab.seen)).resize(seen.shape[:2], Image.Resampling.BOX)
    assert np.abs(np.asarray(shown, float) - seen).mean() < 3
    cats = tab.page.get_by_role("group", name="Class").get_by_role("button", name="cat")
    for run in ("sgd", "adam"):
        found = explainers[run](retriever)
        expect(cats).to_contain_text(percent(found.probabilities[found.labels.index("cat")]))
    expect(tab.page).to_have_url(re.compile(r"/#"))


def test_nothing_moves_while_another_photograph_comes(look, retriever):
    tab = look()
    tab.page.evaluate(SHIFTS)
    tab.page.evaluate("shifts.length = 0")
    tab.upload("one.jpg", retriever)
    tab.ready("one.jpg")
    tab.button("china").click()
    tab.ready("china")
    tab.upload("text.jpg", pictures.BAD["text.jpg"]())
    expect(tab.alert).to_be_visible()
    assert tab.page.evaluate("shifts.reduce((sum, shift) => sum + shift, 0)") < 0.05
    expect(tab.page.locator("[data-stale='true']").locator("visible=true")).to_have_count(0)


def test_files_that_are_no_photographs_get_one_sentence_and_the_last_one_stays(look, server, retriever):
    tab = look()
    tab.upload("secret name.jpg", retriever)
    tab.ready("secret name.jpg")
    before = pixels(tab.evidence("Adam"))
    for name, content in pictures.BAD.items():
        tab.upload(name, content())
        expect(tab.alert).to_contain_text(f'"{name}"')
        said = tab.alert.inner_text()
        assert said.count(". ") == 0
        assert said.endswith(".")
        assert "Traceback" not in said
        assert np.array_equal(pixels(tab.evidence("Adam")), before)
    tab.upload("secret text.jpg", b"secret words")
    expect(tab.alert).to_contain_text('"secret text.jpg"')
    tab.upload("good again.jpg", retriever)
    tab.ready("good again.jpg")
    expect(tab.alert).to_have_count(0)
    tab.upload("enormous.jpg", bytes(21 << 20))
    expect(tab.alert).to_contain_text("20.0MB or smaller")
    expect(tab.alert).to_be_in_viewport()
    # Wider than the button that it belongs to: a column of words covered the photograph.
    assert tab.alert.bounding_box()["height"] < 40
    tab.upload("small.jpg", retriever)
    tab.ready("small.jpg")
    expect(tab.alert).to_have_count(0)
    assert "secret" not in server.log.read_text(errors="replace")


def test_odd_files_are_photographs(look, explainers):
    """A few of those that `explain.photo` is tested with: all of them take one way."""
    tab = look()
    for name in ("turned.jpg", "panorama.jpg", "phone.heic"):
        content = pictures.ODD[name]()
        tab.upload(name, content)
        tab.ready(name)
        expect(tab.alert).to_have_count(0)
        seen = explainers["sgd"].see(content)
        shown = Image.fromarray(pixels(tab.seen)).resize(seen.shape[:2], Image.Resampling.BOX)
        assert np.abs(np.asarray(shown, float) - seen).mean() < 4, name


def test_the_same_file_twice_a_sample_between_and_back(look, retriever):
    tab = look()
    tab.upload("mine.jpg", retriever)
    tab.ready("mine.jpg")
    tab.upload("mine.jpg", pictures.BAD["text.jpg"]())
    expect(tab.alert).to_be_visible()
    tab.upload("mine.jpg", retriever)
    expect(tab.alert).to_have_count(0)
    tab.button("china").click()
    tab.ready("china")
    expect(tab.page).to_have_url(re.compile(r"\?photo=china#"))
    expect(tab.button("china")).to_have_attribute("aria-pressed", "true")
    tab.page.go_back()
    tab.ready("mine.jpg")
    expect(tab.page.locator(".px-sample[aria-pressed='true']")).to_have_count(0)
    tab.page.go_forward()
    tab.ready("china")
    tab.upload("mine.jpg", retriever)
    tab.ready("mine.jpg")
    expect(tab.page).to_have_url(re.compile(r"/#"))
    # Each photograph empties the widget, so that the server lets go of the file.
    expect(tab.button("Upload")).to_be_visible()
    expect(tab.page.get_by_test_id("stFileChip")).to_have_count(0)


def test_a_sample_that_cannot_be_read_is_not_offered(look):
    tab = look("/?photo=broken.jpg")
    expect(tab.alert).to_contain_text("cannot be read as a picture")
    expect(tab.button("broken")).to_have_count(0)
    tab.ready("chelsea")


def test_names_that_look_like_html_are_text(look):
    tab = look("/?task=letters")
    tab.button("<i>teal & co").click()
    tab.ready("<i>teal & co")
    expect(tab.page.get_by_text("<i>teal & co", exact=True)).to_be_visible()
    tab.upload("<img src=x onerror=alert(1)>.jpg", pictures.BAD["text.jpg"]())
    expect(tab.alert).to_contain_text('"<img src=x onerror=alert(1)>.jpg" cannot be read')
    expect(tab.page.get_by_role("group", name="Class").get_by_role("button", name="<b>A</b>")).to_be_visible()
    expect(tab.page.locator("img[src='x']")).to_have_count(0)


def test_the_camera_starts_when_asked_and_gives_a_photograph(look):
    tab = look()
    expect(tab.page.locator("video")).to_have_count(0)
    tab.button("Camera").click()
    # Before its first frame the camera takes nothing.
    tab.page.wait_for_function("document.querySelector('video')?.videoWidth > 0")
    tab.button("Take Photo").click()
    tab.ready("camera")
    expect(tab.page.locator("video")).to_have_count(0)
    expect(tab.page).to_have_url(re.compile(r"/#"))
