"""The static Space: the folder, and its twin of the library."""

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from playwright.sync_api import Browser
from skimage import data

from benchmarks.browser import served
from tests.explain import pictures
from tests.spaces.static_space import ROOT, Bench

PAIR = ("cats_vs_dogs/sgd", "cats_vs_dogs/adam")


@pytest.fixture(scope="module")
def space(static_folder: Path) -> dict:
    return json.loads((static_folder / "space.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def bench(static_folder: Path, browser: Browser) -> Iterator[Bench]:
    with served(static_folder) as url:
        page = browser.new_page()
        yield Bench(page, url)
        page.close()


# -- The folder ----------------------------------------------------------------------------------------------


def test_the_folder_is_what_a_static_space_takes(static_folder, space):
    _, front, text = (static_folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    head = yaml.safe_load(front)
    assert (head["sdk"], head["app_file"]) == ("static", "index.html")
    assert head["custom_headers"]["cross-origin-embedder-policy"] == "require-corp"
    assert head["custom_headers"]["cross-origin-opener-policy"] == "same-origin"
    assert text.startswith("\n# Parallax")
    assert len(head["short_description"]) <= 60
    large = [space["runtime"], *space["graphs"], *(run["weights"] for run in space["runs"])]
    for part in large:
        content = (static_folder / part["file"]).read_bytes()
        assert len(content) == part["bytes"]
        assert hashlib.sha256(content).hexdigest().startswith(Path(part["file"]).name.split(".")[0])
    # A Hub repository takes files up to 10 MB as they are.
    assert max(path.stat().st_size for path in static_folder.rglob("*") if path.is_file()) < 10e6
    worker = (static_folder / "service-worker.js").read_text(encoding="utf-8")
    kept = json.loads(worker[worker.index("= {") + 2 : worker.index("};") + 1])
    everything = {path.relative_to(static_folder).as_posix() for path in static_folder.rglob("*") if path.is_file()}
    assert {*kept["shell"], *kept["large"]} == everything - {"README.md", "index.html", "service-worker.js"} | {"./"}


def test_the_viewer_is_the_apps_own(static_folder):
    for file in (ROOT / "ui" / "viewer").glob("*.js"):
        assert (static_folder / "viewer" / file.name).read_bytes() == file.read_bytes()


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
