"""Our Grad-CAM is that of other libraries on the same network, and what they are given is the same network."""

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import agreement
from benchmarks.__main__ import main
from benchmarks.peers import torch_cams
from benchmarks.peers.__main__ import Server
from benchmarks.study import RUN, TARGET
from benchmarks.worker import PeerError, Worker, interpreter, two_logits
from training.tables import read

LAYERS = "stem 1a 2a 2b 3a 3b 4a 4b 4c 5a 5b 5c 6a 6b 6c 6d 7a top".split()


@pytest.fixture(scope="module")
def explained():
    return agreement.explained()


def test_keras_io_gives_our_maps(explained):
    run, explainer, seen, ours = explained
    layers = {layer.name: layer.keras_name for layer in explainer.layers if layer.name == "5c"}
    theirs = agreement.keras_io(two_logits(run.model), seen, layers, run.labels.index(TARGET))
    for name in layers:
        assert agreement.off(agreement.scaled(ours[name]), theirs[name]) < agreement.BAR


def test_every_library_gives_our_maps_in_every_layer():
    """As measured now where `PARALLAX_PEERS` names the libraries' interpreter, as stored otherwise."""
    python = os.environ.get("PARALLAX_PEERS")
    rows = agreement.compare(python) if python else read(agreement.FILE)
    assert [row["layer"] for row in rows] == LAYERS
    for row in rows:
        for library in agreement.SHOWN:
            assert float(row[library]) < agreement.BAR, (row["layer"], library)


def test_a_map_of_another_target_would_be_noticed(explained):
    ours = explained[3]
    for library, show in agreement.SHOWN.items():
        assert all(agreement.off(show(-values), show(values)) > 0.1 for values in ours.values()), library


def test_two_logits_are_the_two_sides_of_one(explained):
    run, explainer, seen, _ = explained
    logits = np.asarray(two_logits(run.model)(seen[None].astype("float32"), training=False))[0]
    np.testing.assert_allclose(logits, explainer(seen).logits, rtol=1e-5)
    assert run.name == RUN


def test_every_weight_has_a_place_of_its_own_in_timm(explained):
    model = explained[0].model
    weights = {
        f"{layer.name}/{variable.name}": np.asarray(variable) for layer in model.layers for variable in layer.weights
    }
    found = torch_cams.carried_over(weights)
    # What normalizes pixels is not in timm's network: three numbers.
    assert len(found) == len(weights) - 3
    assert sum(values.size for values in found.values()) == sum(
        values.size for name, values in weights.items() if not name.startswith("normalization")
    )
    # Shapes as timm 1.0 has them.
    assert found["conv_stem.weight"].shape == (32, 3, 3, 3)
    assert found["blocks.0.0.conv_pw.weight"].shape == (16, 32, 1, 1)
    assert found["blocks.4.2.conv_dw.weight"].shape == (672, 1, 5, 5)
    assert found["blocks.6.0.se.conv_reduce.weight"].shape == (48, 1152, 1, 1)
    assert found["classifier.weight"].shape == (1, 1280)


def server(explain, **parts):
    module = SimpleNamespace(CASES={"case": lambda framework, task: explain}, **parts)
    served = Server(module, task=None)
    served._framework = None
    return served


def test_a_library_is_measured_and_asked_for_maps(tmp_path):
    served = server(lambda: {"top": np.ones((7, 7))})
    assert len(served.answer(served.explain, case="case", calls=3)["seconds"]) == 3
    file = str(tmp_path / "maps.npz")
    assert served.answer(served.explain, case="case", maps=file) == {"maps": file}
    with np.load(file) as found:
        assert found["top"].shape == (7, 7)


def test_a_library_that_fails_is_a_line():
    def explain():
        raise ImportError("no such library\nand more")

    served = server(explain)
    assert served.answer(served.explain, case="case", calls=1) == {"error": "ImportError: no such library"}


def test_a_framework_that_is_not_there_is_named(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("raise ImportError('there is no torch here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    np.save(tmp_path / "photograph.npy", np.zeros((8, 8, 3), np.uint8))
    facts = {"target": 0, "layers": {}, "scale": [1, 1, 1], "offset": [0, 0, 0]}
    (tmp_path / "task.json").write_text(json.dumps(facts))
    with pytest.raises(PeerError, match="ImportError: there is no torch here"):
        Worker(interpreter("python"), "torch", tmp_path, np.zeros(2))


@pytest.mark.parametrize("command", ["speed", "peers"])
def test_an_interpreter_that_is_not_there_is_one_sentence(command, capsys):
    assert main([command, "--peers", "/no/such/python"]) == 2
    assert capsys.readouterr().err.startswith("There is no Python interpreter /no/such/python;")
