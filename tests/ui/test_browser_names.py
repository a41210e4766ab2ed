"""Long names of runs and classes: what is said beside them stays where it can be read."""

import io
from itertools import pairwise

import pytest
from PIL import Image

from ui.viewer import bundle

pytestmark = pytest.mark.browser

SIZES = {
    "desk": {"width": 1280, "height": 720},
    "tablet": {"width": 840, "height": 900},
    "phone": {"width": 390, "height": 844},
}
CLASSES = ("grilled_cheese_sandwich_with_tomato_soup", "pulled_pork_sandwich", "pie")


@pytest.fixture(params=SIZES)
def viewer(request, browser):
    """Mounts the viewer alone, with runs of these names that are sure of the class with the longest one."""
    page = browser.new_page(viewport=SIZES[request.param])

    def mount(*names):
        page.set_content('<meta name="viewport" content="width=device-width"><main></main>')
        page.add_style_tag(content=bundle.style())
        page.add_script_tag(type="module", content=f"{bundle.script()}\nglobalThis.mount = mount")
        page.wait_for_function("'mount' in globalThis")
        page.evaluate(
            """([meta, blobs]) => {
              mount(document.querySelector("main"), { meta, blobs: blobs.map((blob) => Uint8Array.from(blob)) });
            }""",
            [_meta(names), [list(_photo()), [127]]],
        )
        page.wait_for_selector(".parallax[data-ready='1']")
        return page

    yield mount
    page.close()


def _photo():
    file = io.BytesIO()
    Image.new("RGB", (32, 32), "teal").save(file, "PNG")
    return file.getvalue()


def _meta(names):
    layer = {"name": "top", "shape": [1, 1, 8], "stride": 32, "offset": 15.5, "receptive_field": 99, "block": None}
    told = {
        "probabilities": [0.9996, 0.0003, 0.0001],
        "top": [{"label": CLASSES[0], "probability": 0.9996}],
        "maps": [[{"blob": 1, "at": 0, "strength": 1, "positive": 1}]] * len(CLASSES),
    }
    return {
        "key": "names",
        "photo": {"name": "teal.png", "blob": 0, "size": 32, "width": 32, "height": 32},
        "classes": [{"label": label} for label in CLASSES],
        "layers": [layer],
        "runs": [{"id": f"food101/{k}", "name": name, "hue": "abc"[k]} | told for k, name in enumerate(names)],
        "agreement": [[0.5]] * len(CLASSES),
    }


def _boxes(nodes):
    return nodes.evaluate_all("all => all.map((one) => one.getBoundingClientRect().toJSON())")


def test_percentages_stay_beside_long_class_names(viewer):
    page = viewer("SGD", "Adam")
    [box] = _boxes(page.locator(".px-classes"))
    numbers = _boxes(page.locator(".px-class .px-number"))
    assert len(numbers) == 6
    assert all(box["left"] < number["left"] and number["right"] <= box["right"] for number in numbers)
    assert _whole(page.locator(".px-class .px-number"))


def test_the_head_of_a_panel_says_the_whole_run_and_how_likely_however_long_the_class(viewer):
    page = viewer("SGD seed 1", "Adam study")
    for head, name, likely in zip(
        *(_boxes(page.locator(f".px-run {part}")) for part in (".px-head", ".px-name", ".px-probability")), strict=True
    ):
        assert head["left"] <= name["left"] and likely["right"] <= head["right"]
    assert _whole(page.locator(".px-run .px-name"))


def _whole(nodes):
    """Whether nothing of their texts is cut: a hundredth of a pixel costs letters already."""
    return nodes.evaluate_all("""
      all => all.every((one) => {
        const text = document.createRange();
        text.selectNodeContents(one);
        return text.getBoundingClientRect().width <= one.getBoundingClientRect().width + 0.001;
      })
    """)


def test_the_head_of_a_panel_keeps_to_its_place(viewer):
    page = viewer("SGD seed 1", "Adam study")
    heads, names, squares = (_boxes(page.locator(f".px-run {part}")) for part in (".px-head", ".px-name", ".px-square"))
    for head, name, square in zip(heads, names, squares, strict=True):
        assert head["top"] <= name["top"] and head["bottom"] <= square["top"]


def test_the_heads_of_the_class_list_keep_off_each_other(viewer):
    page = viewer("SGD seed 1", "Adam study")
    boxes = _boxes(page.locator(".px-class-head .px-cell > *"))
    assert len(boxes) == 4
    assert all(one["width"] > 0 for one in boxes)
    assert all(one["right"] < other["left"] for one, other in pairwise(boxes))
    # Each name is whole, and ends where its numbers end.
    names = page.locator(".px-class-head .px-cell > :last-child")
    assert _whole(names)
    assert names.evaluate_all("all => all.every((one) => one.scrollHeight <= one.clientHeight + 1)")
    numbers = _boxes(page.locator(".px-class").first.locator(".px-cell"))
    assert all(abs(name["right"] - number["right"]) < 1 for name, number in zip(_boxes(names), numbers, strict=True))


def test_what_the_numbers_of_channels_mean_is_not_cut(viewer):
    page = viewer("SGD", "Adam")
    [block], [words] = (_boxes(page.locator(one)) for one in (".px-block", ".px-stepper"))
    assert block["left"] <= words["left"] and words["right"] <= block["right"]
    assert page.locator(".px-stepper").evaluate("one => one.scrollWidth <= one.clientWidth")
