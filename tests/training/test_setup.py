"""Another backend, more devices or more processes train the same: the same loss curve within 1e-3."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.training import studies
from tests.training.runs import Training
from training import batches
from training.recipe import Stage, TrainingError
from training.setup import Setup, Share

ROOT = Path(__file__).parents[2]
# Dropout draws other numbers on each backend; the rate is high enough that the losses move by 50 tolerances.
CHANGES = {"dropout": 0.0, "stages": (Stage(1, "head", views=1), Stage(3))}
TOLERANCE = 1e-3

SCRIPT = """
import json, sys
from dataclasses import replace
from pathlib import Path
import keras
from tests.training import studies
from tests.training.test_setup import CHANGES, RATE
from training.cache import Cache
from training.loop import train
from training.setup import Setup

source, base, out, *wanted = sys.argv[1:]
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
keras.applications.TinyNet = studies.tiny_net
recipe = studies.recipe(**CHANGES)
plan = replace(recipe.plans["sgd"], optimizer=replace(recipe.plans["sgd"].optimizer, rate=RATE))
for name in wanted:
    folder = Path(out) / name
    train(recipe, "sgd", plan, source, base, folder, setup=Setup(Cache(folder / "features"), all_devices=name != "one"))
print(json.dumps({"tensorflow": "tensorflow" in sys.modules, "devices": len(keras.distribution.list_devices())}))
"""
RATE = 0.3


@pytest.fixture(scope="module")
def reference(hub_folder, base_weights, tmp_path_factory):
    """Trained here: on one device, with TensorFlow."""
    run = Training(tmp_path_factory.mktemp("reference") / "run", hub_folder, base_weights)
    table = studies.recipe(**CHANGES)
    return run(table, optimizer=faster(table))


def faster(table):
    return replace(table.plans["sgd"].optimizer, rate=RATE)


def begin(training, backend: str, *wanted: str, **more: str) -> subprocess.Popen:
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
    assert len(found) == len(reference.history) == 4
    for ours, theirs in zip(found, reference.history, strict=True):
        for name in ("loss", "val_loss"):
            assert float(ours[name]) == pytest.approx(float(theirs[name]), abs=TOLERANCE), (ours, theirs)
    curve = [float(row["val_loss"]) for row in found]
    assert max(curve) - min(curve) > 50 * TOLERANCE


def test_jax_trains_the_same_without_tensorflow_on_one_device_and_on_two(training, reference):
    flags = "--xla_force_host_platform_device_count=2"
    facts = end(begin(training, "jax", "one", "all", XLA_FLAGS=flags))
    assert facts == {"tensorflow": False, "devices": 2}
    assert_same_curve(training.out / "one", reference)
    assert_same_curve(training.out / "all", reference)


def test_tensorflow_trains_the_same_on_two_devices(training, reference):
    end(begin(training, "tensorflow", "all"))
    assert_same_curve(training.out / "all", reference)


def test_two_processes_train_the_same(training, reference):
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


def test_mixed_precision_trains_nearly_the_same_and_saves_float32(training, reference):
    training.setup = Setup(mixed=True)
    table = studies.recipe(**CHANGES)
    training(table, optimizer=faster(table))
    assert keras.config.dtype_policy().name == "float32"
    assert training.model.dtype_policy.name == "float32"
    ours, theirs = (float(run.history[-1]["val_loss"]) for run in (training, reference))
    assert ours == pytest.approx(theirs, abs=0.05)
    assert training.history != reference.history
    assert training.card.training["precision"] == "mixed_bfloat16"


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
