"""The README's numbers are those of the files in assets/."""

import re

from benchmarks.readme import BLOCK, README, TABLES, filled


def test_every_table_is_what_the_files_say():
    text = README.read_text(encoding="utf-8")
    assert {match["name"] for match in BLOCK.finditer(text)} == set(TABLES)
    assert filled(text) == text


def test_a_number_changed_by_hand_is_noticed():
    text = README.read_text(encoding="utf-8")
    tables = "".join(match[0] for match in BLOCK.finditer(text))
    number = re.search(r"\d\.\d{4}", tables)
    assert number is not None
    assert filled(text.replace(number[0], "9.9999")) == text
