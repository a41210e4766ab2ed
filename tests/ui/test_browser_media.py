"""On a large screen, on paper, and where a system allows no colours but its own."""

import pytest

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (2560, 1440)])
def test_the_pictures_take_what_a_large_screen_has(still, width, height):
    page = still().page
    page.set_viewport_size({"width": width, "height": height})
    frame = page.locator(".parallax").bounding_box()
    assert frame["width"] > 0.96 * width
    assert frame["y"] + frame["height"] <= height
    page.set_viewport_size({"width": 1280, "height": 720})


def test_no_agreement_sticks_out_of_the_frame(still):
    page = still().page
    # As a wide font would have it.
    right = """one => {
      one.style.letterSpacing = "12px";
      const text = document.createRange();
      text.selectNodeContents(one);
      const { right } = text.getBoundingClientRect();
      one.style.letterSpacing = "";
      return right;
    }"""
    frame = page.locator(".px-body").bounding_box()
    assert page.locator(".px-agreement").evaluate(right) <= frame["x"] + frame["width"] + 0.5
