"""Maps are drawn where their cells look, in the colours of the tables, with the contour at half strength."""

import itertools
import math

import numpy as np
import pytest
from cmap import Colormap
from PIL import Image

from explain import render
from explain.render import Column, Row

# EfficientNet-B0 at 224 px: (cells, stride), and every layer's first cell is centred at stride - 1.
B0 = [(112, 2), (56, 4), (28, 8), (14, 16), (7, 32)]


def seen(size=64):
    y, x = np.mgrid[:size, :size] / size
    return np.stack([255 * x, 255 * y, 255 * (1 - x)], axis=-1).astype(np.uint8)


def centre_of(field):
    weights = field / field.sum()
    return [(weights.sum(axis=axis) * np.arange(len(field))).sum() for axis in (1, 0)]


@pytest.mark.parametrize(("cells", "stride"), B0)
@pytest.mark.parametrize("style", ["smooth", "native"])
def test_an_impulse_is_drawn_where_its_cell_looks(cells, stride, style):
    places = sorted({1, cells // 2, cells - 2})
    for i, j in itertools.product(places, places):
        impulse = np.zeros((cells, cells), np.float32)
        impulse[i, j] = 3.0
        field = render.place(impulse, stride, stride - 1, 224, style)
        assert field.shape == (224, 224) and field.dtype == np.float32
        # Cells beside the edge are cut off by it; the others are whole.
        if j + 1 < cells - 1 and i + 1 < cells - 1:
            assert centre_of(field) == pytest.approx([stride - 1 + stride * i, stride - 1 + stride * j], abs=0.51)
        peak = np.argwhere(field == field.max()).mean(axis=0)
        assert peak == pytest.approx([stride - 1 + stride * i, stride - 1 + stride * j], abs=0.51)


@pytest.mark.parametrize(("cells", "stride"), B0)
@pytest.mark.parametrize("style", ["smooth", "native"])
def test_one_cell_further_is_one_stride_further(cells, stride, style):
    first, second = np.zeros((2, cells, cells), np.float32)
    first[2, 3] = second[3, 3] = 1
    before = render.place(first, stride, stride - 1, 224, style)
    after = render.place(second, stride, stride - 1, 224, style)
    assert np.array_equal(after[stride:], before[:-stride])
    assert not after[:stride].any()


@pytest.mark.parametrize(("stride", "offset", "size"), [(4, 3, 20), (2.5, 1.2, 13), (32, 15.5, 50), (3, -4, 11)])
def test_smooth_equal_to_the_slow_twin(stride, offset, size):
    values = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)

    def between(pixel, count):
        position = min(max((pixel - offset) / stride, 0), count - 1)
        low = min(math.floor(position), count - 2)
        return low, position - low

    expected = np.zeros((size, size))
    for y in range(size):
        for x in range(size):
            i, down = between(y, 5)
            j, across = between(x, 4)
            top = values[i, j] * (1 - across) + values[i, j + 1] * across
            bottom = values[i + 1, j] * (1 - across) + values[i + 1, j + 1] * across
            expected[y, x] = top * (1 - down) + bottom * down
    assert render.place(values, stride, offset, size) == pytest.approx(expected, abs=1e-5)


def test_native_cells_are_squares_of_one_stride():
    values = np.arange(1, 50, dtype=np.float32).reshape(7, 7)
    field = render.place(values, 32, 31, 224, "native")
    numbers, counts = np.unique(field, return_counts=True)
    assert set(numbers) == {0, *values.ravel()}
    assert counts[numbers == values[2, 3]] == 32 * 32
    # The picture ends in the middle of the last cells, and begins 15 pixels before the first.
    assert not field[:15].any() and not field[:, :15].any()
    assert field[15, 15] == 1 and field[-1, -1] == 49


def test_a_single_cell_and_a_constant():
    assert (render.place(np.full((1, 1), 2.0), 32, 31, 40) == 2).all()
    assert render.place(np.full((7, 7), -1.5), 32, 31, 224) == pytest.approx(-1.5)


def test_no_strength_is_the_plain_grey_photograph():
    picture = seen()
    plain = render.overlay(picture, np.zeros((64, 64), np.float32), 0.0)
    red, green, blue = picture[10, 40].astype(float)
    light = 26 + 0.74 * (0.2126 * red + 0.7152 * green + 0.0722 * blue)
    assert plain.dtype == np.uint8 and plain.shape == (64, 64, 3)
    assert plain[10, 40] == pytest.approx(light, abs=0.51)
    with np.errstate(all="raise"):
        for field in (np.zeros((64, 64)), np.full((64, 64), np.nan), np.full((64, 64), -3.0)):
            assert np.array_equal(render.overlay(picture, field, 1.0), plain)
        assert np.array_equal(render.overlay(picture, np.full((64, 64), 5.0), 0.0), plain)
        assert np.array_equal(render.overlay(picture, np.full((64, 64), 5.0), np.nan), plain)


@pytest.mark.parametrize(
    ("signed", "dark", "name", "value", "place"),
    [
        (False, False, "crameri:lipari", 1.0, 1.0),
        (False, False, "crameri:lipari", 0.25, 0.25),
        (True, False, "colorcet:CET_D1A", 1.0, 1.0),
        (True, False, "colorcet:CET_D1A", -1.0, 0.0),
        (True, True, "crameri:managua", 1.0, 0.0),
        (True, True, "crameri:managua", -0.5, 0.75),
    ],
)
def test_colours_come_from_the_table_and_opacity_follows_the_evidence(signed, dark, name, value, place):
    picture = seen()
    plain = render.overlay(picture, np.zeros((64, 64)), 0.0).astype(float)
    drawn = render.overlay(picture, np.full((64, 64), 2 * value), 2.0, signed, dark)
    colour = 255 * np.array(Colormap(name)(round(255 * place))[:3])
    opacity = 0.9 * abs(value) ** 0.7
    assert drawn == pytest.approx(plain * (1 - opacity) + colour * opacity, abs=1.1)


def test_the_ends_of_the_signed_tables_are_warm_for_the_class():
    for dark in (False, True):
        against, in_favour = render.table(True, dark)[[0, -1]]
        assert in_favour[0] > in_favour[2] and against[2] > against[0]


def test_more_evidence_than_the_scale_is_the_last_colour():
    most = render.overlay(seen(), np.full((64, 64), 1.0), 1.0)
    assert np.array_equal(render.overlay(seen(), np.full((64, 64), 7.0), 1.0), most)


def contour_columns(field, scale, **options):
    """The columns of the middle row that a contour lightens: where lines of constant value cross it."""
    black = np.zeros((*field.shape, 3), np.uint8)
    lined = render.overlay(black, field, scale, **options).astype(float)
    plain = render.overlay(black, field, scale, **{**options, "strength": 0.0}).astype(float)
    gain = (lined - plain).mean(axis=-1)[len(field) // 2]
    assert (gain < -1).any(), "a dark line beside the light one"
    light = np.flatnonzero(gain > 40)
    return [float(np.mean(group)) for group in np.split(light, np.flatnonzero(np.diff(light) > 3) + 1) if len(group)]


def test_the_contour_is_at_half_strength():
    ramp = np.tile(np.linspace(-1, 1, 201), (201, 1))  # value 0.5 at column 150, -0.5 at 50
    assert contour_columns(ramp, 1.0) == pytest.approx([150], abs=0.6)
    assert contour_columns(ramp, 1.0, signed=True) == pytest.approx([50, 150], abs=0.6)
    # On a scale shared with a stronger map it stays at half of the map's own strength.
    assert contour_columns(ramp, 4.0, strength=1.0) == pytest.approx([150], abs=0.6)
    assert contour_columns(ramp, 4.0, strength=0.4) == pytest.approx([120], abs=0.6)


# The sheet


COLUMNS = (Column("2a", 4, 3), Column("5c", 16, 15), Column("top", 32, 31))


def run(name, factor=1.0, count=3):
    dice = np.random.default_rng(len(name))
    sizes = [224 // int(column.stride) for column in COLUMNS[:count]]
    maps = tuple((factor * dice.normal(size=(size, size))).astype(np.float32) for size in sizes)
    return Row(name, (("cat", 0.97), ("dog", 0.03)), maps)


def sheet(*rows, **options):
    return render.compare(seen(224), "cat.jpg", "cat", COLUMNS, rows, **options)


def colours_of(image):
    return {colour for _, colour in image.getcolors(1 << 24)}


def rgb(colour):
    return tuple(bytes.fromhex(colour[1:]))


def test_a_sheet_holds_both_runs_in_their_colours():
    image = sheet(run("cats_vs_dogs/sgd"), run("cats_vs_dogs/adam", 3), agreements=(0.9, -0.2, float("nan")))
    assert isinstance(image, Image.Image) and image.mode == "RGB" and image.width == 2000
    assert {rgb("#0072b2"), rgb("#d55e00"), rgb("#ffffff")} <= colours_of(image)
    others = sheet(run("mine"), run("yours"), agreements=np.array([0.1, 0.2, 0.3]))
    assert {rgb("#007a5a"), rgb("#8a4f7d")} <= colours_of(others)


def test_no_answer_on_a_sheet_is_certain(monkeypatch):
    words = []
    monkeypatch.setattr(render._Sheet, "text", lambda sheet, at, line, *_, **__: words.append(line))
    answers = [("cat", 1.0), ("dog", 0.99949), ("wolf", 0.0004)]
    sheet(Row("SGD", tuple(answers), run("SGD").maps))
    at = words.index("cat")
    assert words[at : at + 6] == ["cat", "> 99.9 %", "dog", "99.9 %", "wolf", "< 0.1 %"]


def test_a_sheet_shows_the_maps_where_overlay_draws_them_on_the_scale_of_what_speaks_for_the_class():
    values = np.zeros((7, 7), np.float32)
    values[2, 2], values[4, 4], values[5, 1] = 2.0, -10.0, 1.1
    row = Row("SGD", (), (values,))
    image = render.compare(seen(224), "x", "cat", COLUMNS[2:], (row,))
    small = np.asarray(Image.fromarray(seen(224)).resize((300, 300), Image.Resampling.LANCZOS))
    field = render.place(values, 32 * 300 / 224, 31.5 * 300 / 224 - 0.5, 300)
    assert _holds(image, render.overlay(small, field, 2.0))


def test_what_only_speaks_against_the_class_is_left_out():
    values = np.full((7, 7), -3.0, np.float32)
    values[3, 3] = 0.01
    row = Row("SGD", (), (values,))
    small = np.asarray(Image.fromarray(seen(224)).resize((300, 300), Image.Resampling.LANCZOS))
    plain = render.overlay(small, np.zeros((300, 300)), 0.0)
    image = render.compare(seen(224), "x", "cat", COLUMNS[2:], (row,))
    assert _holds(image, plain)


def _holds(image, tile):
    """Whether a sheet has this picture somewhere."""
    sheet = np.asarray(image)
    starts = np.argwhere((sheet[: -len(tile), : -tile.shape[1]] == tile[0, 0]).all(axis=-1))
    height, width, _ = tile.shape
    return any(
        np.array_equal(sheet[y, x : x + width], tile[0]) and np.array_equal(sheet[y : y + height, x : x + width], tile)
        for y, x in starts
    )


def test_a_shared_scale_fades_the_weaker_run():
    weak, strong = run("SGD"), run("Adam")
    strong = Row("Adam", strong.predictions, tuple(20 * values for values in weak.maps))
    shared, alone = sheet(weak, strong), sheet(weak)
    coloured = [np.ptp(np.asarray(image)[212:511, 500:].astype(int), axis=-1).mean() for image in (shared, alone)]
    assert coloured[0] < 0.6 * coloured[1]


def test_many_layers_take_several_lines():
    columns = tuple(Column(f"layer {i}", 32, 31) for i in range(20))
    row = Row("SGD", (("a class with a very long name indeed, longer than the column", 1.0),) * 5, (np.eye(7),) * 20)
    tall = render.compare(seen(224), "x" * 300 + ".jpg", "y" * 200, columns, (row, row), agreements=(0.5,) * 20)
    assert tall.width == 2000 and tall.height > sheet(run("SGD"), run("Adam")).height


def test_nothing_to_see_is_still_a_sheet():
    nothing = (np.zeros((56, 56)), -np.ones((14, 14)), np.full((7, 7), np.nan))
    with np.errstate(all="raise", under="ignore"):
        image = sheet(Row("SGD", (), nothing), run("Adam"), agreements=(float("nan"),) * 3)
    assert image.width == 2000


def test_a_map_missing_is_an_error():
    with pytest.raises(ValueError, match="one map for each layer"):
        sheet(run("SGD"), run("Adam", count=2))
    with pytest.raises(ValueError, match="one map for each layer"):
        sheet(run("SGD"), run("Adam"), agreements=(0.5,))
