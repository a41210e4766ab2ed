"""From whatever a stranger brings to the pixels that a network sees.

`read` opens a picture and makes it an upright sRGB photograph; `see` cuts and scales it to a network's input.
Both are safe to call from several threads: no state of Pillow is changed.
"""

import io
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin, UnidentifiedImageError

from explain.errors import PhotoError

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
MAX_MEGAPIXELS = 40
MAX_SIDE = 65_535
DRAFT_SIDE = 1_200
GREY = 128
CHANNELS = (1, 3, 4)
"""Of an array that is one picture."""

Fit = Literal["crop", "squash"]

# The limits here are told as errors; a log needs no line besides. Who made errors of warnings keeps them.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning, append=True)

_KINDS = "JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP or TIFF"
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ACROSS = tuple(_UPRIGHT[orientation] for orientation in (5, 6, 7, 8))


def read(source: Any) -> Image.Image:
    """Open a picture from anywhere as an upright RGB photograph in sRGB.

    `source` is a path (str or Path), the bytes of a file, a binary file object, a PIL image, or an array of
    pixels 0..255 shaped (H, W), (H, W, 1), (H, W, 3) or (H, W, 4). Files may be JPEG, PNG, WebP, AVIF, GIF,
    BMP, TIFF or, where pillow-heif is installed, HEIC.

    The EXIF orientation is honoured, an embedded colour profile is converted (a broken one is ignored), an
    animation gives its first frame, transparency lies over neutral grey (128), CMYK and grey become RGB.
    16-bit pixels keep their range. Deeper integers and floats take the first white point that holds them, of
    1 (floats only), 255 and 65535, or else run from their darkest to their lightest pixel.

    At most 40 megapixels are decoded, and no side over 65,535 pixels. A large JPEG that is not progressive comes at
    1/2, 1/4 or 1/8 of its size, with at least 1,200 pixels on its short side; so it may have more than 40 megapixels
    itself.

    Of a file's notes the photograph has none, so that to read it again turns and converts nothing twice; its
    `info["full_size"]` is the width and height of the upright picture before it came smaller.

    Raises PhotoError, and nothing else, for whatever cannot be read.
    """
    name = _name(source)
    try:
        if isinstance(source, np.ndarray):
            return _photograph(_from_array(source, name))
        if isinstance(source, Image.Image):
            _check_size(source.size, name)
            return _photograph(source)
        with _opened(source, name) as file:
            return _photograph(*_from_file(file, name))
    except PhotoError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoError(f"{name} has far more than {MAX_MEGAPIXELS} megapixels: make it smaller first.") from error
    except MemoryError as error:
        raise PhotoError(f"{name} needs more memory than there is: make it smaller first.") from error
    except Exception as error:
        raise PhotoError(f"{name} is damaged or cut short: save or download it again.") from error


def each(pictures: Any) -> Iterable[Any]:
    """Many pictures as they are given, one alone as the only one: not its path's letters, nor its pixels' rows."""
    alone = hasattr(pictures, "read")
    if isinstance(pictures, np.ndarray):
        alone = pictures.ndim == 2 or (pictures.ndim == 3 and pictures.shape[2] in CHANNELS)
    if alone or isinstance(pictures, str | bytes | bytearray | memoryview | Path | Image.Image):
        return [pictures]
    return pictures


def check(fit: str, source_size: int | None) -> None:
    """Raises PhotoError if `see` knows no such fit, or a source has no pixels."""
    if fit not in ("crop", "squash"):
        raise PhotoError(f'There is no fit "{fit}": choose "crop" or "squash".')
    if source_size is not None and source_size < 1:
        raise PhotoError(f"A source of {source_size} pixels shows nothing.")


def see(photo: Image.Image, size: int, fit: Fit = "crop", source_size: int | None = None) -> np.ndarray:
    """Give the pixels that a network with inputs of `size` x `size` sees of a photograph from `read`.

    `fit` is "crop" (the square in the middle) or "squash" (the whole picture, pressed into a square).
    `source_size` is the resolution of the pictures that the network was trained on, where that is lower:
    detail beyond it is removed first. Scaling is bilinear and antialiased.

    Returns (size, size, 3) uint8. Raises PhotoError for an unknown fit, and for a source without pixels.
    """
    check(fit, source_size)
    if fit == "crop":
        photo = photo.crop(_middle(*photo.size))
    if source_size is not None:
        width, height = photo.size
        photo = photo.resize((min(width, source_size), min(height, source_size)), Image.Resampling.BILINEAR)
    return np.array(photo.resize((size, size), Image.Resampling.BILINEAR))


def box_seen(
    box: tuple[float, float, float, float], full_size: tuple[int, int], size: int, fit: Fit = "crop"
) -> tuple[float, float, float, float]:
    """Where a box of a photograph lies in the square that a network with inputs of `size` x `size` sees of it.

    Both boxes are (left, top, right, bottom) in pixels: one of the upright photograph, whose width and height are
    `full_size`, see `read`, the other of `see`. What the square cuts off lies below 0 or beyond `size`.

    Raises PhotoError for an unknown fit.
    """
    check(fit, None)
    left, top, right, bottom = _middle(*full_size) if fit == "crop" else (0, 0, *full_size)
    across, down = size / (right - left), size / (bottom - top)
    x0, y0, x1, y1 = box
    return (x0 - left) * across, (y0 - top) * down, (x1 - left) * across, (y1 - top) * down


def _middle(width: int, height: int) -> tuple[int, int, int, int]:
    """The square in the middle."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def _name(source: Any) -> str:
    """Say how a message calls the source: by its quoted file name where it has one."""
    path = source
    if not isinstance(source, str | Path):
        path = getattr(source, "name", getattr(source, "filename", None))
    if not isinstance(path, str | Path) or not Path(path).name:
        return "The picture"
    name = "".join(letter if letter.isprintable() else "?" for letter in Path(path).name)
    return f'"{name}"' if len(name) <= 80 else f'"{name[:40]}...{name[-37:]}"'


def _opened(source: Any, name: str) -> Any:
    """Open a path, bytes or a file object as a binary file that holds something."""
    if isinstance(source, str | Path):
        path = Path(source)
        try:
            if path.is_dir():
                raise PhotoError(f"{name} is a folder: name one of the pictures in it.")
            if not path.exists():
                raise PhotoError(f"There is no file {name}: check its name and folder.")
            if not path.is_file():
                raise PhotoError(f"{name} is not an ordinary file: name a picture.")
            if not path.stat().st_size:
                raise PhotoError(f"{name} is empty: choose another picture.")
            return path.open("rb")
        except (OSError, ValueError) as error:
            raise PhotoError(f"{name} cannot be opened: check its name and who may read it.") from error
    if hasattr(source, "read"):
        if hasattr(source, "seekable") and source.seekable():
            source.seek(0)
        source = source.read()
    if not isinstance(source, bytes | bytearray | memoryview):
        raise PhotoError(f"{name} is not a picture: give a path, the bytes of a file, an image or an array.")
    file = io.BytesIO(source)
    if not file.getbuffer().nbytes:
        raise PhotoError(f"{name} is empty: choose another picture.")
    return file


def _from_file(file: Any, name: str) -> tuple[Image.Image, tuple[int, int] | None]:
    """A picture that is not decoded yet, and the size of it that is in the file, where it comes smaller."""
    full_size = None
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError as error:
        image = _heic(file, name)
        if image is None:
            raise PhotoError(f"{name} cannot be read as a picture: choose a {_KINDS} file.") from error
    # A progressive JPEG is held whole, whatever the scale that it is decoded at.
    if isinstance(image, JpegImagePlugin.JpegImageFile) and not image.info.get("progressive"):
        full_size = image.size
        image.draft(None, (DRAFT_SIDE, DRAFT_SIDE))
    _check_size(image.size, name)
    return image, full_size


def _heic(file: Any, name: str) -> Image.Image | None:
    """Open a HEIC file, or say that this needs pillow-heif; None where it is none."""
    file.seek(0)
    start = file.read(12)
    if start[4:8] != b"ftyp":
        return None
    try:
        from pillow_heif import HeifImageFile, is_supported
    except ImportError as error:
        raise PhotoError(f"{name} looks like HEIC: install pillow-heif or save it as JPEG.") from error
    return HeifImageFile(file) if is_supported(start) else None


def _from_array(pixels: np.ndarray, name: str) -> Image.Image:
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim not in (2, 3) or not pixels.size or channels not in CHANNELS:
        shape = " x ".join(map(str, pixels.shape))
        raise PhotoError(f"An array of {shape} is not one picture: give height x width x 1, 3 or 4.")
    _check_size((pixels.shape[1], pixels.shape[0]), name)
    if pixels.dtype != np.uint8:
        if pixels.dtype.kind not in "iuf" or not np.isfinite(pixels).all():
            raise PhotoError("An array of pixels needs numbers from 0 to 255: this one holds something else.")
        low, high = pixels.min(), pixels.max()
        if low < 0 or high > 255:
            raise PhotoError(f"Pixels go from 0 to 255: this array goes from {low:g} to {high:g}.")
        if pixels.dtype.kind == "f" and 0 < high <= 1:
            raise PhotoError("Pixels go from 0 to 255: this array goes from 0 to 1, so multiply it by 255.")
        pixels = np.rint(pixels).astype(np.uint8)
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels)


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if not width or not height:
        raise PhotoError(f"{name} has no pixels: choose another picture.")
    if width * height > MAX_MEGAPIXELS * 1e6 or max(size) > MAX_SIDE:
        raise PhotoError(
            f"{name} is too large ({width} x {height}): the limit is {MAX_MEGAPIXELS} megapixels and "
            f"{MAX_SIDE} pixels a side, so make it smaller first."
        )


def _photograph(image: Image.Image, full_size: tuple[int, int] | None = None) -> Image.Image:
    """Turn an image of any mode into upright sRGB, another image than that."""
    source = image
    image.load()
    width, height = full_size or image.size
    profile = image.info.get("icc_profile")
    turn = _orientation(image)
    image = _eight_bits(image)
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    photo = _srgb(image.convert("RGB") if alpha else image, profile)
    if alpha:
        photo = Image.composite(photo, Image.new("RGB", photo.size, (GREY, GREY, GREY)), alpha)
    if turn is not None:
        photo = photo.transpose(turn)
    elif photo is source:
        photo = photo.copy()
    photo.info = {"full_size": (height, width) if turn in _ACROSS else (width, height)}
    return photo


def _orientation(image: Image.Image) -> Image.Transpose | None:
    try:
        return _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        # Cameras and editors write broken EXIF around sound pixels, and Pillow has no one error for it.
        return None


def _eight_bits(image: Image.Image) -> Image.Image:
    """Reduce the many modes of image files to L, RGB, RGBA, CMYK and LAB."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep(np.asarray(image), image.mode)
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _from_deep(values: np.ndarray, mode: str) -> Image.Image:
    values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    whites = {"I": (255, 65_535), "F": (1, 255, 65_535)}.get(mode, (65_535,))
    black, white = values.min(), values.max()
    fitting = [limit for limit in whites if white <= limit]
    if black >= 0 and fitting:
        black, white = 0, fitting[0]
    return Image.fromarray(np.rint((values - black) * (255 / max(white - black, 1e-300))).astype(np.uint8))


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an L, RGB, CMYK or LAB image to RGB, through its colour profile where that can be used."""
    if image.mode == "LAB":
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        return ImageCms.ImageCmsTransform(lab, srgb, "LAB", "RGB").apply(image)
    if not profile:
        return image.convert("RGB")
    try:
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        colours = image
        if image.mode == "L" and own.profile.xcolor_space.strip() == "RGB":
            colours = image.convert("RGB")
        to_srgb = ImageCms.ImageCmsTransform(own, srgb, colours.mode, "RGB")
        if colours.mode == "RGB" and _changes_nothing(to_srgb):
            return colours
        return to_srgb.apply(colours)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return image.convert("RGB")


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a transform only rounds, as from sRGB to sRGB: most cameras' profile, and pixels stay exact."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(1, -1, 3)
    changed = np.asarray(transform.apply(Image.fromarray(lattice)))
    return int(np.abs(changed.astype(int) - lattice).max()) <= 1
