"""The static Space: the folder, its twin of the library, and the page in a real browser with the network cut."""

import base64
import hashlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import yaml
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from skimage import data

from benchmarks.browser import ISOLATED, served
from explain.render import percent
from tests.explain import pictures
from tests.spaces.static_space import ROOT, Bench, assembled
from tests.ui.tab import Tab, file_of, pixels, shut_out, visit

PAIR = ("cats_vs_dogs/sgd", "cats_vs_dogs/adam")
PREPARING = 120_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return assembled(tmp_path_factory.mktemp("static") / "space")


@pytest.fixture(scope="module")
def space(folder: Path) -> dict:
    return json.loads((folder / "space.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def bench(url: str, browser: Browser) -> Iterator[Bench]:
    page = browser.new_page()
    yield Bench(page, url)
    page.close()


# -- The folder ----------------------------------------------------------------------------------------------


def test_the_folder_is_what_a_static_space_takes(folder, space):
    _, front, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    head = yaml.safe_load(front)
    assert (head["sdk"], head["app_file"]) == ("static", "index.html")
    assert head["custom_headers"]["cross-origin-embedder-policy"] == "require-corp"
    assert head["custom_headers"]["cross-origin-opener-policy"] == "same-origin"
    assert text.startswith("\n# Parallax")
    assert len(head["short_description"]) <= 60
    large = [space["runtime"], *space["graphs"], *(run["weights"] for run in space["runs"])]
    for part in large:
        content = (folder / part["file"]).read_bytes()
        assert len(content) == part["bytes"]
        assert hashlib.sha256(content).hexdigest().startswith(Path(part["file"]).name.split(".")[0])
    # A Hub repository takes files up to 10 MB as they are.
    assert max(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 10e6
    worker = (folder / "service-worker.js").read_text(encoding="utf-8")
    kept = json.loads(worker[worker.index("= {") + 2 : worker.index("};") + 1])
    everything = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {*kept["shell"], *kept["large"]} == everything - {"README.md", "index.html", "service-worker.js"} | {"./"}


def test_the_viewer_is_the_apps_own(folder):
    for file in (ROOT / "ui" / "viewer").glob("*.js"):
        assert (folder / "viewer" / file.name).read_bytes() == file.read_bytes()


def test_the_lock_names_no_registry():
    lock = json.loads((ROOT / "spaces" / "static" / "package-lock.json").read_text())
    assert "http" not in json.dumps(lock).replace("https://opencollective", "")
    assert lock["packages"]["node_modules/onnxruntime-web"]["integrity"].startswith("sha512-")
    wanted = json.loads((ROOT / "spaces" / "static" / "package.json").read_text())["dependencies"]
    assert wanted == {"onnxruntime-web": lock["packages"]["node_modules/onnxruntime-web"]["version"]}


def test_what_cannot_be_assembled_is_one_sentence(monkeypatch, tmp_path, capsys):
    from ui.viewer import static

    monkeypatch.setattr(static, "RUNTIME", tmp_path / "nothing")
    assert static.main([str(tmp_path / "space")]) == 2
    assert capsys.readouterr().err == "onnxruntime-web is not installed: run npm ci in spaces/static first.\n"
    monkeypatch.setattr(static, "RUNTIME", tmp_path)
    with pytest.raises(static.SpaceError, match="Adam takes pictures of 160 px and SGD of 224 px: they cannot share"):
        static.assemble(tmp_path / "space", ["cats_vs_dogs/sgd", "food101/adam"])
    assert not (tmp_path / "space").exists()


# -- The twin ------------------------------------------------------------------------------------------------


def _turned(orientation: int, **options) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return pictures.encoded(Image.fromarray(data.coffee()), "JPEG", exif=exif.tobytes(), **options)


def _noisy(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def _transparent() -> bytes:
    picture = Image.fromarray(data.chelsea())
    picture.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 451), (300, 1)).astype(np.uint8)))
    return pictures.encoded(picture, "PNG")


def _large() -> Image.Image:
    return Image.fromarray(data.coffee()).resize((3600, 2500), Image.Resampling.BICUBIC)


EXACT = {
    "chelsea.png": lambda: pictures.encoded(Image.fromarray(data.chelsea()), "PNG"),
    "noise.png": lambda: pictures.encoded(Image.fromarray(_noisy(611, 403)), "PNG"),
    "small.png": lambda: pictures.encoded(Image.fromarray(_noisy(31, 57)), "PNG"),
    "palette.png": lambda: pictures.encoded(Image.fromarray(data.chelsea()).convert("P"), "PNG"),
    "transparent.png": _transparent,
    "grey.png": lambda: pictures.encoded(Image.fromarray(data.chelsea()).convert("L"), "PNG"),
    "bitmap.bmp": lambda: pictures.encoded(Image.fromarray(data.coffee()), "BMP"),
}
# Two decoders, two colour engines: their last bits may differ.
CLOSE = {
    "wide gamut.png": lambda: pictures.encoded(
        Image.fromarray(data.chelsea()), "PNG", icc_profile=pictures.display_p3()
    ),
    "coffee.jpg": lambda: pictures.encoded(Image.fromarray(data.coffee()), "JPEG", quality=90),
    "lying.jpg": lambda: _turned(6, quality=90),
    "mirrored.jpg": lambda: _turned(5, quality=90, subsampling=0),
    "progressive.jpg": lambda: pictures.encoded(_large(), "JPEG", quality=85, progressive=True),
    "large.jpg": lambda: pictures.encoded(_large(), "JPEG", quality=85),
    "panorama.jpg": lambda: pictures.encoded(pictures.photograph(20_000, 300), "JPEG"),
    "page.webp": lambda: pictures.encoded(Image.fromarray(data.chelsea()), "WEBP", quality=90),
}


@pytest.mark.browser
@pytest.mark.parametrize("width, height", [(224, 224), (96, 30), (500, 7), (1, 1), (211, 640)])
def test_scaling_is_pillows_to_the_byte(bench, width, height):
    picture = _noisy(211, 320)
    there = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))
    assert np.array_equal(bench.resize(picture, width, height), there)


@pytest.mark.browser
@pytest.mark.parametrize("name", [*EXACT, *CLOSE])
def test_a_file_becomes_the_pixels_and_logits_that_python_gives(bench, explainers, name):
    content = {**EXACT, **CLOSE}[name]()
    there = explainers[PAIR[0]].see(content)
    here = bench.see(content, name)
    assert (here["width"], here["height"]) == _upright_size(content)
    off = np.abs(here["pixels"].astype(float) - there)
    assert off.max() == 0 if name in EXACT else off.mean() < 0.2
    for answer, explainer in zip(bench.look("top"), explainers.values(), strict=True):
        expected = explainer(content).logits
        assert np.abs(answer["logits"] - expected).max() < (1e-2 if name in EXACT else 5e-2)


def _upright_size(content: bytes) -> tuple[int, int]:
    image = Image.open(io.BytesIO(content))
    width, height = image.size
    return (height, width) if image.getexif().get(0x0112, 1) > 4 else (width, height)


@pytest.mark.browser
def test_maps_of_every_graph_are_pythons(bench, explainers, space):
    content = EXACT["chelsea.png"]()
    bench.see(content, "chelsea.png")
    expected = [explainer(content, targets=["dog"]) for explainer in explainers.values()]
    seen = set()
    for layer in [None, *(graph["layers"][0] for graph in space["graphs"])]:
        for answer, there in zip(bench.look(layer), expected, strict=True):
            names = list(answer["maps"])
            assert names[-1] == "top" and (layer is None or names[0] == layer)
            seen.add(len(names))
            for name in names:
                wanted = there.maps["hires_cam"][name][0]
                assert np.abs(answer["maps"][name].reshape(wanted.shape) - wanted).max() < 1e-2 * np.abs(wanted).max()
    assert seen == {len(graph["layers"]) for graph in space["graphs"]}


@pytest.mark.browser
def test_the_viewer_is_told_what_the_app_tells_it(bench, explainers):
    from ui.viewer.payload import payload

    content = EXACT["chelsea.png"]()
    bench.see(content, "chelsea.png")
    bench.look()
    here, blobs = bench.payload("chelsea.png")
    found = {name: explainer(content, targets=explainer.labels, keep=True) for name, explainer in explainers.items()}
    there = payload("chelsea.png", (451, 300), found, dict(zip(PAIR, ("SGD", "Adam"), strict=True)))
    wanted = json.loads(json.dumps(there.meta))
    for key in ("method", "classes", "layers", "photo"):
        assert here[key] == wanted[key]
    assert set(wanted) - set(here) == set()
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(blobs[0]))), explainers[PAIR[0]].see(content))
    _same_numbers(here["agreement"], wanted["agreement"], 1e-2)
    for mine, other in zip(here["runs"], wanted["runs"], strict=True):
        assert set(mine) == set(other)
        for key in ("id", "name", "hue"):
            assert mine[key] == other[key]
        _same_numbers(mine["probabilities"], other["probabilities"], 1e-2)
        assert [one["label"] for one in mine["top"]] == [one["label"] for one in other["top"]]
        for rows in zip(mine["maps"], other["maps"], strict=True):
            for a, b in zip(*rows, strict=True):
                assert set(a) == set(b)
                _same_numbers([a["strength"], a["positive"]], [b["strength"], b["positive"]], 1e-2 * b["strength"])
        for layer, channels in other["channels"].items():
            own = mine["channels"][layer]
            assert set(own) == set(channels) and (own["height"], own["width"]) == (
                channels["height"],
                channels["width"],
            )
            shared = set(own["ids"]) & set(channels["ids"])
            assert len(shared) >= 0.8 * len(set(own["ids"]) | set(channels["ids"]))
            for channel in shared:
                k, other_k = own["ids"].index(channel), channels["ids"].index(channel)
                _same_numbers([row[k] for row in own["share"]], [row[other_k] for row in channels["share"]], 2e-3)
                low, high = channels["range"][other_k]
                _same_numbers(own["range"][k], (low, high), 5e-2 * (high - low))
                planes = [
                    np.frombuffer(content, np.uint8)[about["at"] :].reshape(-1, own["height"], own["width"])[at]
                    for about, content, at in (
                        (own, blobs[own["blob"]], k),
                        (channels, there.blobs[channels["blob"]], other_k),
                    )
                ]
                assert np.abs(np.subtract(*planes, dtype=int)).max() <= 0.05 * 255
        assert set(mine["gates"]) == set(other["gates"])
        for layer, gates in other["gates"].items():
            _same_numbers(mine["gates"][layer]["values"], gates["values"], 1e-2)


def _same_numbers(here, there, tolerance: float) -> None:
    a, b = (np.array(values, float) for values in (here, there))
    assert a.shape == b.shape
    assert np.array_equal(np.isnan(a), np.isnan(b))
    assert np.nanmax(np.abs(a - b)) <= tolerance


# -- The page ------------------------------------------------------------------------------------------------


@pytest.fixture
def visitor(new_context, url) -> Iterator:
    """Opens the page; whatever a test does there asks no other host and breaks nothing."""
    tabs: list[tuple[Tab, str]] = []

    def open_tab(address: str = "/", at: str = url, **options) -> Tab:
        context = new_context(**{"viewport": {"width": 1280, "height": 720}, "reduced_motion": "reduce"} | options)
        tab = visit(context.new_page(), at + address)
        context.on("request", lambda request: tab.requests.append(request.url))
        tabs.append((tab, at))
        return tab.ready()

    yield open_tab
    for tab, at in tabs:
        assert not [error for error in tab.errors if "ERR_INTERNET_DISCONNECTED" not in error]
        assert tab.hosts == {urlsplit(at).netloc}


def _networks(page: Page) -> None:
    """Wait until both networks are there, and what they need is kept for the next visit."""
    expect(page.locator("body[data-networks='ready']")).to_be_attached(timeout=PREPARING)
    page.evaluate("navigator.serviceWorker.ready.then(() => null)")


def _give(tab: Tab, name: str, content: bytes) -> None:
    tab.page.get_by_label("Your photograph").set_input_files(file_of(name, content))


@pytest.mark.browser
def test_without_a_network_after_the_first_visit(folder, visitor, new_context, explainers):
    with served(folder) as address:
        tab = visitor(at=address)
        tab.at("top")
        _networks(tab.page)
        assert tab.page.evaluate("crossOriginIsolated") is False
        tab.page.context.set_offline(True)
    # The server is gone too. A photograph, the depths, the camera:
    content = CLOSE["coffee.jpg"]()
    _give(tab, "mine.jpg", content)
    tab.ready("mine.jpg")
    cats = tab.page.get_by_role("group", name="Class").get_by_role("button", name="cat")
    for explainer in explainers.values():
        expect(cats).to_contain_text(percent(explainer(content).probabilities[0]))
    for layer in ("7a", "6d", "6c"):
        tab.depth.press("ArrowLeft")
        tab.at(layer)
    expect(tab.page.get_by_role("group", name="Class")).to_be_visible()
    _camera(tab)
    # The next visit, still without one: from what was kept, with the headers that threads need.
    tab.page.reload()
    tab.ready()
    _networks(tab.page)
    assert tab.page.evaluate("crossOriginIsolated") is True
    _give(tab, "again.png", EXACT["chelsea.png"]())
    tab.ready("again.png")
    tab.button("china").click()
    tab.ready("china")


def _camera(tab: Tab) -> None:
    tab.page.evaluate("""() => {
      globalThis.frames = 0;
      const canvas = document.querySelector(".px-run canvas");
      let before = canvas.toDataURL();
      setInterval(() => {
        const now = canvas.toDataURL();
        frames += now !== before;
        before = now;
        document.body.dataset.moved = frames > 4;
      }, 40);
    }""")
    place = tab.page.locator(".parallax").bounding_box()
    tab.depth.press("End")
    tab.at("top")
    tab.button("Camera").click()
    tab.ready("camera")
    expect(tab.page.get_by_text("frames a second")).to_be_visible()
    expect(tab.page.locator("body[data-moved='true']")).to_be_attached()
    # Nothing has moved for it.
    assert tab.page.locator(".parallax").bounding_box() == place
    expect(tab.page.get_by_text("no SE gates at top").first).to_be_visible()
    # Another depth, another graph; the channels follow.
    tab.depth.press("Home")
    tab.at("stem")
    expect(tab.page.get_by_role("list", name="Channels of the Adam run").get_by_role("button").first).to_be_visible()
    tab.button("Keep this frame").click()
    expect(tab.button("Camera")).to_have_attribute("aria-pressed", "false")
    expect(tab.button("Keep this frame")).to_be_hidden()
    expect(tab.page.locator(".parallax[aria-busy='false']")).to_be_visible()
    tab.depth.press("End")
    tab.at("top")
    expect(tab.page.get_by_role("list", name="Channels of the SGD run").get_by_role("button").first).to_be_visible()


@pytest.mark.browser
def test_what_a_server_in_trouble_gives_instead_is_told_and_never_kept(folder, space, new_context):
    with served(folder) as address:
        page = new_context(reduced_motion="reduce").new_page()
        page.route("**/space.json", lambda route: route.fulfill(status=503))
        tab = visit(page, address)
        expect(tab.alert).to_have_text("The page could not be fetched whole: check the connection and reload it.")
        expect(page.locator(".parallax[aria-busy='false']")).to_be_visible()
        page.unroute("**/space.json")
        page.route("**/*.weights", lambda route: route.fulfill(body="<p>Come again later"))
        page.goto(address)
        expect(tab.alert).to_contain_text("The two networks could not be fetched", timeout=PREPARING)
        expect(page.locator(".now")).to_have_text("")
        page.unroute("**/*.weights")
        # Nor does it help to have been kept.
        kept = "([store, file]) => caches.open(store).then((store) => store.put(file, new Response('<p>')))"
        page.evaluate(kept, ["parallax / large", space["graphs"][0]["file"]])
        _give(tab, "mine.png", EXACT["chelsea.png"]())
        tab.page.locator("[aria-label^='mine.png as the network']").wait_for(timeout=PREPARING)


@pytest.mark.browser
def test_dropped_and_pasted_photographs_the_address_and_the_way_back_for_everybody(folder, visitor):
    with served(folder, ISOLATED) as address:
        tab = visitor("/?photo=coffee#layer=5c&class=dog&show=signed", at=address, bypass_csp=True)
        tab.ready("coffee")
        tab.at("5c")
        # Threads, where headers allow them.
        assert tab.page.evaluate("crossOriginIsolated") is True
        assert tab.page.evaluate("import('/crew.js').then(({ threadsFor }) => threadsFor(1))") >= 1
        assert tab.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
        for kind in ("drop", "paste"):
            tab.page.evaluate(
                """async ([kind, content]) => {
                  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
                  const all = new DataTransfer();
                  all.items.add(new File([bytes], `${kind}.png`));
                  const Kind = kind === "drop" ? DragEvent : ClipboardEvent;
                  document.dispatchEvent(new Kind(kind, { dataTransfer: all, clipboardData: all }));
                }""",
                [kind, base64.b64encode(EXACT["chelsea.png"]()).decode()],
            )
            # Until the networks are there the sample stands.
            tab.page.locator(f"[aria-label^='{kind}.png as the network']").wait_for(timeout=PREPARING)
        expect(tab.page).to_have_url(re.compile(r"/#layer=5c&class=dog&show=signed"))
        tab.button("china").click()
        tab.ready("china")
        expect(tab.page).to_have_url(re.compile(r"\?photo=china#"))
        # One step back for each photograph that can be had again: of one's own that is the last.
        for step, photograph in (
            ("back", "paste.png"),
            ("back", "coffee"),
            ("forward", "paste.png"),
            ("forward", "china"),
        ):
            tab.page.evaluate(f"history.{step}()")
            tab.ready(photograph)
        _nobody_is_shut_out(tab)
        _files_that_are_no_photographs(tab)


def _nobody_is_shut_out(tab: Tab) -> None:
    """What axe finds in both themes, on a screen and on a phone."""
    for width, height in ((1280, 720), (390, 844)):
        tab.page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            tab.page.emulate_media(color_scheme=scheme)
            expect(tab.page.locator(".parallax")).to_have_attribute("data-theme", scheme)
            assert shut_out(tab.page) == [], (width, scheme)
            expect(tab.page.get_by_text("no photograph leaves this device")).to_be_visible()


def _places(tab: Tab) -> list:
    """Where a run's evidence stands in windows of several sizes."""
    found = []
    for width, height in ((1280, 720), (900, 720), (390, 844)):
        tab.page.set_viewport_size({"width": width, "height": height})
        found.append(tab.evidence("Adam").bounding_box())
    return found


def _files_that_are_no_photographs(tab: Tab) -> None:
    _give(tab, "good.png", EXACT["chelsea.png"]())
    tab.ready("good.png")
    before = pixels(tab.evidence("Adam"))
    bad = {name: make() for name, make in pictures.BAD.items()} | {"phone.heic": pictures.ODD["phone.heic"]()}
    for name, content in bad.items():
        _give(tab, name, content)
        expect(tab.alert).to_contain_text(f'"{name}"')
        said = tab.alert.inner_text()
        assert said.endswith(".") and said.count(". ") == 0
        assert np.array_equal(pixels(tab.evidence("Adam")), before)
    places = _places(tab)
    _give(tab, f"{'long' * 20}.jpg", pictures.BAD["text.jpg"]())
    expect(tab.alert).to_contain_text("longlong")
    # Said over the page, it moves nothing.
    assert _places(tab) == places
    _give(tab, "<img src=x onerror=alert(1)>.jpg", pictures.BAD["text.jpg"]())
    expect(tab.alert).to_contain_text('"<img src=x onerror=alert(1)>.jpg" cannot be read')
    for name in ("panorama.jpg", "cmyk.jpg", "animation.gif"):
        _give(tab, name, pictures.ODD[name]())
        tab.ready(name)
        expect(tab.page.locator(".message")).to_have_text("")
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
