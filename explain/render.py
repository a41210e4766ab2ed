"""Maps as pictures: where their cells look, over the photograph, and two runs on one sheet.

Arrays in, pictures out; nothing here knows a network or a formula.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
from cmap import Colormap
from PIL import Image, ImageDraw, ImageFont
from skimage.measure import find_contours

from explain.agreement import strength

Cells = Literal["smooth", "native"]

OPACITY = 0.9
OPACITY_EXPONENT = 0.7
# Evidence below this share of a map's strength cannot be told from none by eye.
VISIBLE = 0.02


def place(map: np.ndarray, stride: float, offset: float, size: int, cells: Cells = "smooth") -> np.ndarray:
    """Draw a map (H, W) where its cells look, on a square of `size` pixels: (size, size) float32.

    Cell i is centred at pixel `offset + stride * i` on both axes, with pixel centres at integers and the first at
    0. "smooth" is bilinear between the centres and constant outside them; "native" draws every cell as a square of
    `stride` pixels, and 0 where there is none.

    For a picture drawn at k times the input's size: `stride * k` and `(offset + 0.5) * k - 0.5`.
    """
    down, across = (_placement(count, stride, offset, size, cells) for count in map.shape)
    return (down @ map.astype(np.float32, copy=False) @ across.T).astype(np.float32, copy=False)


@lru_cache(256)
def _placement(count: int, stride: float, offset: float, size: int, cells: Cells) -> np.ndarray:
    """How much of each cell every pixel of one axis takes: (size, count)."""
    position = (np.arange(size) - offset) / stride
    if cells == "native":
        return (np.floor(position + 0.5)[:, None] == np.arange(count)).astype(np.float32)
    position = np.clip(position, 0, count - 1)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(count))).astype(np.float32)


def overlay(
    seen: np.ndarray,
    field: np.ndarray,
    scale: float,
    signed: bool = False,
    dark: bool = False,
    strength: float | None = None,
) -> np.ndarray:
    """Lay a placed map over the photograph: (S, S, 3) uint8.

    `seen` is (S, S, 3) uint8, `field` (S, S) comes from `place`. The photograph turns grey, and evidence is the only
    colour on it: `scale` gets the last colour of the table and the most opacity, 0 gets none. Evidence against the
    class is shown only where `signed`. A dark and light contour runs at half of `strength` (default: `scale`), and
    where `signed` at minus half of it too. `dark` chooses the signed table for a dark page.

    A scale of 0 and values that are not numbers show as no evidence.
    """
    field = np.nan_to_num(field, nan=0.0, posinf=0.0, neginf=0.0)
    t = np.clip(field / scale, -1 if signed else 0, 1) if scale > 0 else np.zeros_like(field)
    alpha = (OPACITY * np.abs(t) ** OPACITY_EXPONENT)[..., None]
    picture = grey(seen) * (1 - alpha) + colours(t, signed, dark) * alpha
    half = (scale if strength is None else strength) / 2
    if scale > 0 and half > 0:
        lines = [line for level in ((half, -half) if signed else (half,)) for line in find_contours(field, level)]
        unit = max(len(seen) / 320, 0.75)
        for value, width, opacity in ((0, 3.2, 0.8), (255, 1.4, 1.0)):
            stroke = opacity * _strokes([line[:, ::-1] for line in lines], seen.shape[1::-1], width * unit)
            picture += (value - picture) * stroke[..., None]
    return np.rint(picture).astype(np.uint8)


def grey(seen: np.ndarray) -> np.ndarray:
    """The photograph under a map: without its colours and with less contrast, (S, S, 1) float32 0..255."""
    luma = seen.astype(np.float32) @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    return (26 + 0.74 * luma)[..., None]


def colours(t: np.ndarray, signed: bool = False, dark: bool = False) -> np.ndarray:
    """The colours, (..., 3) float32 0..255, of evidence `t`: 0..1, or -1..1 where `signed`."""
    return table(signed, dark)[np.rint(255 * ((t + 1) / 2 if signed else t)).astype(int)]


@cache
def table(signed: bool = False, dark: bool = False) -> np.ndarray:
    """The colours from the least to the most evidence, (256, 3) float32 0..255.

    Sequential: lipari (Crameri). Signed: CET-D1A (Kovesi) on a light page, managua (Crameri) on a dark one, turned
    so that evidence for the class is the warm end in both.
    """
    name = ("crameri:managua_r" if dark else "colorcet:CET_D1A") if signed else "crameri:lipari"
    return np.rint(255 * Colormap(name).lut()[:, :3]).astype(np.float32)


def _strokes(lines: Iterable[np.ndarray], size: tuple[int, int], width: float, fine: int = 4) -> np.ndarray:
    """How much of each pixel is covered by lines through points (x, y), in pixels: (height, width) float32."""
    mask = Image.new("L", (size[0] * fine, size[1] * fine))
    draw = ImageDraw.Draw(mask)
    for line in lines:
        points = [tuple(point) for point in (np.asarray(line) + 0.5) * fine - 0.5]
        draw.line(points, fill=255, width=max(1, round(width * fine)), joint="curve")
    return np.asarray(mask.resize(size, Image.Resampling.BOX), np.float32) / 255


@dataclass(frozen=True)
class Column:
    """One layer of a sheet: its name, and where its cells look (pixels, as in `place`)."""

    name: str
    stride: float
    offset: float


@dataclass(frozen=True)
class Row:
    """One run of a sheet.

    `predictions` are (label, probability 0..1), the most important first. `maps` are signed, (H, W), in units of the
    logit, one for each column. A run with SGD in its name is blue and one with Adam in it orange.
    """

    name: str
    predictions: tuple[tuple[str, float], ...]
    maps: tuple[np.ndarray, ...]


WIDTH = 2000

_MARGIN = 60
_SIDE = 344
_GRID = _MARGIN + _SIDE + 100
_TOP = 176
_GAP = 14
_HEAD = 36
_FOOT = 40
_BAND_GAP = 22
_MOST_COLUMNS = 9
_LARGEST_TILE = 300
_CHART = 150
_KEY = 115
_MOST_LABELS = 3

# Paper, ink, quiet ink, rule, fill; and the colours of runs (Okabe and Ito).
_PAPER, _INK, _QUIET, _RULE, _FILL = "#ffffff", "#14181d", "#5b6168", "#d3d7dc", "#eceef1"
_RUNS = {"sgd": "#0072b2", "adam": "#d55e00"}
_OTHER_RUNS = ("#007a5a", "#8a4f7d")


def compare(
    seen: np.ndarray,
    photo: str,
    target: str,
    columns: Sequence[Column],
    rows: Sequence[Row],
    *,
    method: str = "Grad-CAM",
    agreements: Sequence[float] = (),
) -> Image.Image:
    """Draw what several runs make of one photograph, at every layer, on one sheet 2000 pixels wide.

    `seen` (S, S, 3) uint8 is the picture that the networks saw, `photo` its name, `target` the class that the maps
    are evidence for, `method` the name of their formula. What speaks for the class is shown, and under every map stands
    the largest value of that; the largest of all runs is the scale of a layer. `agreements` holds one correlation for
    each column (NaN where there is none) and is drawn as a line over the layers; leave it out for a single run.

    Raises ValueError where a run has not one map for each column, or the agreements are not as many.
    """
    if any(len(row.maps) != len(columns) for row in rows) or len(agreements) not in (0, len(columns)):
        raise ValueError("every run needs one map for each layer, and the agreement one number for each")
    shared = len(rows) > 1
    bands = -(-len(columns) // _MOST_COLUMNS)
    wide = -(-len(columns) // bands)
    tile = min(_LARGEST_TILE, (WIDTH - _MARGIN - _GRID + _GAP) // wide - _GAP)
    step = _HEAD + len(rows) * (tile + _FOOT) + _BAND_GAP
    side = _TOP + _HEAD + _SIDE + 34 + sum(60 + 38 * len(row.predictions[:_MOST_LABELS]) for row in rows)
    bottom = max(_TOP + bands * step - _BAND_GAP, side + _KEY)
    sheet = _Sheet(WIDTH, bottom + (_CHART + 160 if len(agreements) else 50))

    scales = "one scale for all runs at each layer" if shared else "each map on its own scale"
    sheet.text((_MARGIN, 50), f"Evidence for {target}, layer by layer", 46, bold=True, width=WIDTH - 2 * _MARGIN)
    sheet.text((_MARGIN, 116), f"{method}   ·   evidence for the class   ·   {scales}", 22, _QUIET)
    _draw_side(sheet, seen, photo, rows)
    for i, column in enumerate(columns):
        x, y = _GRID + i % wide * (tile + _GAP), _TOP + i // wide * step
        height, width = rows[0].maps[i].shape
        sheet.text((x, y + 4), column.name, 21, bold=True, width=tile - 84)
        sheet.text((x + tile, y + 10), f"{height} × {width}", 14, _QUIET, anchor="ra")
        largest = [_shown(row.maps[i]) for row in rows]
        scale = max(filter(np.isfinite, largest), default=0.0) if shared else 0.0
        for k, row in enumerate(rows):
            at = x, y + _HEAD + k * (tile + _FOOT)
            _draw_map(sheet, at, tile, column, row.maps[i], seen, scale, _colour(row.name, k))
            if i % wide == 0:
                _draw_name(sheet, at, tile, row.name, _colour(row.name, k), dashed=k % 2 == 1)
    if len(agreements):
        _draw_agreements(sheet, bottom + 50, [column.name for column in columns], agreements, len(rows))
    _draw_key(sheet, bottom - _KEY)
    return sheet.image


def _colour(name: str, number: int) -> str:
    known = [colour for part, colour in _RUNS.items() if part in name.lower()]
    return known[0] if known else _OTHER_RUNS[number % 2]


class _Sheet:
    """A page and what is written and drawn on it."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height), _PAPER)
        self.draw = ImageDraw.Draw(self.image)

    def text(
        self,
        at: tuple[float, float],
        words: str,
        size: int,
        colour: str = _INK,
        bold: bool = False,
        anchor: str = "la",
        width: float = WIDTH,
    ) -> None:
        """Write one line, shortened in the middle to `width`; `anchor` is Pillow's."""
        font = _font(size, bold)
        kept = len(words)
        line = words
        while kept > 1 and font.getlength(line) > width:
            kept -= 1
            line = words[: (kept + 1) // 2] + "…" + words[len(words) - kept // 2 :]
        self.draw.text(at, line, colour, font, anchor)

    def strokes(self, lines: Sequence[np.ndarray], colour: str, width: float) -> None:
        """Draw smooth lines through points (x, y)."""
        points = np.concatenate(lines)
        corner = np.floor(points.min(axis=0) - width).astype(int)
        size = np.ceil(points.max(axis=0) + width).astype(int) - corner + 1
        mask = _strokes([line - corner for line in lines], (int(size[0]), int(size[1])), width)
        cover = Image.fromarray(np.rint(255 * mask).astype(np.uint8))
        self.image.paste(colour, (int(corner[0]), int(corner[1])), cover)


@cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    # Pillow's own font has no letters beyond English and no second weight.
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def _draw_side(sheet: _Sheet, seen: np.ndarray, photo: str, rows: Sequence[Row]) -> None:
    """The photograph as seen, its name, and what each run says of it."""
    x, y = _MARGIN, _TOP + _HEAD
    picture = Image.fromarray(seen).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    sheet.image.paste(picture, (x, y))
    sheet.text((x, _TOP + 4), photo, 20, bold=True, width=_SIDE - 110)
    sheet.text((x + _SIDE, _TOP + 9), f"{seen.shape[0]} × {seen.shape[1]} px", 16, _QUIET, anchor="ra")
    y += _SIDE + 34
    for k, row in enumerate(rows):
        colour = _colour(row.name, k)
        sheet.text((x, y), row.name, 22, colour, bold=True, width=_SIDE)
        y += 36
        for label, probability in row.predictions[:_MOST_LABELS]:
            sheet.text((x, y), label, 19, width=_SIDE - 100)
            sheet.text((x + _SIDE, y), percent(probability), 19, anchor="ra")
            sheet.draw.rectangle((x, y + 27, x + _SIDE - 1, y + 31), _FILL)
            if round(_SIDE * probability) >= 1:
                sheet.draw.rectangle((x, y + 27, x + round(_SIDE * probability) - 1, y + 31), colour)
            y += 38
        y += 24


def _draw_name(sheet: _Sheet, at: tuple[float, float], tile: int, name: str, colour: str, dashed: bool) -> None:
    """A run's name, upright along its maps, with its line: solid, or dashed for every second run."""
    x, y = at
    label = _Sheet(tile, 40)
    label.text((tile / 2, 20), name, 19, colour, bold=True, anchor="mm", width=tile)
    sheet.image.paste(label.image.rotate(90, expand=True), (round(x) - 60, round(y)))
    pieces = 9 if dashed else 1
    length = tile / (1.5 * pieces - 0.5)
    for piece in range(pieces):
        top = y + 1.5 * piece * length
        sheet.draw.rectangle((x - 16, round(top), x - 13, round(top + length) - 1), colour)


def _draw_map(
    sheet: _Sheet,
    at: tuple[int, int],
    tile: int,
    column: Column,
    map: np.ndarray,
    seen: np.ndarray,
    scale: float,
    colour: str,
) -> None:
    """One map over the photograph and the largest value shown of it, with a bar where the runs share a scale."""
    x, y = at
    small = np.asarray(Image.fromarray(seen).resize((tile, tile), Image.Resampling.LANCZOS))
    zoom = tile / len(seen)
    field = place(map, column.stride * zoom, (column.offset + 0.5) * zoom - 0.5, tile)
    own, either = _shown(map), strength(map)
    blank = not own >= VISIBLE * either
    picture = overlay(small, field, 0.0 if blank else scale or own, strength=own)
    sheet.image.paste(Image.fromarray(picture), at)
    y += tile + 7
    if scale > 0:
        sheet.draw.rectangle((x, y, x + tile - 1, y + 2), _FILL)
        if tile * own / scale >= 1:
            sheet.draw.rectangle((x, y, x + round(tile * own / scale) - 1, y + 2), colour)
    sheet.text((x, y + 7), _number(own), 17)
    if not either > 0:
        sheet.text((x + tile, y + 8), "no evidence", 15, _QUIET, anchor="ra")
    elif blank:
        sheet.text((x + tile, y + 8), "all against", 15, _QUIET, anchor="ra")


def _shown(map: np.ndarray) -> float:
    """The largest value of a map that speaks for the class, which full colour stands for."""
    return float(np.maximum(map, 0).max())


def _draw_agreements(sheet: _Sheet, y: int, names: Sequence[str], values: Sequence[float], rows: int) -> None:
    """The agreement of the maps as a line over the layers, from 1 down to 0 or to what lies below it."""
    sheet.text((_MARGIN, y - 8), "Agreement of the maps", 22, bold=True)
    whose = "their correlation, cell by cell:" if rows == 2 else "correlation of the first two runs:"
    for line, words in enumerate((whose, "1 the same, 0 nothing in common")):
        sheet.text((_MARGIN, y + 28 + 26 * line), words, 18, _QUIET)
    numbers = np.asarray(values, float)
    known = np.isfinite(numbers)
    low = np.floor(2 * min(0.0, *numbers[known], 0.0)) / 2
    heights = y + (1 - numbers) / (1 - low) * _CHART
    right = WIDTH - _MARGIN
    for tick in np.arange(low, 1.01, 0.5):
        at = round(y + (1 - tick) / (1 - low) * _CHART)
        sheet.draw.line((_GRID, at, right, at), _QUIET if tick == 0 else _RULE, 1)
        sheet.text((_GRID - 16, at), _minus(f"{tick:g}"), 17, _QUIET, anchor="rm")
    slot = (right - _GRID) / len(numbers)
    points = np.stack([_GRID + slot * (np.arange(len(numbers)) + 0.5), heights], axis=1)
    pieces = [piece[np.isfinite(piece[:, 1])] for piece in np.split(points, np.flatnonzero(~known))]
    pieces = [piece for piece in pieces if len(piece) > 1]
    if pieces:
        sheet.strokes(pieces, _INK, 2.6)
    turns = np.linspace(0, 2 * np.pi, 25)
    circle = 2.6 * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    if known.any():
        sheet.strokes([np.add(circle, point) for point in points[known]], _INK, 5.6)
    for (x, _), name, value in zip(points, names, numbers, strict=True):
        sheet.text((x, y + _CHART + 16), name, 18, bold=True, anchor="ma", width=slot)
        said = _minus(f"{value:.2f}") if np.isfinite(value) else "none"
        sheet.text((x, y + _CHART + 42), said, 17, _QUIET, anchor="ma", width=slot)


def _draw_key(sheet: _Sheet, y: int) -> None:
    """What the colours mean, as they look over a middle grey, and the line and the number."""
    t = np.linspace(0, 1, _SIDE)
    alpha = (OPACITY * t**OPACITY_EXPONENT)[:, None]
    bar = np.rint(150 * (1 - alpha) + colours(t) * alpha).astype(np.uint8)
    sheet.image.paste(Image.fromarray(np.repeat(bar[None], 16, axis=0)), (_MARGIN, y))
    sheet.text((_MARGIN, y + 22), "no evidence", 16, _QUIET)
    sheet.text((_MARGIN + _SIDE, y + 22), "full scale", 16, _QUIET, anchor="ra")
    for line, words in enumerate(("Number: the largest evidence for the", "class. Line: half of it.")):
        sheet.text((_MARGIN, y + 60 + 23 * line), words, 16, _QUIET)


def percent(probability: float) -> str:
    """A probability 0..1 with one decimal, as on the page: 97.1 %, and never certain, > 99.9 % or < 0.1 %."""
    if probability > 0.9995:
        return "> 99.9 %"
    return "< 0.1 %" if probability < 0.0005 else f"{100 * probability:.1f} %"


def _minus(number: str) -> str:
    return number.replace("-", "−")


def _number(value: float) -> str:
    return f"{value:.2f}" if 0.1 <= value < 100 else f"{value:.0f}" if value >= 100 else f"{value:.1g}"
