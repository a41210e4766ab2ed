"""Hand a run over to other libraries, and ask them, in their own process, for times and maps."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.peers import keras_cams, torch_cams
from benchmarks.peers.task import Maps

ROOT = Path(__file__).parents[1]
TITLES = {"keras": tuple(keras_cams.CASES), "torch": tuple(torch_cams.CASES)}
"""Framework -> its cases."""
LOGITS_AGREE = 1e-4


class PeerError(BenchmarkError):
    """A library that is not there, or stopped."""


def two_logits(model: Any) -> Any:
    """The network with its one logit z written out as (-z, z): libraries know classes, not a unit's two sides."""
    import keras

    dense = model.get_layer("logits")
    kernel, bias = dense.get_weights()
    both = keras.layers.Dense(2, name="logits")
    written = keras.Model(model.input, both(dense.input), name=model.name)
    both.set_weights([np.concatenate([-kernel, kernel], axis=1), np.concatenate([-bias, bias])])
    return written


def hand_over(model: Any, layers: dict[str, str], photograph: np.ndarray, target: int, folder: Path) -> None:
    """Write what `benchmarks.peers.task.Task` reads.

    Args:
        model: a flat Keras EfficientNet from pixels to logits.
        layers: our name -> the Keras name.
        photograph: (S, S, 3) uint8.
        target: the logit to explain.
        folder: an empty folder.
    """
    from explain.architecture import read

    network = read(model)
    model.save(folder / "network.keras")
    weights: Any = {
        f"{layer.name}/{variable.name}": np.asarray(variable) for layer in model.layers for variable in layer.weights
    }
    np.savez(folder / "weights.npz", **weights)
    np.save(folder / "photograph.npy", photograph)
    facts = {"target": target, "layers": layers, "scale": network.scale.tolist(), "offset": network.offset.tolist()}
    (folder / "task.json").write_text(json.dumps(facts))


def interpreter(python: str) -> str:
    """The absolute path of a Python interpreter.

    Raises:
        PeerError: if there is none.
    """
    found = shutil.which(python)
    if found is None:
        raise PeerError(f"There is no Python interpreter {python}; benchmarks/peers/__init__.py says how to make one.")
    # Not resolved: a virtual environment's interpreter is a link.
    return str(Path(found).absolute())


class Worker:
    """One framework's libraries, in the interpreter at the path `python`, around what `hand_over` wrote to `folder`.

    Raises:
        PeerError: if the framework cannot be imported, or its network does not give `logits` (U,).
    """

    def __init__(self, python: str, framework: str, folder: Path, logits: np.ndarray) -> None:
        self.framework, self._folder = framework, folder
        self._log = (folder / f"{framework}.log").open("w")
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.peers", framework, str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
        )
        try:
            self.facts = self._answer()
            found = np.array(self.facts["logits"])
            if not np.allclose(found, logits, rtol=LOGITS_AGREE, atol=LOGITS_AGREE):
                raise PeerError(f"The network in {framework} gives the logits {found} instead of {logits}.")
        except PeerError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._stdin.close()
        self._process.wait()
        self._log.close()

    def seconds(self, case: str, calls: int) -> list[float]:
        """Seconds of each of so many calls.

        Raises:
            PeerError: if the library cannot be imported or fails.
        """
        return self._ask(case=case, calls=calls)["seconds"]

    def maps(self, case: str) -> Maps:
        """The maps that a case gives.

        Raises:
            PeerError: if the library cannot be imported or fails.
        """
        file = self._folder / "maps.npz"
        self._ask(case=case, maps=str(file))
        with np.load(file) as found:
            return dict(found)

    @property
    def _stdin(self) -> IO[str]:
        assert self._process.stdin is not None
        return self._process.stdin

    def _ask(self, **request: Any) -> dict[str, Any]:
        print(json.dumps(request), file=self._stdin)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            log = Path(self._log.name).read_text().strip().splitlines()
            raise PeerError(log[-1] if log else f"the process with {self.framework} ended")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer
