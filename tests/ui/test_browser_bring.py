"""A model of one's own in a real browser: the file goes in, its evidence comes out, and a broken one says why."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.ui import strangers
from tests.ui.tab import Tab

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("strangers")
    strangers.nested(folder / "mine.keras")
    strangers.untrained(folder / "raw.keras")
    return folder


def give(page: Page, file: Path) -> None:
    field = page.locator(".st-key-bring input[type=file]")
    # The last one's field goes when the next one stands.
    expect(field).to_have_count(1)
    field.set_input_files(file)


def report(tab: Tab):
    return tab.page.get_by_role("status").filter(has_text=re.compile("is (not )?shown"))


def test_bring_a_broken_model_then_a_good_one(look, folder):
    tab = look()
    tab.button("Bring").click()
    give(tab.page, folder / "raw.keras")
    expect(report(tab)).to_contain_text("raw.keras is not shown.", timeout=90_000)
    expect(report(tab)).to_contain_text("the weights were never loaded")
    expect(report(tab)).to_be_in_viewport(ratio=1)
    expect(tab.evidence("Adam")).to_be_visible()
    give(tab.page, folder / "mine.keras")
    expect(report(tab)).to_contain_text("mine is shown alone", timeout=90_000)
    tab.ready("chelsea")
    expect(tab.evidence("mine")).to_be_visible()
    expect(tab.evidence("Adam")).to_have_count(0)
    # Stem, three blocks and top.
    expect(tab.depth).to_have_attribute("max", "4")
    expect(tab.page.locator(".st-key-bring input[type=file]")).to_have_count(1)
    # A page without its visitor's model shows the runs that are there.
    tab.page.reload()
    tab.ready("chelsea")
    expect(tab.evidence("Adam")).to_be_visible()


def test_a_file_larger_than_a_photograph_may_be_is_taken(look, tmp_path):
    large = tmp_path / "large.keras"
    large.write_bytes(bytes(25 << 20))
    tab = look()
    tab.button("Bring").click()
    give(tab.page, large)
    expect(report(tab)).to_contain_text("large.keras is not shown.", timeout=90_000)
    expect(report(tab)).to_contain_text("is damaged, or was not written by Keras")


def test_on_a_phone_it_fits(look):
    tab = look(viewport={"width": 390, "height": 844})
    tab.button("Bring").click()
    expect(tab.page.locator(".st-key-bring")).to_be_in_viewport(ratio=1)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_long_names_of_layers_have_room_or_give_way_to_the_chosen_one(look, tmp_path):
    strangers.long_names(tmp_path / "mine.keras")
    tab = look()
    tab.button("Bring").click()
    give(tab.page, tmp_path / "mine.keras")
    expect(report(tab)).to_contain_text("mine is shown alone", timeout=90_000)
    tab.page.keyboard.press("Escape")
    tab.ready("chelsea")
    for width, shown in ((1280, 4), (390, 1)):
        tab.page.set_viewport_size({"width": width, "height": 844})
        expect(tab.page.locator(".px-tick-name:visible")).to_have_count(shown)
        tab.depth.press("End")
        for layer in ("convolution_number_4", "convolution_number_3"):
            tab.at(layer)
            name, box = (tab.page.locator(one).bounding_box() for one in (".px-tick-name.px-chosen", ".px-box"))
            assert box["x"] < name["x"] and name["x"] + name["width"] < box["x"] + box["width"]
            assert box["x"] >= 0 and box["x"] + box["width"] <= width
            tab.depth.press("ArrowLeft")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
