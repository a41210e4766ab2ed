"""The viewer as one module."""

import re

from ui.viewer import bundle
from ui.viewer.streamlit import ADAPTER


def test_every_module_is_there_once_after_what_it_imports():
    script = bundle.script()
    assert not re.search(r"^import ", script, re.MULTILINE)
    for path in bundle.FOLDER.glob("*.js"):
        source = path.read_text(encoding="utf-8")
        start = _first_export(source)
        assert script.count(start) == 1, path.name
        for imported in re.findall(r'^import .* from "\./([\w.]+)";$', source, re.MULTILINE):
            other = _first_export((bundle.FOLDER / imported).read_text(encoding="utf-8"))
            assert script.index(other) < script.index(start), f"{imported} comes after {path.name}"


def _first_export(source: str) -> str:
    return next(line for line in source.splitlines() if line.startswith("export "))


def test_the_adapter_uses_names_that_the_viewer_has():
    for name in ("mount", "decodeState", "watchHash", "keepHash"):
        assert f"{name}(" in ADAPTER
        assert re.search(rf"^export function {name}\(", bundle.script(), re.MULTILINE)


def test_the_style_is_the_viewers():
    style = bundle.style()
    sheets = {path.stem: path.read_text(encoding="utf-8") for path in bundle.FOLDER.glob("*.css")}
    assert set(sheets) == set(bundle.STYLES)
    assert all(sheet in style for sheet in sheets.values())
    # Of two rules of one weight the later holds.
    assert style.endswith("\n".join([sheets["sizes"], sheets["media"]]))


def test_nothing_is_fetched_from_elsewhere():
    for text in (bundle.script(), bundle.style()):
        addresses = set(re.findall(r"https?://[^\s\"')]+", text))
        assert {address for address in addresses if "www.w3.org" not in address} == set()
        assert "@import" not in text
