"""A network that is remembered explains as the model does, without the model."""

import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import keras
import numpy as np
import pytest

from explain import Explainer, remember, remembered
from explain.compiled import Graphs
from explain.methods import FORMULAS
from tests.explain.networks import classifier, few, photograph

ROOT = Path(__file__).parents[2]
PICTURE = photograph(32)[0].astype("uint8")


@dataclass
class Source:
    """Counts how often its model was asked for."""

    identity: str
    network: keras.Model
    asked: list[str] = field(default_factory=list)

    @property
    def model(self) -> keras.Model:
        self.asked.append(self.identity)
        return self.network


@pytest.fixture(scope="module")
def model():
    return classifier(few(32))


@pytest.fixture
def source(model):
    return Source("mine", model)


@pytest.fixture
def graphs(tmp_path):
    return Graphs(tmp_path)


def test_without_the_model_the_numbers_are_the_models(model, source, graphs):
    remember(source, graphs)
    again = Source("mine", model)
    explainer, plain = Explainer(remember(again, graphs)), Explainer(model)
    assert explainer.engine == "openvino"
    assert (explainer.layers, explainer.size, explainer.explains) == (plain.layers, plain.size, plain.explains)
    for keep in (False, True):
        found, expected = (one(PICTURE, [0, 2], tuple(FORMULAS), keep=keep) for one in (explainer, plain))
        np.testing.assert_array_equal(found.logits, expected.logits)
        np.testing.assert_array_equal(found.probabilities, expected.probabilities)
        assert list(found.maps) == list(expected.maps)
        for method, layers in expected.maps.items():
            assert list(found.maps[method]) == list(layers)
            for layer, maps in layers.items():
                np.testing.assert_array_equal(found.maps[method][layer], maps)
    for name, gates in expected.evidence.gates.items():
        np.testing.assert_array_equal(found.evidence.gates[name], gates)
    assert again.asked == []


def test_what_is_not_written_down_builds_the_model_then(model, source, graphs):
    remember(source, graphs)
    again = Source("mine", model)
    network = remember(again, graphs)
    parts, expected = (Explainer(one).anatomy(PICTURE, "2a", 0) for one in (network, model))
    np.testing.assert_array_equal(parts.depthwise, expected.depthwise)
    methods = ("hires_cam", "ablation_cam")
    found, expected = (Explainer(one, layers="top")(PICTURE, [0], methods) for one in (network, model))
    for method in methods:
        assert list(found.maps[method]) == ["top"]
        np.testing.assert_array_equal(found.maps[method]["top"], expected.maps[method]["top"])
    assert again.asked == ["mine"]


def test_neither_keras_nor_tensorflow_is_imported_for_it(source, graphs):
    remember(source, graphs)
    script = """
import sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from explain import Explainer, remember
from explain.compiled import Graphs
found = Explainer(remember(SimpleNamespace(identity="mine"), Graphs(Path(sys.argv[1]))))(np.zeros((9, 9, 3), np.uint8))
print(found.top, *sorted({"keras", "tensorflow", "onnx"} & set(sys.modules)))
"""
    command = [sys.executable, "-c", script, graphs.folder]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == [Explainer(source.network)(np.zeros((9, 9, 3), np.uint8)).top]


def test_another_model_is_never_taken_for_it(model, source, graphs, monkeypatch, tmp_path):
    remember(source, graphs)
    other = Source("another", model)
    remember(other, graphs)
    assert other.asked == ["another"]
    # Another version of the files that write it down.
    changed = tmp_path / "explain"
    changed.mkdir()
    (changed / "graph.py").write_text("# another")
    monkeypatch.setattr(remembered, "__file__", str(changed / "remembered.py"))
    again = replace(source, asked=[])
    remember(again, graphs)
    assert again.asked == ["mine"]


def test_who_says_nothing_of_itself_is_not_remembered(model, graphs):
    for _ in range(2):
        source = Source("", model)
        remember(source, graphs)
        assert source.asked == [""]
    assert not list(graphs.folder.iterdir())


def test_a_file_that_is_cut_short_is_written_again(model, source, graphs):
    remember(source, graphs)
    (file,) = graphs.folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    again = replace(source, asked=[])
    remember(again, graphs)
    assert again.asked == ["mine"]
    assert file.read_bytes() == whole


def test_another_kind_of_network_is_explained_from_the_model(graphs):
    image = keras.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu")(image))
    source = Source("plain", keras.Model(image, keras.layers.Dense(2)(x)))
    for _ in range(2):
        assert Explainer(remember(source, graphs)).engine == "tensorflow"
    assert not list(graphs.folder.iterdir())
