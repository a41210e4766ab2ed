"""The viewer as a folder that any file server serves: the networks travel to the browser, and no photograph from it.

``python -m ui.viewer.static DIR`` writes it. What the page reads is `space.json`:

    {version, method, classes, layers,            as in a payload's description, see viewer.js
     size, view: {fit, source_size}, labels, units,
     maps (what graphs call a layer's maps, before the slash and its name),
     runs: [{id, name, hue, weights: {file, bytes}}],
     graphs: [{file, bytes, layers}],       from the whole network to its deepest layers; cheaper the fewer they are
     runtime: {file, bytes},                gzip
     samples: [{id, label, thumbnail (base64), file}]}           `file`.json and `file`.bin are a payload

Weights and graphs are files of their own, so that all graphs of all runs share them (ONNX external data).
"""

import base64
import gzip
import hashlib
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, external_data_helper, helper

import models
from explain import Explainer, photo
from explain.errors import ExplainError
from explain.methods import DEFAULT
from models.errors import ModelError
from ui import runs, samples
from ui.viewer import bundle
from ui.viewer.payload import Payload, payload

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "spaces" / "static"
RUNTIME = PAGE / "node_modules" / "onnxruntime-web" / "dist"
WASM = "ort-wasm-simd-threaded"
PAIR = ("cats_vs_dogs/sgd", "cats_vs_dogs/adam")
NOT_SERVED = {"package.json", "package-lock.json", ".npmrc", "node_modules"}
WEIGHTS = "weights"
"""What graphs call the file of weights, whichever run's it is."""
ALIGNMENT = 16


class SpaceError(Exception):
    """Why the folder cannot be written: one plain sentence."""


def assemble(folder: Path, names: Sequence[str] = PAIR) -> None:
    """Write the static Space of some runs of one task into a folder, anew.

    Raises:
        SpaceError: if the runtime is not installed, or the runs are not of one kind.
        ModelError, ExplainError: if a run cannot be loaded or explained.
    """
    if not RUNTIME.is_dir():
        raise SpaceError("onnxruntime-web is not installed: run npm ci in spaces/static first.")
    for name in names[1:]:
        if why := runs.unlike(name, names[0]):
            raise SpaceError(f"{runs.called(name, names[0])} {why}: they cannot share graphs.")
    loaded = {name: models.load(name) for name in names}
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(PAGE, folder, ignore=shutil.ignore_patterns(*NOT_SERVED))
    (folder / "viewer").mkdir()
    for file in bundle.FOLDER.glob("*.js"):
        shutil.copy(file, folder / "viewer")
    (folder / "viewer" / "viewer.css").write_text(bundle.style(), encoding="utf-8")
    shutil.copy(ROOT / "ui" / "parallax.svg", folder)
    runtime = _runtime(folder)
    graphs, weights = _networks(folder, loaded)
    shown = _samples(folder, loaded)
    first = json.loads((folder / f"{shown[0]['file']}.json").read_text(encoding="utf-8"))
    card = loaded[names[0]].card
    space: dict[str, Any] = {key: first[key] for key in ("method", "classes", "layers")}
    space |= {
        "size": card.input_size,
        "view": card.view,
        "labels": list(card.labels),
        "units": card.units,
        "maps": DEFAULT,
        "runs": [
            {key: run[key] for key in ("id", "name", "hue")} | {"weights": weights[run["id"]]} for run in first["runs"]
        ],
        "graphs": graphs,
        "runtime": runtime,
        "samples": shown,
    }
    _seal(folder, space)


# -- What is downloaded --------------------------------------------------------------------------------------


def _runtime(folder: Path) -> dict[str, Any]:
    """onnxruntime-web: two modules, and the program they load, packed as not every file server packs."""
    (folder / "runtime").mkdir()
    for file in ("ort.wasm.min.mjs", f"{WASM}.mjs"):
        shutil.copy(RUNTIME / file, folder / "runtime")
    return _hashed(folder, "runtime", "wasm.gz", gzip.compress((RUNTIME / f"{WASM}.wasm").read_bytes(), 9, mtime=0))


def _networks(folder: Path, loaded: Mapping[str, models.Run]) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Writes the graphs that all runs share, and the weights of each."""
    layers = Explainer(next(iter(loaded.values())).model).layers
    # A network that need not look shallower than where the grid gets finer is a cheaper one.
    cuts = [k for k, layer in enumerate(layers) if k == 0 or layer.shape[:2] != layers[k - 1].shape[:2]]
    parts = [[layer.name for layer in layers[cut:]] for cut in cuts]
    files: list[bytes] = []
    weights = {}
    for name, run in loaded.items():
        store = _Weights()
        own = [store.without(_graph(run, part)).SerializeToString() for part in parts]
        if files and own != files:
            raise SpaceError(f"{runs.title(name)} is another network than the first run: they cannot share graphs.")
        files = own
        weights[name] = _hashed(folder, f"runs/{name}", "weights", bytes(store.content))
    graphs = [
        _hashed(folder, "graphs", "onnx", file) | {"layers": part} for file, part in zip(files, parts, strict=True)
    ]
    return graphs, weights


def _graph(run: models.Run, layers: Sequence[str]) -> onnx.ModelProto:
    """The network that gives maps, activations, gates, and instead of gradients what each channel adds to the score.

    That is `share/<layer>` (targets, C): activation x gradient, summed over the cells, as `Explanation.contributions`.
    Activations are (1, C, H, W): onnxruntime computes so, and every turn costs time.
    """
    # It imports Keras, which `models.load` has done by now, and quietly.
    from explain import graph

    proto = graph.write(
        run.model, run.card.input_size, outputs="all", layers=layers, labels=run.labels, half=True, methods=[DEFAULT]
    )
    turned = {}
    for node in proto.graph.node:
        # Formulas may use what is turned for them; it only is no output any more.
        if node.output[0].startswith(("activation/", "gradient/")):
            turned[node.output[0]] = node.input[0]
            node.output[0] = f"turned/{node.output[0]}"
        for place, name in enumerate(node.input):
            if name in turned:
                node.input[place] = f"turned/{name}"
    proto.graph.initializer.append(helper.make_tensor("cells", TensorProto.INT64, [2], [2, 3]))
    outputs = list(proto.graph.output)
    del proto.graph.output[:]
    for output in outputs:
        kind, _, layer = output.name.partition("/")
        if kind == "activation":
            _, height, width, channels = (side.dim_value for side in output.type.tensor_type.shape.dim)
            proto.graph.node.append(helper.make_node("Identity", [turned[output.name]], [output.name]))
            output = helper.make_tensor_value_info(output.name, TensorProto.FLOAT, [1, channels, height, width])
        elif kind == "gradient":
            both = [turned[f"{one}/{layer}"] for one in ("activation", "gradient")]
            product, share = f"product/{layer}", f"share/{layer}"
            proto.graph.node.append(helper.make_node("Mul", both, [product]))
            proto.graph.node.append(helper.make_node("ReduceSum", [product, "cells"], [share], keepdims=0))
            targets, *_, channels = output.type.tensor_type.shape.dim
            shape = [targets.dim_param, channels.dim_value]
            output = helper.make_tensor_value_info(share, TensorProto.FLOAT, shape)
        proto.graph.output.append(output)
    return proto


class _Weights:
    """The weights of all graphs of one run, each once."""

    def __init__(self) -> None:
        self.content = bytearray()
        self._places: dict[bytes, int] = {}

    def without(self, proto: onnx.ModelProto) -> onnx.ModelProto:
        """The graph without its weights, which are read from a file instead."""
        for tensor in proto.graph.initializer:
            # Constants stay: they are the same in every run, and shapes follow from some.
            if not tensor.name.startswith("weight"):
                continue
            raw = tensor.raw_data
            if raw not in self._places:
                self.content.extend(bytes(-len(self.content) % ALIGNMENT))
                self._places[raw] = len(self.content)
                self.content.extend(raw)
            external_data_helper.set_external_data(tensor, WEIGHTS, self._places[raw], len(raw))
            tensor.ClearField("raw_data")
        return proto


def _hashed(folder: Path, place: str, ending: str, content: bytes) -> dict[str, Any]:
    """Writes a file that is named by what it holds, so that a browser that has it never asks again."""
    name = f"{place}/{hashlib.sha256(content).hexdigest()[:12]}.{ending}"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {"file": name, "bytes": len(content)}


# -- What stands before that ---------------------------------------------------------------------------------


def _samples(folder: Path, loaded: Mapping[str, models.Run]) -> list[dict[str, Any]]:
    """Writes the payloads of the samples."""
    explainers = {name: Explainer(run.model, labels=run.labels, **run.card.view) for name, run in loaded.items()}
    names = {name: runs.title(name) for name in loaded}
    card = next(iter(loaded.values())).card
    (folder / "samples").mkdir()
    shown = []
    for number, sample in enumerate(samples.opening(card.task)):
        thumbnail = samples.thumbnail(sample)
        if thumbnail is None:
            continue
        picture = photo.read(sample.path)
        found = {name: one(picture, targets=one.labels, keep=True) for name, one in explainers.items()}
        file = f"samples/{number}"
        _write(folder / file, payload(sample.label, picture.info["full_size"], found, names, card.view["source_size"]))
        about = {"id": sample.id, "label": sample.label, "file": file}
        shown.append(about | {"thumbnail": base64.b64encode(thumbnail).decode()})
    if not shown:
        raise SpaceError("There is no sample to begin with: install scikit-image, or name a folder of photographs.")
    return shown


def _write(path: Path, content: Payload) -> None:
    """Writes a payload: its description with the length of every blob, and the blobs one after the other."""
    # The seconds are those of this machine, not of the visitor's.
    meta = {key: value for key, value in content.meta.items() if key != "seconds"}
    meta["lengths"] = [len(blob) for blob in content.blobs]
    path.with_suffix(".json").write_text(json.dumps(meta, separators=(",", ":")), encoding="utf-8")
    path.with_suffix(".bin").write_bytes(b"".join(content.blobs))


# -- What works without a network ----------------------------------------------------------------------------


def _seal(folder: Path, space: dict[str, Any]) -> None:
    """Writes `space.json`, and tells the service worker what to keep."""
    large = [part["file"] for part in [space["runtime"], *space["graphs"], *(run["weights"] for run in space["runs"])]]
    digest = hashlib.sha256(json.dumps(space, sort_keys=True).encode())
    shell = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in large and name != "README.md":
            shell.append(name)
            digest.update(name.encode() + path.read_bytes())
    version = digest.hexdigest()[:12]
    (folder / "space.json").write_text(json.dumps({"version": version} | space, indent=1), encoding="utf-8")
    worker = folder / "service-worker.js"
    kept = sorted({*shell, "space.json", "./"} - {"service-worker.js", "index.html"})
    told = {"version": version, "shell": kept, "large": large}
    source = worker.read_text(encoding="utf-8")
    worker.write_text(source.replace("globalThis.PARALLAX", json.dumps(told, indent=1)), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the folder that is named; returns the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if len(given) != 1:
        print("usage: python -m ui.viewer.static DIR", file=sys.stderr)
        return 2
    folder = Path(given[0])
    try:
        assemble(folder)
    except (SpaceError, ModelError, ExplainError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
