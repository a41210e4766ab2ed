"""`python -m benchmarks.peers torch|keras FOLDER`: explain on request until the standard input ends.

Each line of the standard input and output is a JSON object. The first answer says what is here; afterwards

    {"case": TITLE, "calls": N}      asks for the seconds of N calls: {"seconds": [...]}
    {"case": TITLE, "maps": FILE}    asks for the maps, as an npz file: {"maps": FILE}

What fails is answered with {"error": "ImportError: ..."}, and the next request is heard.
"""

import importlib
import json
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# Before any library is imported, as they read these at their import.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.peers.task import Explain, Task


def main() -> int:
    """Serve; returns the exit status."""
    framework, folder = sys.argv[1], Path(sys.argv[2])
    # Libraries print: the answers' way is kept for answers alone.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    server = Server(importlib.import_module(f"benchmarks.peers.{framework}_cams"), Task.read(folder))
    print(json.dumps(server.answer(server.hello)), file=answers)
    for line in sys.stdin:
        print(json.dumps(server.answer(server.explain, **json.loads(line))), file=answers)
    return 0


class Server:
    """One framework's libraries around one network; `module` is `keras_cams` or `torch_cams`."""

    def __init__(self, module: Any, task: Task) -> None:
        self._module, self._task = module, task
        self._explainers: dict[str, Explain] = {}

    def answer(self, action: Any, **request: Any) -> dict[str, Any]:
        """What the action returns, or the error in a line."""
        try:
            return action(**request)
        except Exception as error:
            return {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"}

    def hello(self) -> dict[str, Any]:
        """Load the network; its logits and what is installed."""
        self._framework = self._module.Framework(self._task)
        return {
            "logits": self._framework.logits.tolist(),
            "versions": {name: found for name in self._module.VERSIONS if (found := _version(name))},
            "stand_ins": self._module.STAND_INS,
        }

    def explain(self, case: str, calls: int = 0, maps: str = "") -> dict[str, Any]:
        """Measure a case, or write its maps."""
        if case not in self._explainers:
            self._explainers[case] = self._module.CASES[case](self._framework, self._task)
        explain = self._explainers[case]
        if maps:
            arrays: Any = explain()
            np.savez(maps, **arrays)
            return {"maps": maps}
        seconds = []
        for _ in range(calls):
            started = time.perf_counter()
            explain()
            seconds.append(time.perf_counter() - started)
        return {"seconds": seconds}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
