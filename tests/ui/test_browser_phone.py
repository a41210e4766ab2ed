"""A phone: everything is there, nothing sticks out, fingers hit what they aim at."""

import re

import pytest
from playwright.sync_api import expect

from ui import errors
from ui.charts import streamlit as charts
from ui.viewer import bundle

pytestmark = pytest.mark.browser

PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


def test_nothing_sticks_out(look):
    tab = look(**PHONE)
    for scheme in ("light", "dark"):
        tab.page.emulate_media(color_scheme=scheme)
        expect(tab.page.locator(".parallax")).to_have_attribute("data-theme", scheme)
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
        for locator in (tab.seen, tab.evidence("SGD"), tab.evidence("Adam"), tab.depth, tab.button("Upload")):
            box = locator.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
    tab.upload("text.jpg", b"words")
    expect(tab.alert).to_be_visible()
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_fingers_hit_what_they_aim_at(look):
    tab = look(**PHONE)
    for name in ("Upload", "Camera", "Runs", "Numbers", "Play through the layers", "signed", "shared scale", "chelsea"):
        box = tab.button(name).bounding_box()
        assert min(box["width"], box["height"]) >= 40, name
    tab.button("coffee").tap()
    tab.ready("coffee")
    tab.button("signed").tap()
    expect(tab.page).to_have_url(re.compile("show=signed"))
    tab.button("Camera").tap()
    box = tab.button("Take Photo").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


def test_no_table_of_many_classes_makes_its_page_wider(browser):
    meta, _ = errors.contents("food101", errors.STUDIES / "food101_errors")
    page = browser.new_page(**PHONE | {"viewport": {"width": 375, "height": 812}})
    page.set_content('<meta name="viewport" content="width=device-width"><main></main>')
    page.add_style_tag(content=charts.STYLE)
    page.add_script_tag(
        type="module", content=bundle.script(charts.HERE / "errors.js") + "globalThis.mount = mountErrors"
    )
    page.evaluate("meta => mount(document.querySelector('main'), { meta, blobs: [] })", meta)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    counts = page.locator(".pe-pairs .pe-count")
    rights = counts.evaluate_all("all => all.map(one => one.getBoundingClientRect().right)")
    assert 0 < max(rights) <= 375
    page.close()
