"""The mutation study says what it lacks before anything slow begins, and its swaps are of the source as it is."""

import sys

import pytest

from benchmarks.__main__ import main
from benchmarks.mutation import MISTAKES, ROOT, TESTS


@pytest.mark.parametrize(
    ("wanted", "sentence"), [("explain/formulas.py", "pip install -r requirements-mutation.txt"), ("ui", "of ui;")]
)
def test_what_cannot_be_tried_is_one_sentence(monkeypatch, capsys, wanted, sentence):
    monkeypatch.setitem(sys.modules, "cosmic_ray", None)
    monkeypatch.delattr("benchmarks.mutation.shutil.copytree")
    assert main(["mutation", wanted]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1


def test_every_mistake_can_be_made_and_has_tests_that_shall_notice():
    for mistake in MISTAKES:
        assert (ROOT / mistake.file).read_text(encoding="utf-8").count(mistake.right) == 1, mistake
        assert (ROOT / TESTS[mistake.file]).is_file()
