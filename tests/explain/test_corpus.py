"""Hundreds of bad files, read by the library and by the command line."""

import gc
import io
import os
import re
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explain import PhotoError, photo
from tests.corpus import Upload, corpus
from tests.explain import pictures
from tests.memory import resident

ROOT = Path(__file__).parents[2]
TIMES_READ = 3


@cache
def uploads() -> tuple[Upload, ...]:
    return tuple(corpus())


def _read(upload: Upload) -> Image.Image | str:
    """What becomes of a file: a picture, or a sentence."""
    file = io.BytesIO(upload.content)
    file.name = upload.name
    try:
        return photo.read(file)
    except PhotoError as error:
        return str(error)


def test_there_are_enough_of_them_and_no_two_alike():
    assert len(uploads()) >= 300
    assert len({upload.name for upload in uploads()}) == len(uploads())
    assert sum(len(upload.content) for upload in uploads()) < 10_000_000


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_each_is_a_picture_or_one_plain_sentence():
    pictures_read = 0
    for upload in uploads():
        found = _read(upload)
        if isinstance(found, str):
            assert re.fullmatch(r'"[^\n\x00-\x1f]+" [^\n]+\.', found), found
            assert found.count(". ") == 0
        else:
            assert found.mode == "RGB"
            assert found.width * found.height <= photo.MAX_MEGAPIXELS * 1e6
            pictures_read += 1
    # Pixels of a damaged file that can be shown are shown.
    assert 50 < pictures_read < len(uploads()) - 200
    assert not Path("/tmp/parallax-was-here").exists()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux to tell its memory")
def test_reading_them_again_and_again_leaves_nothing_behind():
    code = f"import tests.explain.test_corpus as t; t.say_memory({TIMES_READ})"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    first, *_, last = map(int, said.split())
    assert last <= 1.1 * first


def say_memory(times: int) -> None:
    """Print the resident pages of this process after each reading of all files."""
    warnings.simplefilter("ignore")
    for _ in range(times):
        for upload in uploads():
            _read(upload)
        gc.collect()
        print(resident(os.getpid()))


def test_the_command_line_names_each_that_it_cannot_read_and_explains_the_good_one(tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bad = {upload: said for upload in uploads() if isinstance(said := _read(upload), str)}
    for upload in bad:
        (folder / upload.name).write_bytes(upload.content)
    good = tmp_path / "good.png"
    good.write_bytes(pictures.encoded(pictures.photograph(), "PNG"))
    command = [sys.executable, "-m", "explain", *map(str, folder.iterdir()), str(good)]
    command += ["--model", "cats_vs_dogs/sgd", "--layers", "top", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"PYTHONUTF8": "1"})
    assert done.returncode == 2
    for said in bad.values():
        assert said in done.stderr.splitlines()
    for sign in ("Traceback", "Warning", "Error:"):
        assert sign not in done.stderr
    with np.load(tmp_path / "out" / "good" / "cats_vs_dogs--sgd.npz") as numbers:
        assert "probabilities" in numbers
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good"]
