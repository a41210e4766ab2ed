"""Any picture becomes an upright sRGB photograph or one plain sentence."""

import io
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageFile

from explain import photo
from explain.errors import ExplainError, PhotoError
from tests.explain import pictures
from tests.explain.pictures import encoded, photograph

# Where pixel (row, column) of the file belongs in the picture, which is w x h when upright
# (EXIF 2.32, tag 0x0112: which side of the picture the file's first row and first column are).
UPRIGHT = {
    1: lambda r, c, w, h: (r, c),
    2: lambda r, c, w, h: (r, w - 1 - c),
    3: lambda r, c, w, h: (h - 1 - r, w - 1 - c),
    4: lambda r, c, w, h: (h - 1 - r, c),
    5: lambda r, c, w, h: (c, r),
    6: lambda r, c, w, h: (c, w - 1 - r),
    7: lambda r, c, w, h: (h - 1 - c, w - 1 - r),
    8: lambda r, c, w, h: (h - 1 - c, r),
}


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def exif_of(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("name", pictures.ODD)
def test_an_odd_picture_opens(name):
    assert photo.read(pictures.ODD[name]()).mode == "RGB"


@pytest.mark.parametrize("name", pictures.BAD)
def test_a_bad_picture_gets_one_sentence_with_its_name(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(pictures.BAD[name]())
    for source in (path, str(path), path.open("rb")):
        with pytest.raises(PhotoError) as caught:
            photo.read(source)
        sentence = str(caught.value)
        assert sentence.startswith(f'"{name}" ')
        assert sentence.endswith(".") and "\n" not in sentence


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty.jpg", "is empty"),
        ("text.jpg", "cannot be read as a picture: choose a JPEG"),
        ("truncated.jpg", "is damaged or cut short"),
        ("truncated.png", "is damaged or cut short"),
        ("bomb.png", "more than 40 megapixels"),
        ("large.png", "too large (10000 x 5000)"),
        ("strip.png", "too large (70000 x 1)"),
    ],
)
def test_the_sentence_says_what_is_wrong(name, words):
    with pytest.raises(PhotoError) as caught:
        photo.read(pictures.BAD[name]())
    assert words in str(caught.value)
    assert str(caught.value).startswith("The picture ")
    assert isinstance(caught.value, ExplainError)


def test_what_is_not_a_file(tmp_path):
    for source, words in [
        (tmp_path, "is a folder"),
        (tmp_path / "no.jpg", 'There is no file "no.jpg"'),
        (str(tmp_path / "no.jpg"), 'There is no file "no.jpg"'),
        ("a\0b.jpg", "cannot be opened|There is no file"),
        ("long" * 5000, "cannot be opened|There is no file"),
        ("/dev/zero", "not an ordinary file"),
        ("", "is a folder"),
        (None, "is not a picture"),
        (7, "is not a picture"),
        (io.StringIO("text"), "is not a picture"),
    ]:
        with pytest.raises(PhotoError, match=words) as caught:
            photo.read(source)
        assert len(str(caught.value)) < 250
        assert "\0" not in str(caught.value)


def test_every_kind_of_source_gives_the_same_photograph(tmp_path):
    image = photograph()
    data = encoded(image, "PNG")
    path = tmp_path / "cat.png"
    path.write_bytes(data)
    file = io.BytesIO(data)
    file.seek(20)
    lazy = Image.open(io.BytesIO(data))
    sources = [path, str(path), data, bytearray(data), memoryview(data), file, file, image, lazy]
    for source in [*sources, np.asarray(image), np.asarray(image).astype(np.float32) + 0.3]:
        assert np.array_equal(pixels(photo.read(source)), pixels(image))


def test_the_photograph_is_not_the_source_itself():
    image = photograph()
    photo.read(image).putpixel((0, 0), (1, 2, 3))
    assert image.getpixel((0, 0)) != (1, 2, 3)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_honoured(orientation, kind):
    stored = np.asarray(photograph(9, 5))
    rows, columns = stored.shape[:2]
    w, h = (rows, columns) if orientation > 4 else (columns, rows)
    upright = np.zeros((h, w, 3), int)
    for r in range(rows):
        for c in range(columns):
            upright[UPRIGHT[orientation](r, c, w, h)] = stored[r, c]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(Image.fromarray(stored), kind, exif=exif_of(orientation), **options)
    assert np.array_equal(pixels(photo.read(data)), upright)
    assert np.array_equal(pixels(photo.read(Image.open(io.BytesIO(data)))), upright)


def test_a_photograph_that_is_read_again_is_neither_turned_nor_converted_again():
    data = encoded(photograph(9, 5), "PNG", exif=exif_of(6), icc_profile=pictures.display_p3())
    read = photo.read(data)
    assert np.array_equal(pixels(photo.read(read)), pixels(read))
    assert read.info == {"full_size": (5, 9)}


@pytest.mark.parametrize("kind", ["JPEG", "HEIF", "AVIF"])
def test_exif_orientation_in_lossy_files(kind):
    options = {"quality": 95, "subsampling": "4:4:4"} if kind != "HEIF" else {"quality": 95}
    plain = pixels(photo.read(encoded(photograph(64, 32), kind, **options)))
    turned = pixels(photo.read(encoded(photograph(64, 32), kind, exif=exif_of(6), **options)))
    assert turned.shape == (64, 32, 3)
    assert np.abs(turned - np.rot90(plain, -1)).mean() < 2


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_is_ignored():
    data = encoded(photograph(), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff nonsense")
    assert np.array_equal(pixels(photo.read(data)), pixels(photograph()))


def test_alpha_lies_over_grey():
    image = Image.new("RGBA", (3, 1), (200, 100, 0, 0))
    image.putpixel((1, 0), (200, 100, 0, 51))
    image.putpixel((2, 0), (200, 100, 0, 255))
    # 51 / 255 is one fifth, so red is 128 + (200 - 128) / 5 = 142.4, green 122.4 and blue 102.4.
    expected = [[[128, 128, 128], [142, 122, 102], [200, 100, 0]]]
    assert np.array_equal(pixels(photo.read(encoded(image, "PNG"))), expected)
    assert np.array_equal(pixels(photo.read(np.asarray(image))), expected)


def test_transparency_of_every_mode():
    data = pictures.ODD["palette.png"]()
    expected = np.tile([0, 200, 0], (2, 4, 1))
    expected[0, 0] = 128
    assert np.array_equal(pixels(photo.read(data)), expected)

    grey_alpha = Image.new("LA", (1, 1), (200, 0))
    assert photo.read(encoded(grey_alpha, "PNG")).getpixel((0, 0)) == (128, 128, 128)
    for mode, colour in [("L", 7), ("RGB", (7, 8, 9)), ("1", 0)]:
        keyed = encoded(Image.new(mode, (1, 1), colour), "PNG", transparency=colour)
        assert photo.read(keyed).getpixel((0, 0)) == (128, 128, 128), mode


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        red, green, blue = photo.read(data).getpixel((4, 4))
        assert red > 240 and green < 15 and blue < 15, kind


def test_a_wide_gamut_profile_is_converted():
    colours = np.array([[200, 60, 60], [60, 180, 90], [90, 90, 200], [128, 128, 128], [255, 0, 0]])
    linear = pictures.to_linear(colours / 255) @ np.linalg.solve(pictures.SRGB, pictures.DISPLAY_P3).T
    expected = 255 * pictures.from_linear(np.clip(linear, 0, 1))
    assert np.abs(expected - colours)[:3].max() > 15
    data = encoded(Image.fromarray(colours[None].astype(np.uint8)), "PNG", icc_profile=pictures.display_p3())
    assert np.abs(pixels(photo.read(data))[0] - expected).max() <= 2


def test_srgb_profile_leaves_every_pixel_alone():
    colours = np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    srgb = pictures.matrix_profile(pictures.SRGB, pictures.to_linear)
    data = encoded(Image.fromarray(colours), "PNG", icc_profile=srgb)
    assert np.array_equal(pixels(photo.read(data)), colours)


@pytest.mark.parametrize("broken", [b"nonsense", b"\0" * 200, pictures.display_p3()[:300], pictures.grey_cyan_press()])
def test_a_broken_or_foreign_profile_is_ignored(broken):
    data = encoded(photograph(), "PNG", icc_profile=broken)
    assert np.array_equal(pixels(photo.read(data)), pixels(photograph()))


def test_a_grey_picture_with_a_colour_profile():
    linear = pictures.matrix_profile(pictures.SRGB, lambda values: values)
    data = encoded(Image.new("L", (2, 2), 55), "PNG", icc_profile=linear)
    assert np.abs(pixels(photo.read(data)) - 255 * pictures.from_linear(np.array(55 / 255))).max() <= 1


def test_cmyk_with_and_without_profile():
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    plain = encoded(cyan, "JPEG", quality=100)
    assert np.abs(pixels(photo.read(plain)) - [0, 255, 255]).max() <= 2
    printed = encoded(cyan, "JPEG", quality=100, icc_profile=pictures.grey_cyan_press())
    # L* = 128 / 255 * 100 is a luminance of 0.186, which sRGB writes as 120.
    assert np.abs(pixels(photo.read(printed)) - 120).max() <= 2


def test_lab():
    lab = Image.new("LAB", (2, 2), (128, 128, 128))
    assert np.abs(pixels(photo.read(encoded(lab, "TIFF"))) - 120).max() <= 3


def test_sixteen_bits_keep_their_range():
    ramp = np.linspace(0, 65535, 512).reshape(16, 32).round().astype(np.uint16)
    for kind in ("PNG", "TIFF"):
        seen = pixels(photo.read(encoded(Image.fromarray(ramp), kind)))
        assert np.array_equal(seen[..., 0], np.rint(ramp / 257))
        assert np.array_equal(seen[..., 0], seen[..., 2])
    faint = Image.fromarray((ramp // 256).astype(np.uint16))
    assert photo.read(faint).getextrema()[0] == (0, 1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0.0, 0.5, 1.0]], [[0, 128, 255]]),
        ([[0.0, 0.0, 0.2]], [[0, 0, 51]]),
        ([[0.0, 100.0, 255.0]], [[0, 100, 255]]),
        ([[0.0, 25700.0, 60000.0]], [[0, 100, 233]]),
        ([[-1.0, 0.0, 1.0]], [[0, 128, 255]]),
        ([[1e6, 2e6, 3e6]], [[0, 128, 255]]),
        ([[-5.0, -5.0, -5.0]], [[0, 0, 0]]),
        ([[np.nan, np.inf, 1.0]], [[0, 0, 255]]),
    ],
)
def test_floats_of_any_scale(values, expected):
    image = Image.fromarray(np.array(values, np.float32))
    assert image.mode == "F"
    assert np.array_equal(pixels(photo.read(encoded(image, "TIFF")))[..., 1], expected)


def test_deep_integers():
    for values, expected in [
        ([0, 100, 200], [0, 100, 200]),
        ([0, 257, 65535], [0, 1, 255]),
        ([-4, 0, 4], [0, 128, 255]),
    ]:
        image = Image.fromarray(np.array([values], np.int32))
        assert image.mode == "I"
        assert np.array_equal(pixels(photo.read(encoded(image, "TIFF")))[0, :, 0], expected)


def test_two_colours_and_a_palette():
    board = np.indices((4, 6)).sum(0) % 2 == 1
    assert np.array_equal(pixels(photo.read(encoded(Image.fromarray(board), "PNG")))[..., 0], board * 255)
    palette = photograph().quantize(16)
    assert np.array_equal(pixels(photo.read(encoded(palette, "PNG"))), pixels(palette.convert("RGB")))


def test_a_panorama_at_the_limit_opens():
    data = encoded(Image.new("RGB", (20_000, 2_000), (9, 99, 199)), "PNG", compress_level=1)
    assert photo.see(photo.read(data), 32).mean(axis=(0, 1)).tolist() == [9, 99, 199]


def test_a_large_jpeg_is_decoded_smaller():
    large = Image.new("RGB", (9_000, 5_000), (200, 100, 50))
    read = photo.read(encoded(large, "JPEG", exif=exif_of(6)))
    assert (read.size, read.info["full_size"]) == ((1_250, 2_250), (5_000, 9_000))
    with pytest.raises(PhotoError, match="too large"):
        photo.read(encoded(large, "JPEG", progressive=True))
    assert photo.read(encoded(Image.new("RGB", (2_000, 1_500)), "JPEG")).size == (2_000, 1_500)


def test_arrays():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(pixels(photo.read(grey)), pixels(photo.read(grey[..., None])))
    assert np.array_equal(pixels(photo.read(grey.astype(np.int64)))[..., 0], grey)
    assert np.array_equal(pixels(photo.read(grey + 0.4))[..., 0], grey)
    for wrong, words in [
        (grey / 255.0, "from 0 to 1, so multiply it by 255"),
        (grey.astype(np.int64) - 5, "from -5 to 6"),
        (grey * 300.0, "from 0 to 3300"),
        (np.full((2, 2), np.nan), "something else"),
        (grey > 3, "something else"),
        (np.zeros((2, 3, 4, 3), np.uint8), "2 x 3 x 4 x 3 is not one picture"),
        (np.zeros((3, 8, 8), np.uint8)[:, :, :2], "is not one picture"),
        (np.zeros((0, 4, 3), np.uint8), "is not one picture"),
        (np.zeros((7_000, 7_000), np.uint8), "too large"),
    ]:
        with pytest.raises(PhotoError, match=words):
            photo.read(wrong)


FILES = {
    "JPEG": lambda: encoded(photograph(), "JPEG", exif=exif_of(6), icc_profile=pictures.display_p3()),
    "progressive": lambda: encoded(photograph(), "JPEG", progressive=True),
    "PNG": lambda: encoded(photograph(), "PNG", exif=exif_of(3)),
    "palette": lambda: encoded(photograph().quantize(8), "PNG", transparency=3),
    "WEBP": lambda: encoded(photograph(), "WEBP"),
    "AVIF": lambda: encoded(photograph(), "AVIF"),
    "GIF": pictures.ODD["animation.gif"],
    "BMP": lambda: encoded(photograph(), "BMP"),
    "TIFF": lambda: encoded(photograph(), "TIFF", exif=exif_of(5)),
    "LZW": lambda: encoded(photograph(), "TIFF", compression="tiff_lzw"),
    "HEIF": pictures.ODD["phone.heic"],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", FILES)
def test_damage_gives_a_picture_or_a_sentence(kind):
    data = FILES[kind]()
    dice = random.Random(kind)
    damaged = [data[: dice.randrange(len(data))] for _ in range(40)]
    for _ in range(60):
        flipped = bytearray(data)
        # Half of the flips hit the headers, which is where parsers live.
        for _ in range(dice.choice([1, 1, 8])):
            place = dice.randrange(min(len(data), 200) if dice.random() < 0.5 else len(data))
            flipped[place] ^= 1 << dice.randrange(8)
        damaged.append(bytes(flipped))
    for broken in damaged:
        try:
            image = photo.read(broken)
        except PhotoError:
            continue
        assert image.mode == "RGB"
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_threads_get_their_own_pictures():
    sources = [encoded(photograph(40 + i, 30), kind) for i in range(6) for kind in ("JPEG", "PNG", "WEBP", "HEIF")]
    alone = [photo.read(source).tobytes() for source in sources]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda source: photo.read(source).tobytes(), sources * 3))
    assert together == alone * 3


def test_seeing_crops_the_middle_or_squashes_the_whole():
    strips = np.zeros((20, 100, 3), np.uint8)
    strips[:, :40], strips[:, 40:60], strips[:, 60:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    picture = Image.fromarray(strips)
    assert np.array_equal(photo.see(picture, 20), strips[:, 40:60])
    tall = photo.see(picture.transpose(Image.Transpose.ROTATE_90), 20)
    assert np.array_equal(tall, strips[:, 40:60])
    squashed = photo.see(picture, 20, fit="squash")
    assert squashed.shape == (20, 20, 3) and squashed.dtype == np.uint8
    assert np.array_equal(squashed[3, [1, 10, 18]], [[255, 0, 0], [0, 255, 0], [0, 0, 255]])
    with pytest.raises(PhotoError, match="stretch"):
        photo.see(picture, 20, fit="stretch")  # type: ignore[arg-type]


def test_seeing_is_bilinear_and_antialiased():
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert np.abs(photo.see(photo.read(board), 8).astype(int) - 127).max() <= 2
    # Upwards, a pixel of the result takes its value between the two nearest centres.
    step = photo.see(photo.read(np.array([[0, 100], [0, 100]], np.uint8)), 4)
    assert step[0, :, 0].tolist() == [0, 25, 75, 100]


def test_seeing_at_the_resolution_of_the_training():
    picture = photo.read(np.random.default_rng(0).integers(0, 256, (90, 120, 3)).astype(np.uint8))
    small = picture.crop((15, 0, 105, 90)).resize((16, 16), Image.Resampling.BILINEAR)
    expected = np.asarray(small.resize((64, 64), Image.Resampling.BILINEAR))
    assert np.array_equal(photo.see(picture, 64, source_size=16), expected)
    assert not np.array_equal(photo.see(picture, 64), expected)
    assert photo.see(picture, 64, fit="squash", source_size=16).shape == (64, 64, 3)
    # A picture that has no more detail than that is scaled once.
    assert np.array_equal(photo.see(picture, 64, source_size=500), photo.see(picture, 64))


@pytest.mark.parametrize("size", [(1, 1), (65_535, 1), (1, 3)])
def test_seeing_the_smallest_and_thinnest(size):
    picture = Image.new("RGB", size, (10, 20, 30))
    for fit in ("crop", "squash"):
        assert (photo.see(picture, 32, fit, source_size=8) == [10, 20, 30]).all()


@pytest.mark.parametrize("fit", ["crop", "squash"])
@pytest.mark.parametrize("turned", [1, 6])
def test_a_box_lies_where_it_is_seen(fit, turned):
    """A white box on black, in a photograph that lies on its side too: its pixels are found where the box is said."""
    box = left, top, right, bottom = 60, 100, 180, 220
    pixels = np.zeros((300, 200, 3), np.uint8)
    pixels[top:bottom, left:right] = 255
    if turned == 6:
        pixels = np.rot90(pixels)
    exif = Image.Exif()
    exif[0x0112] = turned
    picture = photo.read(io.BytesIO(encoded(Image.fromarray(pixels), "PNG", exif=exif.tobytes())))
    assert picture.info["full_size"] == (200, 300)
    rows, columns = np.nonzero(photo.see(picture, 60, fit)[:, :, 0] > 127)
    found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert photo.box_seen(box, (200, 300), 60, fit) == found
    with pytest.raises(PhotoError, match="stretch"):
        photo.box_seen(box, (200, 300), 60, "stretch")  # type: ignore[arg-type]


def test_pillow_says_nothing_besides(tmp_path):
    """Of pictures between 90 and 180 megapixels it warns, which stood in the log beside the sentence."""
    path = tmp_path / "large.png"
    Image.new("1", (10_000, 10_000)).save(path)
    program = f"from explain import photo\ntry: photo.read({str(path)!r})\nexcept photo.PhotoError: print('told')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("told\n", "")
