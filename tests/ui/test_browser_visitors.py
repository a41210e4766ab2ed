"""Two visitors at once: neither sees anything of the other."""

import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from explain.methods import title
from tests.explain import pictures
from tests.ui.tab import pixels

pytestmark = pytest.mark.browser


def _plain(colour: tuple[int, int, int]) -> bytes:
    return pictures.encoded(Image.new("RGB", (300, 300), colour), "PNG")


def test_two_visitors_never_see_each_other(look):
    red, blue = (200, 30, 20), (20, 40, 190)
    one, other = look(), look()
    # Both before either is waited for, so that the server works for both.
    one.upload("the red one.png", _plain(red))
    other.upload("the blue one.png", _plain(blue))
    for tab, name, colour in ((one, "the red one.png", red), (other, "the blue one.png", blue)):
        tab.ready(name)
        assert np.abs(pixels(tab.seen).astype(int) - colour).max() <= 2
    one.page.get_by_role("combobox", name="Method").click()
    one.page.get_by_role("option", name=title("layer_cam")).click()
    expect(one.page).to_have_url(re.compile(f"method={title('layer_cam')}"))
    one.upload("text.jpg", b"words")
    expect(one.alert).to_contain_text("text.jpg")
    # What one has chosen, done wrong and given is not the other's, nor anybody's who comes now.
    other.page.reload()
    for tab in (other, look()):
        tab.ready("chelsea")
        expect(tab.alert).to_have_count(0)
        expect(tab.page).not_to_have_url(re.compile("method="))
        assert not re.search("the (red|blue) one|text.jpg", tab.page.locator("body").inner_text())
