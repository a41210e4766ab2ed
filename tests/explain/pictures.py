"""Files as strangers bring them, made on the spot: odd ones that must open, bad ones that must be refused."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
DISPLAY_P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])


def photograph(width: int = 48, height: int = 32) -> Image.Image:
    """A smooth picture in which every corner has a colour of its own."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    pixels = np.stack([20 + 220 * x, 230 - 200 * y, 40 + 160 * x * y + 20 * np.sin(9 * x)], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    """The bytes of a file of this kind."""
    if kind == "HEIF":
        import pillow_heif

        file = io.BytesIO()
        pillow_heif.from_pillow(image).save(file, **options)
        return file.getvalue()
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def header_only_png(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes that claims to be enormous."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def profile(space: bytes, tags: dict[bytes, bytes], connection: bytes = b"XYZ ") -> bytes:
    """An ICC version 2 profile (ICC.1:2001-04) of these tags."""
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    text = b"made by hand\0"
    white = b"XYZ " + bytes(4) + struct.pack(">3i", *_fixed([0.9642, 1.0, 0.8249]))
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78),
        b"wtpt": white,
        **tags,
    }
    start = 128 + 4 + 12 * len(tags)
    table, data = b"", b""
    for name, tag in tags.items():
        tag += bytes(-len(tag) % 4)
        table += name + struct.pack(">2I", start + len(data), len(tag))
        data += tag
    head = struct.pack(">I4sI4s4s4s", start + len(data), bytes(4), 0x02400000, kind, space, connection)
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", *_fixed([0.9642, 1.0, 0.8249]))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def matrix_profile(primaries: np.ndarray, to_light: Callable[[np.ndarray], np.ndarray]) -> bytes:
    """A profile of three primaries (their XYZ for D50 in the columns) and one curve from values 0..1 to light."""
    curve = np.rint(65535 * to_light(np.linspace(0, 1, 1024))).astype(">u2").tobytes()
    tags = {}
    for letter, primary in zip((b"r", b"g", b"b"), primaries.T, strict=True):
        tags[letter + b"XYZ"] = b"XYZ " + bytes(4) + struct.pack(">3i", *_fixed(primary))
        tags[letter + b"TRC"] = b"curv" + bytes(4) + struct.pack(">I", 1024) + curve
    return profile(b"RGB ", tags)


def display_p3() -> bytes:
    """The profile of most phones' photographs: wider primaries, the curve of sRGB."""
    return matrix_profile(DISPLAY_P3, to_linear)


def grey_cyan_press() -> bytes:
    """A CMYK profile of a press whose cyan ink is a middle grey, so that one sees whether it was used."""
    lab = np.full((2, 2, 2, 2, 3), 128)
    for ink in np.ndindex(2, 2, 2, 2):
        lab[ink][0] = 255 if ink == (0, 0, 0, 0) else 128 if ink == (1, 0, 0, 0) else 0
    straight = bytes(range(256))
    identity = struct.pack(">9i", *_fixed([1, 0, 0, 0, 1, 0, 0, 0, 1]))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity
    lut += straight * 4 + lab.astype(np.uint8).tobytes() + straight * 3
    return profile(b"CMYK", {b"A2B0": lut}, connection=b"Lab ")


def to_linear(encoded_values: np.ndarray) -> np.ndarray:
    """Light from the values 0..1 of sRGB (IEC 61966-2-1)."""
    return np.where(encoded_values <= 0.04045, encoded_values / 12.92, ((encoded_values + 0.055) / 1.055) ** 2.4)


def from_linear(light: np.ndarray) -> np.ndarray:
    """The values 0..1 of sRGB for light 0..1 (IEC 61966-2-1)."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055)


def _fixed(values) -> list[int]:
    return [round(float(value) * 65536) for value in values]


def _animation() -> bytes:
    frames = [Image.new("RGB", (12, 8), colour) for colour in ("red", "lime", "blue")]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50, loop=0)


def _palette_with_alpha() -> bytes:
    image = Image.new("P", (4, 2), 1)
    image.putpalette([255, 0, 0, 0, 200, 0])
    image.putpixel((0, 0), 0)
    return encoded(image, "PNG", transparency=bytes([0, 255]))


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(photograph(), "JPEG", exif=exif.tobytes())


def _sixteen_bits() -> bytes:
    return encoded(Image.fromarray(np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)), "PNG")


ODD: dict[str, Callable[[], bytes]] = {
    "one pixel.png": lambda: encoded(photograph(1, 1), "PNG"),
    "panorama.jpg": lambda: encoded(photograph(20_000, 300), "JPEG"),
    "cmyk.jpg": lambda: encoded(photograph().convert("CMYK"), "JPEG"),
    "sixteen bits.png": _sixteen_bits,
    "palette.png": _palette_with_alpha,
    "animation.gif": _animation,
    "turned.jpg": _turned,
    "wide gamut.png": lambda: encoded(photograph(), "PNG", icc_profile=display_p3()),
    "bitmap.bmp": lambda: encoded(photograph(), "BMP"),
    "phone.heic": lambda: encoded(photograph(), "HEIF"),
    "page.webp": lambda: encoded(photograph(), "WEBP"),
    "page.avif": lambda: encoded(photograph(), "AVIF"),
    "scan.tiff": lambda: encoded(photograph(), "TIFF", compression="tiff_lzw"),
}
"""Unusual files that are photographs all the same: a name, and what makes the bytes."""

BAD: dict[str, Callable[[], bytes]] = {
    "empty.jpg": lambda: b"",
    "text.jpg": lambda: b"My cat is called Chelsea.\n" * 40,
    "truncated.jpg": lambda: encoded(photograph(320, 240), "JPEG")[:2_500],
    "truncated.png": lambda: encoded(photograph(320, 240), "PNG")[:-900],
    "bomb.png": lambda: header_only_png(50_000, 50_000),
    "large.png": lambda: header_only_png(10_000, 5_000),
    "strip.png": lambda: header_only_png(70_000, 1),
}
"""Files that nobody can read as a photograph: a name, and what makes the bytes."""
