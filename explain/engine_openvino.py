"""The fast engine: an EfficientNet's written-out pass (`graph.py`) in OpenVINO, on the processor, in float32.

Measured on B0 at 224 px: a batch of photographs in one run costs half as much again per photograph as one run after
another (what one photograph needs fits the caches better), while targets of one photograph that share its forward pass
cost half a run each. So photographs go through one by one, and their targets together.
"""

import copy
import hashlib
import io
import math
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import LifoQueue
from typing import Any

import numpy as np

from explain import compiled
from explain.compiled import NOWHERE, Graphs
from explain.engine import Pass
from explain.errors import EngineError
from explain.formulas import FORMULAS
from explain.methods import EIGEN
from explain.written import Written

# Targets in one run; more are split into several. Bounds the memory: about 5 MB a target for B0 at 224 px.
MOST_TARGETS = 16
# Compiled graphs kept, one for each number of targets and kind of output; 70 to 160 MB each for B0 at 224 px.
MOST_COMPILED = 4
# Outputs of a whole Pass, and those that the targets of a photograph share.
WHOLE = ("activation", "gradient", "gate")
SHARED = ("logits", "activation", "gate")


class OpenVinoEngine:
    """`engine(images, cotangents) -> Pass` for a network that was written down; safe to call from several threads.

    `threads` bounds the processor threads of one call (default: OpenVINO's choice for low latency); two engines side by
    side on two cores are fastest with one each. What is compiled is kept in `graphs`, for a faster start of the next
    process. `in_graph` are the methods that `maps` knows.

    Raises EngineError where OpenVINO is not installed.
    """

    most_targets = MOST_TARGETS

    def __init__(self, written: Written, *, threads: int | None = None, graphs: Graphs = NOWHERE):
        try:
            import openvino
        except ImportError:
            message = "OpenVINO is not installed: pip install openvino, or use the tensorflow engine."
            raise EngineError(message) from None
        self._written, self._graphs = written, graphs
        self._layers, self._sides = written.layers, written.sides
        self.in_graph = tuple(method for method in FORMULAS if method in self._sides)
        self._openvino, self._core = openvino, openvino.Core()
        # The plugin's own choice is bfloat16 where the processor can: maps 4 to 13 % off.
        self._settings: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            self._settings["INFERENCE_NUM_THREADS"] = threads
        # All that decides what is compiled: the weights, this file, and what it runs on.
        self._origin = compiled.key(
            hashlib.sha256(written.content).digest(),
            Path(__file__).read_bytes(),
            openvino.get_version(),
            self._core.get_property("CPU", "FULL_DEVICE_NAME"),
            self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
        )
        self._calls = 1
        self._compiled: OrderedDict[tuple[int, tuple[str, ...]], LifoQueue[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def side_by_side(self, calls: int) -> "OpenVinoEngine":
        """This engine for `calls` calls at a time, from as many threads, which share its processor threads.

        One call takes longer, all together less: no thread waits for others at the end of every layer. The numbers are
        the same. It compiles graphs of its own.
        """
        engine = copy.copy(self)
        engine._calls = calls
        engine._settings = self._settings | {"NUM_STREAMS": calls}
        engine._compiled, engine._lock = OrderedDict(), threading.Lock()
        return engine

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits (B, U) of photographs (B, S, S, 3), 0..255, without a backward pass."""
        return self._run(images, None)["logits"]

    def __call__(self, images: np.ndarray, cotangents: np.ndarray) -> Pass:
        """Photographs (B, S, S, 3) float32 in 0..255, cotangents (B, T, U) float32; the caller owns what comes back."""
        return self._pass(self._run(images, cotangents, *WHOLE))

    def maps(
        self,
        images: np.ndarray,
        cotangents: np.ndarray,
        methods: Sequence[str],
        whole: bool = False,
    ) -> Pass:
        """The maps of `methods`, of those in `in_graph`, made in the graph: a Pass with `maps`.

        Activations, gradients and gates come with it where `whole` says so. Without them Grad-CAM is an eighth faster
        than a Pass alone, and the other methods cost little more: nothing large leaves the graph.
        """
        # One compiled graph for Grad-CAM, one for any without eigenvectors, one for all.
        quick = tuple(method for method in self.in_graph if method not in EIGEN)
        made = next(some for some in (("grad_cam",), quick, self.in_graph) if set(some) >= set(methods))
        found = self._pass(self._run(images, cotangents, *made, *(WHOLE if whole else ())), methods)
        return self._proven(found, images, cotangents)

    def _proven(self, found: Pass, images: np.ndarray, cotangents: np.ndarray) -> Pass:
        """With `formulas.py`'s map in place of each that the graph could not prove."""
        whole = None
        for method in found.maps.keys() & set(EIGEN):
            for name, maps in found.maps[method].items():
                for photo in np.flatnonzero(np.isnan(maps).any((1, 2, 3))):
                    whole = whole or (found if found.activations else self(images, cotangents))
                    G = whole.gradients[name][photo]
                    A = np.broadcast_to(whole.activations[name][photo], G.shape)
                    maps[photo] = FORMULAS[method](A, G)
        return found

    def _pass(self, found: dict[str, np.ndarray], methods: Sequence[str] = ()) -> Pass:
        def of(kind: str) -> dict[str, np.ndarray]:
            return {name: found[f"{kind}/{name}"] for name in self._layers if f"{kind}/{name}" in found}

        maps = {method: of(method) for method in methods}
        return Pass(found["logits"], of("activation"), of("gradient"), of("gate"), maps)

    def _run(self, images: np.ndarray, cotangents: np.ndarray | None, *kinds: str) -> dict[str, np.ndarray]:
        """The graph's outputs of these kinds; photographs first, then targets where there are any."""
        size, units = self._written.size, self._written.units
        if images.shape[1:] != (size, size, 3):
            raise EngineError(f"This engine takes photographs of {size} x {size} pixels with 3 channels.")
        photos, targets = len(images), 1
        if cotangents is not None:
            targets = cotangents.shape[1]
            if cotangents.shape != (photos, targets, units) or not targets:
                raise EngineError(f"{photos} photographs need as many rows of cotangents for {units} units.")
        found, packed = {}, {}
        # A layer without squeeze-and-excitation has no gate, and maybe no layer has one.
        for kind in [kind for kind in ("logits", *kinds) if kind in self._sides]:
            rows = (photos,) if kind in SHARED else (photos, targets)
            if kind in SHARED or kind in WHOLE:
                for layer, sides in self._sides[kind].items():
                    found[f"{kind}/{layer}" if layer else kind] = np.empty(rows + sides, np.float32)
            else:
                cells = sum(map(math.prod, self._sides[kind].values()))
                packed[kind] = np.empty((*rows, cells), np.float32)
        handed_out = found | packed
        for photo in range(photos):
            inputs = {"image": images[photo : photo + 1]}
            for first in range(0, targets, MOST_TARGETS):
                some = slice(first, min(first + MOST_TARGETS, targets))
                if cotangents is not None:
                    inputs["cotangent"] = cotangents[photo, some]
                with self._request(0 if cotangents is None else some.stop - some.start, kinds) as request:
                    for name, values in handed_out.items():
                        # OpenVINO writes straight into the arrays that are handed out.
                        shared = name.partition("/")[0] in SHARED
                        part = values[photo : photo + 1] if shared else values[photo, some]
                        request.set_tensor(name, self._openvino.Tensor(part, shared_memory=True))
                    request.infer(inputs, share_inputs=True, share_outputs=True)
        for kind, values in packed.items():
            end = 0
            for layer, sides in self._sides[kind].items():
                start, end = end, end + math.prod(sides)
                found[f"{kind}/{layer}"] = values[..., start:end].reshape(photos, targets, *sides)
        return found

    @contextmanager
    def _request(self, targets: int, kinds: tuple[str, ...]) -> Iterator[Any]:
        """A run that gives these kinds of outputs for so many targets, for nobody else meanwhile.

        Each number of targets is compiled by itself: a graph open for any number would be a third slower.
        """
        key = targets, kinds
        with self._lock:
            if key not in self._compiled:
                made = self._compile(targets, kinds)
                self._compiled[key] = LifoQueue()
                for _ in range(self._calls):
                    self._compiled[key].put(made.create_infer_request())
                if len(self._compiled) > MOST_COMPILED:
                    self._compiled.popitem(last=False)
            self._compiled.move_to_end(key)
            requests = self._compiled[key]
        request = requests.get()
        try:
            yield request
        finally:
            requests.put(request)

    def _compile(self, targets: int, kinds: tuple[str, ...]) -> Any:
        """The graph for these kinds of outputs and so many targets, from disk where it was compiled before."""
        key = compiled.key(self._origin, self._settings, targets, kinds)
        kept = self._graphs.find(key)
        if kept is not None:
            with suppress(RuntimeError):  # OpenVINO's word for what it cannot take
                return self._core.import_model(io.BytesIO(kept), "CPU", self._settings)
        network = self._only(kinds, bool(targets))
        if targets:
            network.reshape({"cotangent": [targets, self._written.units]})
        made = self._core.compile_model(network, "CPU", self._settings)
        self._graphs.keep(key, lambda: made.export_model().getvalue())
        return made

    def _only(self, kinds: tuple[str, ...], targets: bool) -> Any:
        """The network with these kinds of outputs, and with targets or without.

        The maps of a method leave it as one output, all layers in a row: handing over an output takes as long as
        computing a small layer.
        """
        from openvino import opset13 as ops

        network = self._core.read_model(self._written.content)
        # Where the results come from: one that was made of a result would be none any more.
        ports = {port.any_name: port.get_node().input_value(0) for port in network.outputs}
        outputs = [ports["logits"]]
        for kind in kinds:
            named = {name: port for name, port in ports.items() if name.partition("/")[0] == kind}
            if kind in WHOLE:
                outputs += named.values()
                continue
            rows = [
                ops.reshape(named[f"{kind}/{layer}"], [-1, math.prod(sides)], special_zero=False).output(0)
                for layer, sides in self._sides[kind].items()
            ]
            row = ops.concat(rows, axis=1).output(0)
            row.set_names({kind})
            outputs.append(row)
        # pyrefly: ignore [no-matching-overload]  # OpenVINO's stubs want a `self` of another class.
        return self._openvino.Model(outputs, network.get_parameters()[: None if targets else 1])
