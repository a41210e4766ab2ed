"""Another backend, more devices or more processes train the same: the same loss curve within 1e-3."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.training import studies
from tests.training.runs import Training, assert_its_own_results
from training import batches, loop
from training.recipe import Optimizer, Plan, Stage, TrainingError
from training.setup import Setup, Share

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-3

SCRIPT = """
import json, os, sys
from pathlib import Path

class NoTensorFlow:
    def find_spec(name, path, target=None):
        if name == "tensorflow":
            raise ModuleNotFoundError(name=name)

if os.environ["KERAS_BACKEND"] != "tensorflow":
    # As where it is not installed; Keras would import it to look whether a thing is of its types.
    sys.meta_path.insert(0, NoTensorFlow)
from models.quiet import import_keras
import_keras()
import keras
from tests.training import studies, test_setup
from training import accelerator, loop
from training.cache import Cache
from training.setup import Setup

source, base, out, *wanted = sys.argv[1:]
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
keras.applications.PlainNet = studies.plain_net
loop.begin = test_setup.with_one_head(loop.begin)
recipe = test_setup.table()
facts = {}
for name in wanted:
    folder = Path(out) / name
    setup = Setup(Cache(folder / "features"), all_devices=name != "one")
    if name == "as on two GPUs":
        # What is computed there in another way is computed so here.
        accelerator.name = lambda: "a GPU"
    loop.train(recipe, "sgd", recipe.plans["sgd"], source, base, folder, setup=setup)
    facts[name] = len(keras.distribution.list_devices())
print(json.dumps(facts))
"""


def table():
    """The head, then all; without dropout, whose numbers each backend draws in its own way."""
    return studies.recipe(
        dropout=0.0,
        stages=(Stage(1, "head", views=1), Stage(2)),
        plans={"sgd": Plan(Optimizer("SGD", 1.0, schedule="constant"))},
    )


def with_one_head(begin):
    """`training.loop.begin` with a head that does not depend on how a backend draws."""

    def begin_alike(*asked):
        model, base = begin(*asked)
        kernel, bias = model.get_layer("logits").get_weights()
        model.get_layer("logits").set_weights([np.random.default_rng(0).normal(0, 0.5, kernel.shape), bias])
        return model, base

    return begin_alike


@pytest.fixture(scope="module")
def plain(hub_folder, plain_network, tmp_path_factory):
    """A training that has not begun, from a file of weights that learn more at so high a rate."""
    folder = tmp_path_factory.mktemp("plain")
    keras.utils.set_random_seed(2)
    network = studies.plain_net(False, None, (32, 32, 3))
    network.get_layer("normalization").set_weights([np.full(3, 128.0), np.full(3, 32.0**2), np.array(0)])
    network.save_weights(folder / "plain.weights.h5")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "begin", with_one_head(loop.begin))
        yield lambda name: Training(folder / name, hub_folder, folder / "plain.weights.h5")


@pytest.fixture(scope="module")
def reference(plain):
    """Trained here: on one device, with TensorFlow."""
    return plain("reference")(table())


def begin(training, backend: str, *wanted: str, **more: str) -> subprocess.Popen:
    # What a compiler might make of so small a network is not worth its time.
    flags = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    more["XLA_FLAGS"] = f"{more.get('XLA_FLAGS', '')} {flags}"
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT), **more}
    arguments = [sys.executable, "-c", SCRIPT, str(training.source), str(training.base), str(training.out), *wanted]
    return subprocess.Popen(
        arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process: subprocess.Popen) -> dict:
    said, complained = process.communicate(timeout=500)
    assert process.returncode == 0, complained[-3000:]
    return json.loads(said.splitlines()[-1])


def assert_same_curve(folder: Path, reference) -> None:
    found = Training(folder, Path(), Path()).history
    assert len(found) == len(reference.history) == 3
    for ours, theirs in zip(found, reference.history, strict=True):
        for name in ("loss", "val_loss"):
            assert float(ours[name]) == pytest.approx(float(theirs[name]), abs=TOLERANCE), (ours, theirs)
    curve = [float(row["val_loss"]) for row in found]
    assert max(curve) - min(curve) > 50 * TOLERANCE


def test_jax_trains_the_same_without_tensorflow_on_one_device_and_on_two(plain, reference):
    training = plain("jax")
    flags = "--xla_force_host_platform_device_count=2"
    facts = end(begin(training, "jax", "one", "as on two GPUs", XLA_FLAGS=flags))
    assert facts == {"one": 2, "as on two GPUs": 2}
    for name in facts:
        assert_same_curve(training.out / name, reference)


def test_tensorflow_trains_the_same_on_two_devices(plain, reference):
    training = plain("tensorflow")
    end(begin(training, "tensorflow", "all"))
    assert_same_curve(training.out / "all", reference)


def test_two_processes_train_the_same(plain, reference):
    training = plain("processes")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    both = [
        begin(
            training,
            "jax",
            f"process{number}",
            KERAS_DISTRIBUTION_JOB_ADDRESSES=address,
            KERAS_DISTRIBUTION_NUM_PROCESSES="2",
            KERAS_DISTRIBUTION_PROCESS_ID=str(number),
        )
        for number in range(2)
    ]
    for number, process in enumerate(both):
        end(process)
        assert_same_curve(training.out / f"process{number}", reference)


def test_mixed_precision_trains_nearly_the_same_and_saves_float32(plain, reference):
    training = plain("mixed")
    training.setup = Setup(mixed=True)
    training(table())
    assert keras.config.dtype_policy().name == "float32"
    ours, theirs = (float(run.history[-1]["val_loss"]) for run in (training, reference))
    assert ours == pytest.approx(theirs, abs=0.05)
    assert training.history != reference.history
    assert training.card.training["precision"] == "mixed_bfloat16"
    # What is saved says what the trained network says, and says it in float32.
    assert training.card.results["validation"]["loss"] == pytest.approx(ours, abs=0.02)
    assert_its_own_results(training)


def test_a_batch_that_the_devices_cannot_share_is_one_sentence(monkeypatch):
    monkeypatch.setattr(batches, "share", lambda: Share(devices=3))
    with pytest.raises(TrainingError, match="A batch of 8 pictures cannot be shared by 3 devices"):
        batches.batches_of(lambda chosen, epoch: chosen, np.zeros(20), 8, 3, 0, 0)


def test_processes_have_their_parts_of_each_batch(monkeypatch):
    def of(share: Share) -> list[list[int]]:
        monkeypatch.setattr(batches, "share", lambda: share)
        found = batches.batches_of(lambda chosen, epoch: np.asarray(chosen), np.arange(19), 8, 3, 0, 0)
        return [found[index][1].tolist() for index in range(len(found))]

    whole, first, second = of(Share()), of(Share(0, 2, 2)), of(Share(1, 2, 2))
    assert [len(batch) for batch in whole] == [8, 8, 3]
    assert [one + other for one, other in zip(first, second, strict=True)] == [*whole[:2], whole[2][:2]]
