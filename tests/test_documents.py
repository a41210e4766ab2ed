"""The documents speak of what is there."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

import models
from explain import Explainer
from tests.explain.networks import classifier, few

ROOT = Path(__file__).parents[1]
SIZE = 64
TITLES = re.findall(r"^## (.+)$", (ROOT / "docs" / "trouble.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def source():
    folders = ("explain", "models", "training", "ui")
    files = [file for folder in folders for kind in ("py", "js") for file in (ROOT / folder).rglob(f"*.{kind}")]
    # A sentence may be split over several literals.
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(file.read_text(encoding="utf-8") for file in files))


@pytest.mark.parametrize("title", TITLES)
def test_each_trouble_is_a_message_that_a_person_can_see(source, title):
    assert title in source


def test_the_measures_of_many_photographs_are_those_of_one_at_a_time(monkeypatch, tmp_path):
    """The code in docs/numbers.md as it stands: what lies in the left half of the square, and in all of it."""
    text = (ROOT / "docs" / "numbers.md").read_text(encoding="utf-8")
    code = "\n".join(line[4:] for line in text.partition("## ")[0].splitlines() if line.startswith("    ") or not line)
    nets = {f"cats_vs_dogs/{name}": classifier(few(SIZE)) for name in ("sgd", "adam")}
    monkeypatch.setattr(
        models, "load", lambda name: SimpleNamespace(model=nets[name], labels="abc", card=SimpleNamespace(view={}))
    )
    names: dict[str, Any] = {}
    exec(code, names)
    picture = Image.fromarray(data.chelsea())
    picture.save(tmp_path / "cat.png")
    width, height = picture.size
    paths, left = [tmp_path / "cat.png"] * 2, (width - height) / 2
    half, whole = (left, 0, left + height / 2, height), (0, 0, width, height)
    first, second = names["compare"](paths, [half, whole], ["b", "b"], layer="top")
    assert first[0] == second[0]
    for net, (energy, pointed), everything in zip(nets.values(), first[1:], second[1:], strict=True):
        explainer = Explainer(net, layers="top")
        (top,), (maps,) = explainer.layers, explainer(picture, 1).maps["hires_cam"].values()
        cells = np.clip((np.arange(SIZE) - top.offset) / top.stride, 0, top.shape[0] - 1)
        rows = [np.interp(cells, np.arange(top.shape[0]), row) for row in maps[0]]
        field = np.array([np.interp(cells, np.arange(top.shape[0]), column) for column in np.transpose(rows)]).T
        evidence = np.maximum(field, 0)
        assert energy == pytest.approx(evidence[:, : SIZE // 2].sum() / evidence.sum(), abs=1e-3)
        assert pointed == (field.argmax() % SIZE < SIZE // 2)
        assert everything == (pytest.approx(1), True)
