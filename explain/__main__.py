"""`python -m explain`: explain photographs by one or several runs, and write pictures and numbers."""

import argparse
import json
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import combinations, product
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# OpenBLAS threads go on spinning after a product and would take a core from the network.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from explain import photo
from explain.engine import check_engine
from explain.errors import ExplainError, TargetError
from explain.methods import DEFAULT, check_methods
from models.command import status_of
from models.store import sha256
from models.versions import versions

PACKAGES = ("keras", "tensorflow-cpu", "tensorflow", "openvino", "numpy", "pillow")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # What Pillow remarks on its way to a picture is not for the person, who gets the picture or a sentence.
    warnings.filterwarnings("ignore", module="PIL")
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    from models import ModelError

    if words[:1] == ["export"]:
        command, asked = _export, _export_parser().parse_args(words[1:])
    else:
        command, asked = _explain, _parser().parse_args(words)
    return status_of(lambda: command(asked), (ExplainError, ModelError))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m explain",
        description=__doc__,
        epilog="python -m explain export TASK/RUN --out FILE.onnx writes a run's pass as one ONNX graph.",
    )
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="a photograph; all of a folder are FOLDER/*")
    parser.add_argument(
        "--model", action="append", required=True, metavar="TASK/RUN", help="may be given more than once"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    _offer_methods(parser)
    parser.add_argument("--layers", type=_names, metavar="top,5c", help="default: all")
    parser.add_argument("--target", action="append", metavar="LABEL", help="default: the class that the first run sees")
    parser.add_argument("--anatomy", type=_names, default=[], metavar="5c", help="take MBConv blocks apart")
    parser.add_argument("--engine", default="auto", metavar="auto|openvino|tensorflow")
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each photograph")
    return parser


def _export_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m explain export",
        description="Write a run's pass, forward and backward, as one ONNX graph for any runtime.",
        epilog="It takes `image` (1, S, S, 3), float32 in 0..255, cut to a square as the run's card says under "
        "preprocessing, and `cotangent` (targets, units): for each target a row with 1 at its logit; of two classes "
        "that one logit tells apart, 1 is the second and -1 the first. It gives `logits`, `gate/LAYER` and "
        "`METHOD/LAYER` (targets, H, W), NaN where an Eigen map is not proven. Its metadata hold the classes, S, and "
        "where each layer's cells look.",
    )
    parser.add_argument("model", metavar="TASK/RUN")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.onnx")
    _offer_methods(parser)
    parser.add_argument("--half", action="store_true", help="store weights as float16, half the size")
    return parser


def _offer_methods(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--method", action="append", metavar="NAME", help=f"default: {DEFAULT}; may be given more than once"
    )


def _methods(asked: argparse.Namespace) -> tuple[str, ...]:
    return tuple(dict.fromkeys(asked.method or [DEFAULT]))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _explain(asked: argparse.Namespace) -> int:
    def say(line: str) -> None:
        if not asked.json:
            print(line, flush=True)

    methods = _methods(asked)
    check_methods(methods)
    check_engine(asked.engine)
    paths = [Path(image) for image in asked.images]
    # What cannot be read is told before anything slow begins; the other photographs are explained all the same.
    unreadable = [path for path in paths if not _readable(path)]
    paths = [path for path in paths if path not in unreadable]
    if not paths:
        return 2
    explainers, runs = _load(asked, say)
    from explain.render import percent

    taken: set[str] = set()
    for number, path in enumerate(paths, 1):
        folder = _free_folder(asked.out, path, set(runs), taken)
        found = _explain_one(path, folder, asked.target, methods, asked.anatomy, explainers, runs)
        answers = ", ".join(f"{name} {one.top} {percent(one.probabilities.max())}" for name, one in found.items())
        say(f"{number} of {len(paths)}  {path.name}: {answers}  -> {folder}")
        if asked.json:
            line = {"image": str(path), "out": str(folder), "predictions": _predictions(found)}
            print(json.dumps(line, ensure_ascii=False), flush=True)
    return 2 if unreadable else 0


def _readable(path: Path) -> bool:
    try:
        photo.read(path)
    except ExplainError as error:
        print(error, file=sys.stderr)
        return False
    return True


def _load(asked: argparse.Namespace, say: Callable[[str], None]) -> tuple[dict[str, Any], dict[str, Any]]:
    import models
    from explain.explainer import Explainer
    from explain.remembered import remember

    runs: dict[str, Any] = {}
    for name in dict.fromkeys(asked.model):
        say(f"loading {name}")
        run = models.find(name)
        runs[_free_name(run.name, set(runs))] = run
    labelled = [run.labels for run in runs.values() if not run.numbered]
    explainers: dict[str, Any] = {}
    for name, run in runs.items():
        # Classes that are only numbered take the names that stand beside them.
        same = (labels for labels in labelled if run.numbered and len(labels) == len(run.labels))
        explainers[name] = Explainer(
            remember(run),
            labels=next(same, run.labels),
            engine=asked.engine,
            layers=asked.layers,
            **run.card.view,
        )
    (first_name, first), *others = explainers.items()
    for name, one in others:
        if _cells(one) != _cells(first):
            raise ExplainError(f"{first_name} and {name} have other layers, so their maps cannot stand side by side.")
    return explainers, runs


def _cells(explainer: Any) -> list[tuple[Any, ...]]:
    """What two networks' layers must share to stand side by side; Keras numbers the names of layers as they come."""
    return [(layer.shape[:2], layer.stride, layer.offset) for layer in explainer.layers]


def _explain_one(
    path: Path,
    folder: Path,
    targets: list[str] | None,
    methods: tuple[str, ...],
    blocks: list[str],
    explainers: dict[str, Any],
    runs: dict[str, Any],
) -> dict[str, Any]:
    from explain import comparison

    started = time.perf_counter()
    picture = photo.read(path)
    first = next(iter(explainers.values()))
    likeliest = [first.labels[first.probabilities(picture).argmax()]]
    wanted = list(dict.fromkeys(_target(one, first.labels) for one in targets or likeliest))
    for name, one in explainers.items():
        if strangers := [label for label in wanted if label not in one.labels]:
            raise ExplainError(
                f"{name} knows no class {strangers[0]!r}, which {next(iter(explainers))} tells apart: "
                "only maps of one class can stand side by side."
            )
    anatomies = {
        name: {block: one.anatomy(picture, block, wanted[0]) for block in blocks} for name, one in explainers.items()
    }
    asked = {"targets": wanted, "methods": methods}
    found = {name: one(picture, **asked, progress=_progress(name)) for name, one in explainers.items()}
    for name, one in found.items():
        if not np.isfinite(one.logits).all():
            raise ExplainError(
                f"What {name} says of {path.name} is no number: its training diverged, or an activation overflows; "
                "take an earlier checkpoint."
            )
    seconds = time.perf_counter() - started
    folder.mkdir(parents=True, exist_ok=True)
    for name, explanation in found.items():
        _write_numbers(folder / f"{name.replace('/', '--')}.npz", explanation, anatomies[name])
    manifest = _manifest(path, picture, runs, explainers, found, methods, seconds)
    if blocks:
        manifest["anatomy"] = {name: _residuals(one) for name, one in anatomies.items()}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    comparison.picture(path.name, found, methods[0]).save(folder / "compare.png")
    return found


def _target(text: str, labels: tuple[str, ...]) -> str:
    """The label that is meant: by itself, or by its number."""
    if text not in labels and text.isdecimal() and int(text) < len(labels):
        return labels[int(text)]
    if text not in labels:
        raise TargetError.unknown(text, labels)
    return text


def _free_folder(out: Path, path: Path, names: set[str], taken: set[str]) -> Path:
    """A folder that holds nothing but what the same photograph and runs have written before."""
    plain = re.sub(r"[^\w.-]+", "-", path.stem).strip("-.") or "image"
    others, mine = set(taken), (sha256(path), names)
    while True:
        name = _free_name(plain, others)
        if not (out / name).exists() or _written(out / name) == mine:
            taken.add(name)
            return out / name
        others.add(name)


def _free_name(plain: str, taken: set[str]) -> str:
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}-{number}", number + 1
    return name


def _written(folder: Path) -> tuple[str, set[str]] | None:
    """Of which photograph and which runs a folder holds the results, as its manifest says."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return manifest["image"]["sha256"], set(manifest["models"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _write_numbers(path: Path, found: Any, anatomies: dict[str, Any]) -> None:
    arrays: dict[str, Any] = {"logits": found.logits, "probabilities": found.probabilities, "seen": found.seen}
    for method, layers in found.maps.items():
        for layer, maps in layers.items():
            for target, values in zip(found.targets, maps, strict=True):
                arrays[f"{method}/{layer}/{target}"] = values
    for block, anatomy in anatomies.items():
        for part, values in vars(anatomy).items():
            if isinstance(values, np.ndarray):
                arrays[f"anatomy/{block}/{part}"] = values
    np.savez_compressed(path, **arrays)


def _residuals(anatomies: dict[str, Any]) -> dict[str, dict[str, float]]:
    """How much of each block's output, and of the score that it carries, merely passed by."""
    return {
        block: {name: getattr(one, name) for name in ("residual_share", "residual_score", "projected_score")}
        for block, one in anatomies.items()
    }


def _manifest(
    path: Path,
    picture: Any,
    runs: dict[str, Any],
    explainers: dict[str, Any],
    found: dict[str, Any],
    methods: tuple[str, ...],
    seconds: float,
) -> dict[str, Any]:
    first = next(iter(found.values()))
    width, height = picture.info["full_size"]
    return {
        "image": {"name": path.name, "sha256": sha256(path), "width": width, "height": height},
        "models": {
            name: {
                "sha256": run.card.sha256,
                "architecture": run.card.architecture,
                "engine": explainers[name].engine,
                "explains": explainers[name].explains,
                "preprocessing": run.card.preprocessing,
            }
            for name, run in runs.items()
        },
        "layers": [layer.name for layer in first.layers],
        "cells": {
            layer.name: {
                "shape": layer.shape[:2],
                "stride": layer.stride,
                "offset": layer.offset,
                "receptive_field": layer.receptive_field,
            }
            for layer in first.layers
        },
        "targets": list(first.targets),
        "methods": list(methods),
        "predictions": _predictions(found),
        "agreement": list(_agreement(found)),
        "versions": versions(*PACKAGES),
        "seconds": round(seconds, 3),
    }


def _predictions(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {
        name: {label: round(float(value), 6) for label, value in zip(one.labels, one.probabilities, strict=True)}
        for name, one in found.items()
    }


def _agreement(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """How far every two runs agree, for each formula and target; JSON has no NaN."""
    from explain.comparison import agreements

    for pair in combinations(found, 2):
        one, other = (found[name] for name in pair)
        for method, (number, target) in product(one.maps, enumerate(one.targets)):
            layers = agreements(one, other, method, number)
            told = {name: None if np.isnan(value) else round(value, 6) for name, value in layers.items()}
            yield {"runs": pair, "method": method, "target": target, "layers": told}


def _export(asked: argparse.Namespace) -> int:
    import models
    from models import quiet

    methods = _methods(asked)
    check_methods(methods)
    quiet.import_keras()
    from explain import graph

    run = models.load(asked.model)
    graph_of_run = graph.write(
        run.model, run.input_size, outputs="maps", labels=run.labels, half=asked.half, methods=methods
    )
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    # onnx.save would choose another form by the file's ending.
    asked.out.write_bytes(graph_of_run.SerializeToString())
    print(f"{asked.out}: {asked.out.stat().st_size / 1e6:.1f} MB")
    return 0


def _progress(name: str) -> Callable[[int, int], None] | None:
    """Of the methods that take seconds, one line on the person's screen that goes when they are done."""
    if not sys.stderr.isatty():
        return None

    def told(done: int, total: int) -> None:
        words = f"{name}: {done} of {total} pictures asked" if done < total else ""
        print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)

    return told


if __name__ == "__main__":
    sys.exit(main())
