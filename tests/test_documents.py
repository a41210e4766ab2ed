"""The documents speak of what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
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
