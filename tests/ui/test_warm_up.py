"""Getting ready before anybody asks."""

import platform
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from models import ModelError
from ui import runs, samples, warm_up

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fresh(monkeypatch):
    monkeypatch.setattr(warm_up, "_over", threading.Event())
    monkeypatch.setattr(warm_up, "_begun", False)
    monkeypatch.setattr(samples, "samples", tuple)
    monkeypatch.setattr(runs, "tasks", lambda: ["pets"])
    monkeypatch.setattr(runs, "runs_of", lambda _: ["pets/sgd", "pets/adam", "pets/other"])


def test_the_first_two_runs_are_loaded_once(fresh, monkeypatch):
    loaded = []
    monkeypatch.setattr(runs, "explainer", loaded.append)
    warm_up.start()
    warm_up.start()
    warm_up.wait()
    assert warm_up.over()
    assert sorted(loaded) == ["pets/adam", "pets/sgd"]


@pytest.mark.parametrize("error", [ModelError("damaged"), RuntimeError("unforeseen")])
def test_it_is_over_even_where_it_fails(fresh, monkeypatch, error):
    def fail(_: str) -> None:
        raise error

    monkeypatch.setattr(runs, "explainer", fail)
    warm_up.wait()
    assert warm_up.over()


def test_a_page_does_not_wait_for_tensorflow_to_be_imported():
    """What the first page needs comes without the seconds that Keras, OpenVINO and the sample packages take."""
    script = (
        "import sys, ui.runs, ui.samples, ui.viewer.payload, ui.warm_up; ui.samples.samples();"
        "print(sorted({'tensorflow', 'keras', 'openvino', 'onnx', 'skimage', 'sklearn'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


HEAPS = """
import ctypes, sys, threading
from ui import warm_up

if sys.argv[2] == "shared":
    warm_up.share_heaps()
met = threading.Barrier(8)

def work():
    held = [bytes(1_000) for _ in range(100)]
    met.wait()

threads = [threading.Thread(target=work) for _ in range(8)]
for one in threads:
    one.start()
for one in threads:
    one.join()
library = ctypes.CDLL(None)
library.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(library.fopen(sys.argv[1].encode(), b"w"))
library.malloc_info(0, file)
library.fclose(file)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc to tell its heaps")
def test_threads_share_a_few_heaps(tmp_path):
    def heaps(how: str) -> int:
        told = tmp_path / how
        subprocess.run([sys.executable, "-c", HEAPS, told, how], cwd=ROOT, check=True)
        return told.read_text().count("<heap nr=")

    assert heaps("shared") <= 2 < heaps("their own")
