"""Explain a photograph: what a classifier says and where it looks, at every layer."""

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from itertools import chain, islice
from typing import Any

import numpy as np

from explain import compiled, photo
from explain.anatomy import Gates, MBConv, block_of, dissect
from explain.classes import Classes, Target, listed, turned
from explain.compiled import Graphs
from explain.engine import Engine, Pass, check_engine, engine_for
from explain.errors import EngineError, LayerError, TargetError
from explain.explanation import Explanation
from explain.formulas import FORMULAS
from explain.layers import Layer
from explain.methods import DEFAULT, FIXED, ODD, check_methods
from explain.network import Network, network_of
from explain.perturbation import Progress, perturb

MANY = 12
"""Photographs of a batch from which on it pays to compile graphs that run side by side."""
MOST_SIDE_BY_SIDE = 4
"""Photographs of a batch that go through an engine at the same time; it bounds the memory of a batch."""


class Explainer:
    """Explains one classifier; safe to call from several threads.

    Args:
        model: any Keras 3 classifier, flat or nested, with or without a final sigmoid or softmax; or what
            `explain.remember` gives in its place.
        labels: class names in the order of the outputs; two labels and one unit mean (negative, positive). Without
            labels, classes are named by their numbers. Classes that share a name, as the bird and the machine "crane"
            of ImageNet, get their number behind it: `crane (134)`.
        engine: `openvino`, `tensorflow`, or `auto`: the first where it can, otherwise the second.
        layers: names of the layers to explain, or of one; all of them by default.
        fit: how a photograph becomes a square, `crop` or `squash`.
        source_size: resolution the task's own pictures have, in pixels, where it is below the network's input.
        output: which output to explain, for models with several.
        threads: processor threads of one call, where the engine can be told.
        graphs: where compiled graphs, and with them the model's weights, are kept for the next process; by default the
            folder that `PARALLAX_GRAPHS` names, or the user's own (`explain.compiled.folder`).

    Attributes:
        labels: the C class names.
        layers: the explained layers, from the input to the head, with where their cells look (`explain.layers.Layer`).
        size: side of the square that the network sees, in pixels.
        engine: the engine that runs, `openvino` or `tensorflow`.
        explains: what maps are evidence for, `logits`, or `outputs` of a model whose last function cannot be undone.

    Raises:
        LayerError: if the model has no graph that can be followed, or no such layer.
        EngineError: if the engine asked for cannot run this model, or there is not one thread for it.
        PhotoError: if there is no such fit, or the source has no pixels.
        TargetError: if labels and outputs differ in number.
    """

    def __init__(
        self,
        model: Any,
        labels: Sequence[str] | None = None,
        engine: str = "auto",
        layers: Sequence[str] | str | None = None,
        fit: photo.Fit = "crop",
        source_size: int | None = None,
        output: str | None = None,
        threads: int | None = None,
        graphs: Graphs | None = None,
    ) -> None:
        check_engine(engine)
        photo.check(fit, source_size)
        if threads is not None and threads < 1:
            raise EngineError(f"A call has at least one thread, not {threads}.")
        network = model if isinstance(model, Network) else network_of(model, output)
        self._network = network
        self.size = network.size
        self.explains = network.explains
        self._classes = Classes.named(labels, network.units, network.squash)
        self.labels = self._classes.labels
        self.layers = _choose(network.layers, None if layers is None else _several(layers))
        self._threads = threads
        self._graphs = graphs or Graphs(compiled.folder())
        self._behind: dict[str, Any] = {}
        self._fit: photo.Fit = fit
        self._source_size = source_size
        self.engine, self._engine = engine_for(engine, network, self.layers, threads, self._graphs)

    def __call__(
        self,
        picture: Any,
        targets: Sequence[Target] | Target | None = None,
        methods: Sequence[str] | str = (DEFAULT,),
        keep: bool = False,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Explanation:
        """Explain one photograph.

        Args:
            picture: a path, bytes, PIL image or array, see `explain.photo.read`.
            targets: labels or their numbers, one or several; the most probable class by default.
            methods: names of formulas, see `explain.formulas.FORMULAS`, or of `explain.perturbation.PERTURBATIONS`,
                which take seconds; of those, occlusion and RISE have one map, of the layer `image`.
            keep: whether to keep activations, gradients and gates in `Explanation.evidence`.
            seed: what RISE draws its masks from.
            progress: told (done, total) while a perturbation runs.

        Raises:
            PhotoError: if the picture cannot be read.
            TargetError: if a target is not one of the labels, or there are none.
            EngineError: if there is no such method.
        """
        return self._explain(self._engine, picture, targets, _several(methods), keep, seed, progress)

    def anatomy(self, picture: Any, layer: str, target: Target | None = None) -> MBConv:
        """What an MBConv block makes of one photograph, and which of its channels carry the score.

        Args:
            picture: as for a call.
            layer: the block, such as `5c`.
            target: the label that contributions are for; the most probable class by default.

        Raises:
            LayerError: if there is no such block, or the network has none.
            PhotoError: if the picture cannot be read.
            TargetError: if the target is not one of the labels.
        """
        block = block_of(self._network.layers, layer)
        before = self._network.layers[self._network.layers.index(block) - 1]
        found = self._whole(picture, None if target is None else [target], methods=(), keep=True)
        assert found.evidence is not None
        return dissect(self._network.model, before, block, found.evidence, found.targets[0])

    def gates(self, picture: Any) -> dict[str, np.ndarray]:
        """The squeeze-and-excitation gates (C,), 0..1, of every block that has them; costs one forward pass.

        Raises:
            LayerError: if no block has any.
            PhotoError: if the picture cannot be read.
        """
        return self._gates(self.see(picture))

    @cached_property
    def _gates(self) -> Gates:
        return Gates(self._network.model, self._network.layers)

    @cached_property
    def _whole(self) -> "Explainer":
        """This explainer, with all layers."""
        if self.layers == self._network.layers:
            return self
        kept = {"threads": self._threads, "graphs": self._graphs}
        return Explainer(self._network, self.labels, self.engine, None, self._fit, self._source_size, **kept)

    def batch(
        self,
        pictures: Iterable[Any],
        targets: Sequence[Sequence[Target] | Target | None] | None = None,
        methods: Sequence[str] | str = (DEFAULT,),
        keep: bool = False,
    ) -> Iterator[Explanation]:
        """Explain many photographs, or one, each with its own targets; equal to as many single calls.

        Explanations come one after the other while later photographs are still to be read, so that memory stays
        bounded however many there are. Many photographs go through the engine side by side, where it can.

        Args:
            pictures: as for a call, in any number; with targets, their list is made first.
            targets: for each photograph a label or its number, several of them, or None for its likeliest class.
            methods: as for a call.
            keep: as for a call.

        Raises:
            TargetError: if there is not one list of targets for each photograph; and at its turn, what a call raises.
        """
        pictures, methods = photo.each(pictures), _several(methods)
        if targets is None:
            return self._batch(((picture, None) for picture in pictures), methods, keep)
        pictures, wanted = list(pictures), list(listed(targets))
        if len(wanted) != len(pictures):
            raise TargetError(
                "Each photograph needs targets of its own: "
                f"photographs {len(pictures)}, lists of targets {len(wanted)}."
            )
        return self._batch(zip(pictures, wanted, strict=True), methods, keep)

    def _batch(self, given: Iterator[tuple[Any, Any]], methods: Sequence[str], keep: bool) -> Iterator[Explanation]:
        first = list(islice(given, MANY))
        # Only OpenVINO's engine gains by it, and perturbations use TensorFlow besides.
        if self.engine == "openvino" and len(first) == MANY and FORMULAS.keys() >= set(methods):
            engine, calls = self._side_by_side
        else:
            engine, calls = self._engine, 1
        ahead: deque[Future[Explanation]] = deque()
        with ThreadPoolExecutor(calls) as pool:
            for picture, targets in chain(first, given):
                ahead.append(pool.submit(self._explain, engine, picture, targets, methods, keep))
                if len(ahead) > calls:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    @cached_property
    def _side_by_side(self) -> tuple[Engine, int]:
        """An engine for many photographs, and how many go through it at a time."""
        calls = min(self._threads or os.cpu_count() or 1, MOST_SIDE_BY_SIDE)
        # pyrefly: ignore [missing-attribute]  # `_batch` asks for it with OpenVINO's engine only.
        return (self._engine.side_by_side(calls) if calls > 1 else self._engine), calls

    def see(self, picture: Any) -> np.ndarray:
        """The picture as the network sees it, (S, S, 3) uint8; what was seen already stays as it is.

        Raises:
            PhotoError: if the picture cannot be read.
        """
        seen = (np.uint8, (self.size, self.size, 3))
        if isinstance(picture, np.ndarray) and (picture.dtype, picture.shape) == seen and self._source_size is None:
            return picture.copy()
        return photo.see(photo.read(picture), self.size, fit=self._fit, source_size=self._source_size)

    def probabilities(self, picture: Any) -> np.ndarray:
        """Probabilities (C,) float32 of a photograph, without a backward pass.

        Raises:
            PhotoError: if the picture cannot be read.
        """
        logits = self._engine.logits(self.see(picture)[None].astype("float32"))
        return self._classes.probabilities(self._classes.logits(logits)[0])

    def warm_up(self) -> None:
        """Trace or compile now what the first call would wait for."""
        self(np.zeros((self.size, self.size, 3), np.uint8), targets=[0])

    def _explain(
        self,
        engine: Engine,
        picture: Any,
        targets: Sequence[Target] | Target | None,
        methods: Sequence[str],
        keep: bool,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Explanation:
        check_methods(methods)
        classes = self._classes
        numbers = [] if targets is None else classes.numbers(targets)
        seen = self.see(picture)
        started = time.perf_counter()
        image = seen[None].astype("float32")
        if not numbers and classes.units > 1:
            numbers = [int(engine.logits(image)[0].argmax())]
        # One logit has one gradient; the other class's evidence is its negative.
        is_turned = classes.units == 1 and len(numbers) != 1
        rows = np.ones((1, 1), np.float32) if is_turned else classes.cotangents(numbers)
        in_graph = [] if keep else [method for method in methods if method in getattr(engine, "in_graph", ())]
        if is_turned:
            in_graph = [method for method in in_graph if method in ODD + FIXED]
        # The gradients of a thousand targets at once would take gigabytes.
        several = len(rows) if keep else engine.most_targets
        parts = []
        for first in range(0, len(rows), several):
            some = rows[None, first : first + several]
            if in_graph:
                # Activations and gradients need not leave the graph for maps that it makes itself.
                # pyrefly: ignore [missing-attribute]
                found = engine.maps(image, some, in_graph, whole=len(in_graph) < len(methods))
            else:
                found = engine(image, some)
            if is_turned:
                numbers = numbers or [int(classes.probabilities(classes.logits(found.logits)[0]).argmax())]
                found = turned(found, numbers)
            parts.append({method: _maps(method, found) for method in methods if method in FORMULAS})
        logits = classes.logits(found.logits)[0]

        def maps_of(method: str) -> dict[str, np.ndarray]:
            if method in FORMULAS:
                return {name: np.concatenate([part[method][name] for part in parts]) for name in parts[0][method]}
            return self._perturbed(method, image, found, numbers, seed, progress)

        maps = {method: maps_of(method) for method in methods}
        return Explanation(
            seen,
            logits,
            classes.probabilities(logits),
            self.labels,
            self.layers,
            tuple(self.labels[number] for number in numbers),
            maps,
            found if keep else None,
            time.perf_counter() - started,
        )

    def _perturbed(
        self,
        method: str,
        image: np.ndarray,
        found: Pass,
        numbers: list[int],
        seed: int,
        progress: Progress | None,
    ) -> dict[str, np.ndarray]:
        def per_target(logits: np.ndarray) -> np.ndarray:
            return self._classes.logits(logits)[:, numbers]

        def behind(layer: Layer) -> Any:
            from explain.engine_tensorflow import Behind

            if layer.name not in self._behind:
                self._behind[layer.name] = Behind(self._network.model, layer)
            return lambda activations: per_target(self._behind[layer.name](image, activations))

        activations = {name: values[0] for name, values in found.activations.items()}
        return perturb(
            method,
            image[0],
            activations,
            self.layers,
            lambda images: per_target(self._engine.logits(images)),
            behind,
            seed,
            progress or (lambda done, total: None),
        )


def _maps(method: str, found: Pass) -> dict[str, np.ndarray]:
    """The maps (T, H, W) of a formula, by layer, of the one photograph of a pass."""
    if method in found.maps:
        return {name: maps[0] for name, maps in found.maps[method].items()}
    maps = {}
    for name, activations in found.activations.items():
        gradients = found.gradients[name][0]
        maps[name] = FORMULAS[method](np.broadcast_to(activations, gradients.shape), gradients)
    return maps


def _several(names: Iterable[str] | str) -> Sequence[str]:
    """One name is not the list of its letters, and what gives names once is looked through twice."""
    return (names,) if isinstance(names, str) else tuple(names)


def _choose(layers: tuple[Layer, ...], names: Sequence[str] | None) -> tuple[Layer, ...]:
    if names is None:
        return layers
    known = [layer.name for layer in layers]
    if not names:
        raise LayerError(f"There is no layer to be explained; the layers are: {', '.join(known)}.")
    strangers = [name for name in names if name not in known]
    if strangers:
        raise LayerError(f"There is no layer {strangers[0]!r}; the layers are: {', '.join(known)}.")
    return tuple(layer for layer in layers if layer.name in names)
