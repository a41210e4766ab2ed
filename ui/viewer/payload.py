"""Everything that the viewer draws, as one description and a list of byte strings, sent once.

The description is plain JSON. Maps travel as int8 (value = strength * q / 127), feature maps as uint8, both row by row;
pictures as PNG.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from explain import Explanation
from explain.agreement import agreement, strength
from explain.methods import title

CHANNELS = 24
"""The most channels that a row shows (state.js): so many can be looked at for every class, signed or positive."""
CHANNEL_SIDE = 56
"""Largest side of a feature map, in cells; larger ones are averaged down, as they are shown small."""


@dataclass(frozen=True)
class Payload:
    """What travels to the viewer.

    Attributes:
        description: see viewer.js; as JSON, so that it is written once however often the photograph is shown, and is
            not thousands of objects for every collection of garbage to look through.
        blobs: what it points to by position.
    """

    description: bytes
    blobs: list[bytes]

    @classmethod
    def of(cls, meta: dict[str, Any], blobs: list[bytes]) -> "Payload":
        """A payload with this description."""
        return cls(json.dumps(meta, separators=(",", ":")).encode(), blobs)

    @property
    def meta(self) -> dict[str, Any]:
        """The description, read anew each time."""
        return json.loads(self.description)


class _Blobs:
    def __init__(self) -> None:
        self.all: list[bytes] = []

    def add(self, content: bytes) -> int:
        self.all.append(content)
        return len(self.all) - 1


def payload(
    photo_name: str,
    source: tuple[int, int],
    runs: Mapping[str, Explanation],
    names: Mapping[str, str],
    source_size: int | None = None,
) -> Payload:
    """Describe one photograph as several runs see it.

    Args:
        photo_name: what the person calls it.
        source: width and height of the photograph, in pixels.
        runs: `<task>/<run>` -> its explanation, made with `keep=True` for the same targets by one method; three at
            most.
        names: what each run is called on the page.
        source_size: what the photograph was first brought to, in pixels, as for `explain.photo.see`.
    """
    blobs = _Blobs()
    first = next(iter(runs.values()))
    meta: dict[str, Any] = {
        "photo": _photo(photo_name, source, first.seen, source_size, blobs),
        "method": title(_method(first)),
        "classes": [{"label": label} for label in first.targets],
        "layers": [
            {
                "name": layer.name,
                "shape": layer.shape,
                "stride": layer.stride,
                "offset": layer.offset,
                "receptive_field": layer.receptive_field,
                "block": vars(layer.block) if layer.block else None,
            }
            for layer in first.layers
        ],
        "runs": [
            _run(name, names[name], hue, found, blobs)
            for hue, (name, found) in zip(_hues(runs), runs.items(), strict=True)
        ],
        "agreement": _agreement(list(runs.values())),
    }
    digest = hashlib.sha256(json.dumps(meta).encode())
    for blob in blobs.all:
        digest.update(blob)
    meta["key"] = digest.hexdigest()[:16]
    meta["seconds"] = round(max(found.seconds for found in runs.values()), 4)
    return Payload.of(meta, blobs.all)


def preview(photo_name: str, source: tuple[int, int], seen: np.ndarray, source_size: int | None = None) -> Payload:
    """A photograph as a network will see it, before any network has.

    Args:
        photo_name, source, source_size: as in `payload`.
        seen: (S, S, 3) uint8.
    """
    blobs = _Blobs()
    meta = {"key": "", "photo": _photo(photo_name, source, seen, source_size, blobs), "runs": []}
    return Payload.of(meta, blobs.all)


def png(picture: np.ndarray) -> bytes:
    """A picture (H, W, 3) uint8 as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _hues(runs: Iterable[str]) -> list[str]:
    """SGD is blue (a) and Adam orange (b) on whichever side; a second of the same kind takes the third colour."""
    hues: list[str] = []
    for name in runs:
        hues.append(next(hue for hue in (own_hue(name), *"cab") if hue not in hues))
    return hues


def own_hue(run: str) -> str:
    """The hue of a run that stands alone: blue (a) for SGD, orange (b) for Adam, the third for any other."""
    return {"sgd": "a", "adam": "b"}.get(run.split("/")[-1].split("-")[0], "c")


def _method(found: Explanation) -> str:
    return next(iter(found.maps))


def _photo(
    name: str, source: tuple[int, int], seen: np.ndarray, source_size: int | None, blobs: _Blobs
) -> dict[str, Any]:
    width, height = source
    told = {"name": name, "blob": blobs.add(png(seen)), "size": seen.shape[0], "width": width, "height": height}
    return told | ({"source_size": source_size} if source_size else {})


def _run(name: str, shown: str, hue: str, found: Explanation, blobs: _Blobs) -> dict[str, Any]:
    order = np.argsort(-found.probabilities)[:5]
    classes = [found.labels.index(label) for label in found.targets]
    return {
        "id": name,
        "name": shown,
        "hue": hue,
        "probabilities": [round(float(found.probabilities[index]), 6) for index in classes],
        "top": [{"label": found.labels[i], "probability": round(float(found.probabilities[i]), 6)} for i in order],
        "maps": _maps(found, blobs),
        "channels": {layer.name: _channels(found, layer.name, blobs) for layer in found.layers},
        "gates": {layer: {"values": [round(float(gate), 3) for gate in gates]} for layer, gates in found.gates.items()},
    }


def _maps(found: Explanation, blobs: _Blobs) -> list[list[dict[str, Any]]]:
    packed: list[bytes] = []
    place = 0
    maps: list[list[dict[str, Any]]] = []
    blob = len(blobs.all)
    for target in range(len(found.targets)):
        row = []
        for layer in found.layers:
            values = found.maps[_method(found)][layer.name][target]
            top = strength(values)
            content = np.round(values * (127 / top) if top else values * 0).astype(np.int8).tobytes()
            positive = max(0.0, float(values.max()))
            row.append(
                {"blob": blob, "at": place, "strength": float(f"{top:.6g}"), "positive": float(f"{positive:.6g}")}
            )
            packed.append(content)
            place += len(content)
        maps.append(row)
    blobs.add(b"".join(packed))
    return maps


def _channels(found: Explanation, layer: str, blobs: _Blobs) -> dict[str, Any]:
    shares = found.contributions(layer)
    shares = shares / np.maximum(np.abs(shares).sum(axis=1, keepdims=True), 1e-12)
    chosen = _first_channels(shares)
    assert found.evidence is not None
    planes = found.evidence.activations[layer][0][..., chosen]
    factor = -(-planes.shape[0] // CHANNEL_SIDE)
    height, width = (side // factor for side in planes.shape[:2])
    planes = planes[: height * factor, : width * factor]
    planes = planes.reshape(height, factor, width, factor, -1).mean(axis=(1, 3))
    # From its lowest to its highest: what a block gives has no activation after it, and is often below zero all over.
    low, high = planes.min(axis=(0, 1)), planes.max(axis=(0, 1))
    content = np.round((planes - low) * (255 / np.maximum(high - low, 1e-12))).astype(np.uint8)
    return {
        "height": height,
        "width": width,
        "blob": blobs.add(content.transpose(2, 0, 1).tobytes()),
        "at": 0,
        "ids": chosen.tolist(),
        "range": [[float(f"{bound:.4g}") for bound in bounds] for bounds in zip(low, high, strict=True)],
        "share": [[round(float(share), 4) for share in row[chosen]] for row in shares],
    }


def _first_channels(shares: np.ndarray) -> np.ndarray:
    """The channels that are among a row's first for some class, by share or by its size: (k,) of shares (T, C)."""
    first = [np.argsort(-order, axis=1)[:, :CHANNELS].ravel() for order in (shares, np.abs(shares))]
    return np.unique(np.concatenate(first))


def _agreement(runs: Sequence[Explanation]) -> list[list[float | None]]:
    """For each class and layer, how far the first two runs' maps agree; None where nothing can be said."""
    if len(runs) < 2:
        return []
    rows = []
    for target in range(len(runs[0].targets)):
        row: list[float | None] = []
        for layer in runs[0].layers:
            one, other = (found.maps[_method(found)][layer.name][target] for found in runs[:2])
            value = agreement(one, other)
            row.append(round(float(value), 4) if np.isfinite(value) else None)
        rows.append(row)
    return rows


def numbers(runs: Mapping[str, Explanation]) -> bytes:
    """The numbers behind a payload as npz: keys `<task>/<run>/<method>/<layer>/<target>`, logits and probabilities."""
    arrays: dict[str, Any] = {"seen": next(iter(runs.values())).seen}
    for name, found in runs.items():
        arrays |= {f"{name}/logits": found.logits, f"{name}/probabilities": found.probabilities}
        for method, layers in found.maps.items():
            for layer, maps in layers.items():
                arrays |= {f"{name}/{method}/{layer}/{t}": one for t, one in zip(found.targets, maps, strict=True)}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()
