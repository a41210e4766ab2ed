"""A phone: everything is there, nothing sticks out, fingers hit what they aim at."""

import re

import pytest
from playwright.sync_api import expect

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
