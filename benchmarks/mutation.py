"""Does a test fail when the source is wrong? Mutants of the explain engine, each met by the tests of its file.

cosmic-ray makes the mutants: one operator, number, comparison, condition, loop or decorator changed at a time. Left
out is what says nothing about the tests: bitwise operators in the place of arithmetic, which end in a TypeError among
floats whatever a test expects, mutants of annotations, which end in one at import, what is no longer Python, and the
`strict=True` of `zip`, which asserts what is so. `MISTAKES` adds the swaps that no operator makes, such as a gradient
of the probability instead of the logit.

A mutant is killed by a test that fails or never ends, and survives where all tests pass. Everything happens in a copy
of the tree; each mutant meets the tests in a process of its own, forked from one that has imported TensorFlow.
"""

import ast
import difflib
import gc
import hashlib
import importlib
import json
import multiprocessing
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.study import STUDIES
from models.versions import versions
from training import tables

ROOT = Path(__file__).parents[1]
STUDY = STUDIES / "mutation"
SESSIONS = ROOT / "out" / "mutation"
SUBJECTS = (
    "explain/formulas.py",
    "explain/graph_formulas.py",
    "explain/graph_eigen.py",
    "explain/engine_tensorflow.py",
    "explain/engine_openvino.py",
)
KNOWN = (*SUBJECTS, "mistakes")
TESTS = {
    "explain/formulas.py": "tests/explain/test_formulas.py",
    "explain/graph_formulas.py": "tests/explain/test_graph_formulas.py",
    "explain/graph_eigen.py": "tests/explain/test_graph_eigen.py",
    "explain/engine_tensorflow.py": "tests/explain/test_engine_tensorflow.py",
    "explain/engine_openvino.py": "tests/explain/test_engine_openvino.py",
    "explain/graph.py": "tests/explain/test_graph.py",
    "explain/architecture.py": "tests/explain/test_graph.py",
    "explain/layers.py": "tests/explain/test_layers.py",
    "explain/network.py": "tests/explain/test_network.py",
    "explain/classes.py": "tests/explain/test_truths.py",
}
LEFT_OUT = re.compile(r"core/ReplaceBinaryOperator_(Add|Sub|Mul|Div|FloorDiv|Mod|Pow)_([LR]Shift|Bit\w+)$")
# What the tests import, so that a fork has it; nothing here may start a thread, which a fork would lose.
WARM = ("tensorflow", "keras", "openvino", "onnx.reference", "scipy.linalg", "skimage.data", "pytest")


@dataclass(frozen=True)
class Mistake:
    """A named swap in the source: `right` stands once in the file, and its tests must notice `wrong`."""

    name: str
    file: str
    right: str
    wrong: str


MISTAKES = tuple(
    Mistake(*fields)
    for fields in (
        ("pooling axis", "explain/formulas.py", "sum(axis=1).sum(axis=1)", "sum(axis=1).sum(axis=2)"),
        ("pooling axis", "explain/formulas.py", "(A.shape[1] * A.shape[2])", "(A.shape[1] * A.shape[3])"),
        ("pooling axis", "explain/graph_formulas.py", "product, to.constant([1])", "product, to.constant([2])"),
        ("sign", "explain/formulas.py", "_weighted(A, _sum(G) /", "_weighted(A, -_sum(G) /"),
        ("sign", "explain/engine_tensorflow.py", "row * logits", "-row * logits"),
        ("sign", "explain/graph.py", "alpha=1 / (height * width)", "alpha=-1 / (height * width)"),
        ("sign", "explain/classes.py", "-1.0 if number == 0", "-1.0 if number == 1"),
        ("layer", "explain/engine_tensorflow.py", "zip(self._names, *gradients,", "zip(self._names[::-1], *gradients,"),
        ("layer", "explain/engine_openvino.py", 'name: found[f"{kind}/{name}"]', 'name: found[f"{kind}/top"]'),
        ("layer", "explain/graph.py", "gradients[block.name] =", "gradients[blocks[blocks.index(block) - 1].name] ="),
        (
            "target",
            "explain/engine_tensorflow.py",
            "unstack(cotangents, axis=1)",
            "unstack(cotangents[:, ::-1], axis=1)",
        ),
        ("target", "explain/engine_openvino.py", "cotangents[photo, some]", "cotangents[0, some]"),
        ("target", "explain/classes.py", "self.labels.index(target)", "self.labels[::-1].index(target)"),
        ("padding offset", "explain/architecture.py", "- size, 0) // 2", "- size + 1, 0) // 2"),
        ("padding offset", "explain/layers.py", "(span / 2 - before)", "(span / 2)"),
        ("padding offset", "explain/graph.py", "- 1) / 2 - before", "- 1) / 2"),
        ("logit for probability", "explain/engine_tensorflow.py", "row * logits", "row * tf.nn.softmax(logits)"),
        ("logit for probability", "explain/network.py", "return last.input, ", "return output, "),
        (
            "logit for probability",
            "explain/graph.py",
            'self.weight(network.bias), out="logits")',
            'self.weight(network.bias), out="z"); self.node("Softmax", "z", out="logits")',
        ),
    )
)
"""The six mistakes that saliency libraries make, in the places where this source could make them."""


@dataclass(frozen=True)
class Verdict:
    """What the tests say: `outcome` is killed, survived or timeout; `test` the first that failed."""

    outcome: str
    test: str = ""


def main(wanted: Sequence[str] = ()) -> int:
    """Try the mutants of the files that are wanted and the `mistakes` (default: all); returns the exit status.

    Raises:
        BenchmarkError: if there are no mutants of one of them, its tests fail without any, or cosmic-ray is not
            installed, which only the mistakes do without.
    """
    wanted = wanted or KNOWN
    if strangers := [one for one in wanted if one not in KNOWN]:
        raise BenchmarkError(f"There are no mutants of {strangers[0]}; choose from {', '.join(KNOWN)}.")
    if set(wanted) != {"mistakes"}:
        try:
            import cosmic_ray  # noqa: F401
        except ImportError:
            raise BenchmarkError("Mutants are made by cosmic-ray: pip install -r requirements-mutation.txt") from None
    for module in WARM:
        importlib.import_module(module)
    # A collection in a fork would touch, and so copy, all that it shares with this process.
    gc.freeze()
    STUDY.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for part in ("explain", "models", "tests"):
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", tree)
        (tree / "assets").symlink_to(ROOT / "assets")
        for one in wanted:
            if one == "mistakes":
                _store_mistakes(tree)
            else:
                _store(one, mutants(tree, one))
    packages = ("cosmic-ray", "pytest", "numpy", "scipy", "tensorflow-cpu", "keras", "openvino")
    facts = {"system": platform.system(), **versions(*packages)}
    (STUDY / "machine.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return 0


def mutants(tree: Path, file: str) -> list[dict[str, Any]]:
    """What the tests say about each mutant of a file in a copy of the tree: line, operator, before, after, outcome.

    Every verdict is kept in a session of cosmic-ray's, so that a call that was stopped goes on where it was.
    """
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator
    from cosmic_ray.work_db import WorkDB
    from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

    path, tests = tree / file, TESTS[file]
    source = path.read_text(encoding="utf-8")
    state = hashlib.sha256(path.read_bytes() + (tree / tests).read_bytes()).hexdigest()
    SESSIONS.mkdir(parents=True, exist_ok=True)
    session = WorkDB(SESSIONS / f"{path.stem}-{state[:12]}.sqlite", WorkDB.Mode.create)
    if not session.num_work_items:
        session.add_work_items(_work(path, source))
    pending = session.pending_work_items
    limit = _limit(tree, file) if pending else 0
    for item in pending:
        (mutation,) = item.mutations
        mutated = mutate_code(source, get_operator(mutation.operator_name)(), mutation.occurrence) or source
        with _written(path, mutated):
            verdict = _tried(tree, tests, limit)
        outcome = TestOutcome.SURVIVED if verdict.outcome == "survived" else TestOutcome.KILLED
        output = verdict.test or verdict.outcome
        session.set_result(item.job_id, WorkResult(WorkerOutcome.NORMAL, output, outcome, _difference(source, mutated)))
        done = f"{session.num_results}/{session.num_work_items}"
        print(
            done, f"{file}:{mutation.start_pos[0]}", mutation.operator_name, verdict.outcome, verdict.test, flush=True
        )
    rows = []
    for item, result in session.completed_work_items:
        (mutation,) = item.mutations
        assert result.diff is not None and result.test_outcome is not None
        before, after = result.diff.split("\n")
        outcome = "timeout" if result.output == "timeout" else result.test_outcome.value
        what = {"line": mutation.start_pos[0], "operator": mutation.operator_name.removeprefix("core/")}
        rows.append({**what, "before": before, "after": after, "outcome": outcome})
    session.close()
    return sorted(rows, key=lambda row: (row["line"], row["operator"], row["after"]))


def _work(path: Path, source: str) -> Iterator[Any]:
    """cosmic-ray's work items for a file, less those that say nothing."""
    from cosmic_ray.commands import init
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator
    from cosmic_ray.work_db import WorkDB

    annotations = _annotations(source)
    session = WorkDB(":memory:", WorkDB.Mode.create)
    init([path], session, {})
    for item in session.work_items:
        (mutation,) = item.mutations
        mutated = mutate_code(source, get_operator(mutation.operator_name)(), mutation.occurrence)
        line, column = mutation.start_pos
        asserts = source.splitlines()[line - 1][:column].endswith("strict=")
        annotation = any(first <= mutation.start_pos < last for first, last in annotations)
        if asserts or annotation or LEFT_OUT.match(mutation.operator_name):
            continue
        if mutated and _is_python(mutated):
            yield item


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def _annotations(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations begin and end, as (line, column)."""
    found = []
    for node in ast.walk(ast.parse(source)):
        for name in ("annotation", "returns"):
            if (part := getattr(node, name, None)) is not None:
                found.append(((part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)))
    return found


def _difference(source: str, mutated: str) -> str:
    """The lines that differ, those before in one line and those after in the next."""
    lines = list(difflib.ndiff(source.splitlines(), mutated.splitlines()))
    return "\n".join(" ".join(line[2:].strip() for line in lines if line.startswith(mark)) for mark in ("- ", "+ "))


@contextmanager
def _written(path: Path, text: str) -> Iterator[None]:
    """The file with another text, for a while."""
    source = path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(source, encoding="utf-8")


def _limit(tree: Path, file: str) -> float:
    """Seconds after which the tests of a file are taken to be endless; they must pass as long as nothing is wrong."""
    started = time.monotonic()
    verdict = _tried(tree, TESTS[file], 600)
    if verdict.outcome != "survived":
        raise BenchmarkError(f"{TESTS[file]} fails without a mutant: {verdict.test or verdict.outcome}.")
    return 10 + 3 * (time.monotonic() - started)


def _tried(tree: Path, tests: str, limit: float) -> Verdict:
    """Run tests of the copy in a process of their own, until the first failure."""
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    process = fork.Process(target=_run, args=(tree, tests, sender))
    process.start()
    sender.close()
    process.join(limit)
    if process.exitcode is None:
        process.kill()
        process.join()
        return Verdict("timeout")
    if process.exitcode == 0:
        return Verdict("survived")
    try:
        return Verdict("killed", receiver.recv())
    except EOFError:
        return Verdict("killed", "(the process ended)")


def _run(tree: Path, tests: str, sender: Connection) -> None:
    import pytest

    class FirstFailure:
        def pytest_collectreport(self, report: pytest.CollectReport) -> None:
            if report.failed:
                sender.send("(at import)")

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                sender.send(report.nodeid.split("::")[-1])

    os.chdir(tree)
    sys.path[:] = [str(tree), *(entry for entry in sys.path if Path(entry).resolve() != ROOT)]
    sys.dont_write_bytecode = True
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    with Path(os.devnull).open("w") as nowhere:
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)
    options = "-x -q -p no:cacheprovider -W ignore --assert=plain -o addopts=--import-mode=importlib"
    status = pytest.main([*options.split(), tests], plugins=[FirstFailure()])
    # Threads of the runtimes must not keep the process.
    os._exit(int(status))


def _store(file: str, tried: list[dict[str, Any]]) -> None:
    """Put one file's figures into table.csv and survivors.csv; what was said about a known survivor is kept."""
    outcomes = [mutant["outcome"] for mutant in tried]
    killed, survived, timeout = (outcomes.count(one) for one in ("killed", "survived", "timeout"))
    row = {
        "file": file,
        "mutants": len(tried),
        "killed": killed,
        "survived": survived,
        "timeout": timeout,
        "share": f"{(killed + timeout) / len(tried):.3f}",
        "sha256": hashlib.sha256((ROOT / file).read_bytes()).hexdigest(),
    }
    others = [one for one in tables.read(STUDY / "table.csv") if one["file"] != file]
    _write("table.csv", sorted([*others, row], key=lambda one: SUBJECTS.index(one["file"])))
    print(f"{file}: {killed} of {len(tried)} mutants killed, {timeout} endless, {survived} survived", flush=True)

    survivors = tables.read(STUDY / "survivors.csv")
    what = ("file", "operator", "before", "after")
    said = {tuple(one[key] for key in what): one["why"] for one in survivors}
    rows = [one for one in survivors if one["file"] != file]
    for mutant in tried:
        if mutant.pop("outcome") == "survived":
            survivor = {"file": file, **mutant}
            rows.append({**survivor, "why": said.get(tuple(survivor[key] for key in what), "")})
            if not rows[-1]["why"]:
                print(f"survivors.csv does not say why this survived: line {mutant['line']}, {mutant['after']}")
    _write("survivors.csv", sorted(rows, key=lambda one: SUBJECTS.index(one["file"])))


def _store_mistakes(tree: Path) -> None:
    """Try every named mistake and write named.csv."""
    limits = {file: _limit(tree, file) for file in {mistake.file for mistake in MISTAKES}}
    rows = []
    for mistake in MISTAKES:
        path = tree / mistake.file
        source = path.read_text(encoding="utf-8")
        if source.count(mistake.right) != 1:
            raise BenchmarkError(f"{mistake.file} no longer has exactly one {mistake.right!r}.")
        with _written(path, source.replace(mistake.right, mistake.wrong)):
            verdict = _tried(tree, TESTS[mistake.file], limits[mistake.file])
        rows.append({**asdict(mistake), **asdict(verdict)})
        print(f"{mistake.name}, {mistake.file}: {verdict.outcome} by {verdict.test or 'nothing'}", flush=True)
    _write("named.csv", rows)


def _write(name: str, rows: list[dict]) -> None:
    tables.write(STUDY / name, list(rows[0]) if rows else [], rows)
