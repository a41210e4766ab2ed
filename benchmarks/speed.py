"""How long an explanation takes, in forwards of the same network, and how long other libraries take for it.

    python -m benchmarks speed [--peers PYTHON] [--rounds N]

PYTHON is the interpreter of the peers' environment; `benchmarks/peers/__init__.py` says how to make it. Everything is
measured in one run, in turns, on one photograph and one network, so that a slow spell of the machine meets all alike.
A library that is not there or fails stays in the table, with the reason.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from skimage import data

from benchmarks.agreement import keras_io
from benchmarks.errors import BenchmarkError
from benchmarks.machine import describe
from benchmarks.study import RUN, STUDY, TARGET, keep, load, write
from benchmarks.worker import TITLES, PeerError, Worker, hand_over, interpreter, two_logits

ROUNDS = 20
CALLS = 3
"""Timed calls of a case in a round, after one that is not timed: it fills the caches that the case before left cold."""
SLOW = 1.0
"""Seconds; a case that takes longer is measured in every `SLOW_EVERY`th round, one call each: caches matter no more."""
SLOW_EVERY = 5
BATCH = 16
CLASSES = 10
GRAD_CAM = ("grad_cam",)
"""What other libraries are measured with, too."""

OPENVINO = "plain OpenVINO forward"
TENSORFLOW = "plain TensorFlow forward"
OURS = "ours, OpenVINO: logits and 18 Grad-CAM maps"
FIVE = "ours, OpenVINO: five formulas without eigenvectors"
SEVEN = "ours, OpenVINO: all seven formulas"
TEN = f"ours, OpenVINO: {CLASSES} targets, 18 Grad-CAM maps each"
BATCHED = f"ours, OpenVINO: one photograph of a batch of {BATCH}"
TAPE = "ours, TensorFlow: logits and 18 Grad-CAM maps"
KERAS_IO = "keras.io's recipe, one layer at a time"

Measure = Callable[[int], list[float]]
"""Seconds of each of so many calls."""


@dataclass(frozen=True)
class Row:
    """A case with its median seconds, or the reason why there are none."""

    what: str
    seconds: float | None
    missing: str = ""


def main(python: str | None = None, rounds: int = ROUNDS) -> int:
    """Measure, print and store the tables; returns the exit status.

    Raises:
        PeerError: if there is no such interpreter.
        BenchmarkError: if there is not one round.
    """
    if rounds < 1:
        raise BenchmarkError(f"Cases take turns in one round or more, not in {rounds}.")
    if python is not None:
        python = interpreter(python)
    print("preparing the engines", flush=True)
    with _cases(python) as (cases, missing, facts):
        facts = {**describe(), "rounds": rounds, **facts}
        rows = measure(cases, missing, rounds)
    keep(STUDY, table(rows), facts)
    write(STUDY / "targets.csv", targets(rows))
    return 0


def measure(cases: dict[str, Measure], missing: dict[str, str], rounds: int = ROUNDS) -> list[Row]:
    """Median seconds of each case, taking turns."""
    warm: dict[str, float] = {}
    missing = dict(missing)
    for what, case in cases.items():
        print(f"warming up: {what}", flush=True)
        try:
            # The first call compiles or traces; the second says how long the case takes.
            warm[what] = case(2)[1]
        except PeerError as error:
            missing[what] = str(error)
    taken: dict[str, list[float]] = {what: [] for what in warm}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", flush=True)
        for what, seconds in warm.items():
            if seconds < SLOW:
                taken[what] += cases[what](1 + CALLS)[1:]
            elif number % SLOW_EVERY == 0:
                taken[what] += cases[what](1)
    order = [*cases, *(what for what in missing if what not in cases)]
    return [
        Row(what, statistics.median(taken[what])) if what in taken else Row(what, None, missing[what]) for what in order
    ]


def table(rows: list[Row]) -> list[dict[str, str]]:
    """The rows as text, in milliseconds and in forwards."""
    seconds = {row.what: row.seconds for row in rows}
    openvino, tensorflow = seconds[OPENVINO], seconds[TENSORFLOW]
    assert openvino is not None and tensorflow is not None
    return [
        {
            "what": row.what,
            "milliseconds": "" if row.seconds is None else f"{1000 * row.seconds:.1f}",
            "forwards": "" if row.seconds is None else f"{row.seconds / openvino:.2f}",
            "tensorflow_forwards": "" if row.seconds is None else f"{row.seconds / tensorflow:.2f}",
            "missing": row.missing,
        }
        for row in rows
    ]


def targets(rows: list[Row]) -> list[dict[str, str]]:
    """What was to be shown, what was measured, and whether that is enough."""
    seconds = {row.what: row.seconds for row in rows if row.seconds is not None}

    def best(titles: tuple[str, ...]) -> float | None:
        return min((seconds[title] for title in titles if title in seconds), default=None)

    plain = next(iter(TITLES["torch"]))
    keras, torch = best((KERAS_IO, *TITLES["keras"])), best(tuple(one for one in TITLES["torch"] if one != plain))
    ours = seconds[OURS]
    bars = [
        ("ours, in plain OpenVINO forwards", ours / seconds[OPENVINO], "<=", 2.6),
        ("best Keras library's 18 layers, in ours", keras and keras / ours, ">=", 40),
        ("best PyTorch library's 18 layers, in ours", torch and torch / ours, ">=", 1.0),
        ("five formulas, in Grad-CAM alone", seconds[FIVE] / ours, "<=", 1.2),
        ("seven formulas, in Grad-CAM alone", seconds[SEVEN] / ours, "<=", 1.5),
        (f"one photograph of a batch of {BATCH}, in a single one", seconds[BATCHED] / ours, "<=", 1.0),
    ]
    return [
        {
            "what": what,
            "measured": "" if found is None else f"{found:.2f}",
            "bar": f"{sign} {bar:g}",
            "met": "" if found is None else "yes" if (found <= bar if sign == "<=" else found >= bar) else "no",
        }
        for what, found, sign, bar in bars
    ]


@contextmanager
def _cases(python: str | None) -> Iterator[tuple[dict[str, Measure], dict[str, str], dict[str, Any]]]:
    """Every case that there is, the reasons why others are missing, and facts about the machine's libraries."""
    from explain import Explainer

    run = load()
    explainer = Explainer(run.model, labels=run.labels, engine="openvino")
    seen = explainer.see(data.chelsea())
    both = two_logits(run.model)
    layers = {layer.name: layer.keras_name for layer in explainer.layers}
    target = run.labels.index(TARGET)
    cases = {what: _timed(case) for what, case in _ours(run, explainer, seen).items()}
    cases[BATCHED] = _timed(_batched(explainer, seen), BATCH)
    cases[KERAS_IO] = _timed(lambda: keras_io(both, seen, layers, target))
    missing: dict[str, str] = {}
    facts: dict[str, Any] = {"run": RUN, "weights_sha256": run.card.sha256}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if python is not None:
            hand_over(both, layers, seen, target, folder)
        for framework, titles in TITLES.items():
            try:
                if python is None:
                    raise PeerError("not measured: no --peers was given")
                worker = stack.enter_context(Worker(python, framework, folder, explainer(seen).logits))
            except PeerError as error:
                missing |= dict.fromkeys(titles, str(error))
                continue
            facts[f"peers_{framework}"] = worker.facts["versions"]
            facts.setdefault("stand_ins", []).extend(worker.facts["stand_ins"])
            for title in titles:
                cases[title] = lambda calls, worker=worker, title=title: worker.seconds(title, calls)
        yield cases, missing, facts


def _ours(run: Any, explainer: Any, seen: np.ndarray) -> dict[str, Callable[[], object]]:
    import tensorflow as tf

    from explain import Explainer
    from explain.formulas import FORMULAS

    tape = Explainer(run.model, labels=run.labels, engine="tensorflow")
    many = Explainer(_ten_classes(run.model), engine="openvino")
    forward = tf.function(lambda pixels: run.model(pixels, training=False))
    image = seen[None].astype("float32")
    tensor = tf.constant(image)
    five = [name for name in FORMULAS if "eigen" not in name]
    return {
        OPENVINO: _openvino_forward(run.model, image),
        OURS: lambda: explainer(seen, targets=[TARGET], methods=GRAD_CAM),
        FIVE: lambda: explainer(seen, targets=[TARGET], methods=five),
        SEVEN: lambda: explainer(seen, targets=[TARGET], methods=list(FORMULAS)),
        TEN: lambda: many(seen, targets=range(CLASSES), methods=GRAD_CAM),
        # After OpenVINO's, for TensorFlow's threads go on spinning for a while and would take a core from them.
        TENSORFLOW: lambda: forward(tensor).numpy(),
        TAPE: lambda: tape(seen, targets=[TARGET], methods=GRAD_CAM),
    }


def _batched(explainer: Any, seen: np.ndarray) -> Callable[[], object]:
    return lambda: list(explainer.batch([seen] * BATCH, [[TARGET]] * BATCH, GRAD_CAM))


def _openvino_forward(model: Any, image: np.ndarray) -> Callable[[], object]:
    """The network alone, nothing kept for a backward pass; as fast as OpenVINO's own conversion of it, or faster."""
    import openvino

    from explain import graph

    core = openvino.Core()
    network = core.read_model(graph.write(model, outputs="logits").SerializeToString())
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(network, "CPU", settings).create_infer_request()
    return lambda: request.infer([image])


def _ten_classes(model: Any) -> Any:
    """The same backbone under a head of ten classes, drawn from a seed."""
    import keras

    keras.utils.set_random_seed(0)
    logits = keras.layers.Dense(CLASSES, name="logits")(model.get_layer("logits").input)
    return keras.Model(model.input, logits, name=model.name)


def _timed(case: Callable[[], object], photographs: int = 1) -> Measure:
    def seconds(calls: int) -> list[float]:
        taken = []
        for _ in range(calls):
            started = time.perf_counter()
            case()
            taken.append((time.perf_counter() - started) / photographs)
        return taken

    return seconds
