"""Some hundred files as strangers and attackers send them, made on the spot, the same ones every time.

Every one must give a picture or one plain sentence. All are small; what they claim or unpack to is not.
"""

import gzip
import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, PngImagePlugin

from tests.explain.pictures import encoded, header_only_png, photograph, profile

SEED = 20_261
CUTS = (1, 24, 0.05, 0.5, -1)
"""Where files are cut off: after so many bytes, at a share of their length, or before the last ones."""
FLIPS = (1, 4, 16, 64, 256)
"""How many bits are turned over in a file, for each copy of it."""


@dataclass(frozen=True)
class Upload:
    """A file.

    Attributes:
        name: what its sender calls it; some are hostile themselves, all can lie in a folder.
        content: its bytes.
    """

    name: str
    content: bytes


def corpus() -> list[Upload]:
    """All of them, in the same order every time."""
    random = np.random.default_rng(SEED)
    sound = {name: make() for name, make in SOUND.items()}
    found = [*_cut(sound), *_flipped(sound, random), *_mixed(sound, random)]
    found += [Upload(name, make()) for kind in (CLAIMS, BOMBS, NOTES, STRANGERS) for name, make in kind.items()]
    found += _polyglots(sound)
    found += [Upload(name, sound["photo.png"][:200]) for name in NAMES]
    return found


# -- Sound files, and what becomes of them ---------------------------------------------------------------------


def _noisy(width: int = 96, height: int = 64) -> Image.Image:
    noise = np.random.default_rng(SEED).normal(0, 20, (height, width, 3))
    return Image.fromarray((np.asarray(photograph(width, height)) + noise).clip(0, 255).astype(np.uint8))


def _animated(kind: str) -> bytes:
    frames = [Image.new("RGB", (24, 16), colour) for colour in ("red", "lime", "blue")]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, loop=0)


SOUND: dict[str, Callable[[], bytes]] = {
    "photo.jpg": lambda: encoded(_noisy(), "JPEG"),
    "progressive.jpg": lambda: encoded(_noisy(), "JPEG", progressive=True),
    "photo.png": lambda: encoded(_noisy(), "PNG"),
    "deep.png": lambda: encoded(Image.fromarray(np.asarray(_noisy())[..., 0].astype(np.uint16) * 257), "PNG"),
    "palette.png": lambda: encoded(_noisy().quantize(16), "PNG"),
    "photo.webp": lambda: encoded(_noisy(), "WEBP"),
    "moving.webp": lambda: _animated("WEBP"),
    "photo.avif": lambda: encoded(_noisy(), "AVIF"),
    "phone.heic": lambda: encoded(_noisy(), "HEIF"),
    "moving.gif": lambda: _animated("GIF"),
    "photo.bmp": lambda: encoded(_noisy(48, 32), "BMP"),
    "scan.tiff": lambda: encoded(_noisy(), "TIFF", compression="tiff_lzw"),
    "plain.tiff": lambda: encoded(_noisy(48, 32), "TIFF"),
}


def _cut(sound: dict[str, bytes]) -> Iterator[Upload]:
    for name, content in sound.items():
        for cut in CUTS:
            end = cut if isinstance(cut, int) else round(cut * len(content))
            yield Upload(f"cut at {cut} {name}", content[:end])


def _flipped(sound: dict[str, bytes], random: np.random.Generator) -> Iterator[Upload]:
    for name, content in sound.items():
        for copy, count in enumerate(FLIPS):
            changed = bytearray(content)
            # One copy in two is hit in its head, where sizes and offsets are.
            within = min(len(content), 120) if copy % 2 else len(content)
            for place in random.integers(0, 8 * within, count):
                changed[place // 8] ^= 1 << (place % 8)
            yield Upload(f"flipped {copy} {name}", bytes(changed))


def _mixed(sound: dict[str, bytes], random: np.random.Generator) -> Iterator[Upload]:
    names = list(sound)
    for number, (name, content) in enumerate(sound.items()):
        other = names[(number + 1) % len(names)]
        yield Upload(f"really {name} as {other}", content)
        yield Upload(f"head and noise {name}", content[:32] + random.bytes(2_000))
        yield Upload(f"zeros inside {name}", content[: len(content) // 3] + bytes(len(content) // 3))
        yield Upload(f"head of {name} on {other}", content[:40] + sound[other][40:])


# -- Files that claim what is not so ---------------------------------------------------------------------------


def _gif(width: int, height: int) -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0, 0, 0)
        + b"\x2c"
        + struct.pack("<4HB", 0, 0, width, height, 0)
    )


def _bmp(width: int, height: int, bits: int = 24, size: int = 40, offset: int = 54) -> bytes:
    head = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, offset) + head + bytes(100)


def _jpeg(width: int, height: int) -> bytes:
    content = encoded(_noisy(), "JPEG")
    start = content.index(b"\xff\xc0")
    return content[: start + 5] + struct.pack(">HH", height, width) + content[start + 9 :]


def _tiff(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    rows = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + rows + struct.pack("<I", following) + bytes(64)


def _webp(width: int, height: int) -> bytes:
    canvas = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _box(kind: bytes, body: bytes, size: int | None = None) -> bytes:
    return struct.pack(">I", 8 + len(body) if size is None else size) + kind + body


CLAIMS: dict[str, Callable[[], bytes]] = {
    **{
        f"{width} by {height}.png": lambda size=(width, height): header_only_png(*size)
        for width, height in ((0, 0), (0, 9), (1, 2**31 - 1), (2**31 - 1, 2**31 - 1), (2**32 - 1, 1), (6_400, 6_400))
    },
    **{
        f"{width} by {height}.gif": lambda size=(width, height): _gif(*size)
        for width, height in ((0, 0), (1, 65_535), (65_535, 65_535))
    },
    **{
        f"{width} by {height}.jpg": lambda size=(width, height): _jpeg(*size)
        for width, height in ((0, 0), (0, 64), (1, 65_500), (65_535, 65_535), (640, 480))
    },
    **{
        f"{width} by {height} {bits}.bmp": lambda given=(width, height, bits): _bmp(*given)
        for width, height, bits in ((2**31 - 1, 1, 24), (-5, 5, 24), (5, -(2**31), 24), (9_000, 9_000, 1), (8, 8, 77))
    },
    **{
        f"{width} by {height}.webp": lambda size=(width, height): _webp(*size)
        for width, height in ((1, 1), (16_384, 16_384), (2**24, 2**24))
    },
    "odd head.bmp": lambda: _bmp(4, 4, size=2**31 - 1),
    "far away.bmp": lambda: _bmp(4, 4, offset=2**31 - 1),
    "loop.tiff": lambda: _tiff([(256, 3, 1, 4), (257, 3, 1, 4)], following=8),
    "enormous.tiff": lambda: _tiff([(256, 4, 1, 2**31), (257, 4, 1, 2**31), (262, 3, 1, 2)]),
    "endless tag.tiff": lambda: _tiff([(256, 3, 1, 4), (257, 3, 1, 4), (273, 4, 2**32 - 1, 8)]),
    "many tags.tiff": lambda: _tiff([(number, 3, 1, 1) for number in range(5_000)]),
    "negative strip.tiff": lambda: _tiff(
        [(256, 3, 1, 4), (257, 3, 1, 4), (273, 9, 1, 2**32 - 4), (279, 9, 1, 2**32 - 1)]
    ),
    "box of nothing.heic": lambda: _box(b"ftyp", b"heic\0\0\0\0mif1heic"),
    "box too long.heic": lambda: _box(b"ftyp", b"heic\0\0\0\0mif1heic") + _box(b"meta", bytes(4), 2**32 - 1),
    "box in box.avif": lambda: _box(b"ftyp", b"avif\0\0\0\0mif1avif") + _box(b"meta", _box(b"meta", bytes(40)) * 50),
}

# -- Files that unpack to far more than they are ---------------------------------------------------------------


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _with_chunk(kind: bytes, data: bytes) -> bytes:
    content = encoded(_noisy(), "PNG")
    return content[:33] + _chunk(kind, data) + content[33:]


def _blank_png(width: int, height: int, rows: int) -> bytes:
    """A grey PNG of zeros that holds so many rows, whatever it says of its height."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes((1 + width) * rows), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _many_frames() -> bytes:
    frame = _gif(8, 8)[13:] + b"\x02\x02\x4c\x01\x00"
    return _gif(8, 8)[:13] + frame * 20_000 + b";"


BOMBS: dict[str, Callable[[], bytes]] = {
    "just small enough.png": lambda: _blank_png(6_300, 6_300, 6_300),
    "too large.png": lambda: _blank_png(6_400, 6_400, 200),
    "more rows than said.png": lambda: _blank_png(100, 100, 60_000),
    "text bomb.png": lambda: _with_chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(70_000_000), 6)),
    "many notes.png": lambda: _with_chunk(b"tEXt", b"a\0" + bytes(60_000)),
    "profile bomb.png": lambda: _with_chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(40_000_000), 6)),
    "twenty thousand frames.gif": _many_frames,
    "packed zeros.gz": lambda: gzip.compress(bytes(40_000_000), 1),
    "zip bomb.zip": lambda: _zip({"zeros.jpg": bytes(40_000_000)}),
    "laughs.svg": lambda: (
        "<!DOCTYPE l [<!ENTITY a0 'ha'>"
        + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10))
        + "]><svg xmlns='http://www.w3.org/2000/svg'><text>&a9;</text></svg>"
    ).encode(),
}

# -- Hostile notes on sound pixels -----------------------------------------------------------------------------


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _exif(body: bytes, kind: str = "JPEG") -> bytes:
    return encoded(_noisy(), kind, exif=b"Exif\0\0" + body)


def _orientation(value: int, kind: int = 3) -> bytes:
    return _tiff([(0x0112, kind, 1, value)])


def _commented(comment: bytes, copies: int = 1) -> bytes:
    content = encoded(_noisy(), "JPEG")
    return content[:2] + (b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment) * copies + content[2:]


def _texts() -> bytes:
    notes = PngImagePlugin.PngInfo()
    for number in range(500):
        notes.add_text(f"key {number}", "<script>alert(1)</script>" * 20)
    return encoded(_noisy(), "PNG", pnginfo=notes)


NOTES: dict[str, Callable[[], bytes]] = {
    **{f"turned {value}.jpg": lambda value=value: _exif(_orientation(value)) for value in (0, 9, 255, 65_535)},
    "turned by a text.jpg": lambda: _exif(_orientation(0x41414141, kind=2)),
    "notes in a circle.jpg": lambda: _exif(_tiff([(0x8769, 4, 1, 8)], following=8)),
    "notes from afar.jpg": lambda: _exif(_tiff([(0x010E, 2, 2**31, 2**31)])),
    "broken notes.jpg": lambda: _exif(b"\xff" * 200),
    "no notes.jpg": lambda: _exif(b""),
    "notes of noise.webp": lambda: _exif(np.random.default_rng(1).bytes(4_000), "WEBP"),
    "long comment.jpg": lambda: _commented(b"a" * 65_000, 20),
    "markup.jpg": lambda: _commented(b"<script>alert(1)</script>\x1b[2J\0"),
    "many texts.png": _texts,
    "broken profile.jpg": lambda: encoded(_noisy(), "JPEG", icc_profile=b"nothing of a profile"),
    "profile of zeros.png": lambda: encoded(_noisy(), "PNG", icc_profile=bytes(128)),
    "profile cut short.png": lambda: encoded(_noisy(), "PNG", icc_profile=profile(b"RGB ", {})[:140]),
    "profile for another space.jpg": lambda: encoded(_noisy(), "JPEG", icc_profile=profile(b"CMYK", {})),
}

# -- Files that were never pictures, or are of a kind that nobody should open -------------------------------------

_EVIL = b"cos\nsystem\n(S'touch /tmp/parallax-was-here'\ntR."
_SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/><script>alert(1)</script></svg>"

STRANGERS: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "one byte.jpg": lambda: b"\xff",
    "zeros.png": lambda: bytes(10_000),
    "spaces.jpg": lambda: b" " * 5_000,
    "noise.jpg": lambda: np.random.default_rng(2).bytes(20_000),
    "letter.txt": lambda: b"My cat is called Chelsea.\n" * 50,
    "page.html": lambda: b"<!doctype html><script>alert(1)</script>",
    "drawing.svg": lambda: _SVG,
    "entity.svg": lambda: b"<!DOCTYPE s [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><svg>&x;</svg>",
    "data.json": lambda: json.dumps({"image": "x" * 500}).encode(),
    "paper.pdf": lambda: (
        b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\n%%EOF"
    ),
    "program.eps": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n(%pipe%touch /tmp/parallax-was-here) (w) file\n",
    "pickle.jpg": lambda: _EVIL,
    "array.npy": lambda: _array(),
    "pickled array.png": lambda: pickle.dumps([1, 2, 3]),
    "archive.zip": lambda: _zip({"../../etc/passwd": b"root", "photo.jpg": b"no"}),
    "program": lambda: b"\x7fELF\x02\x01\x01" + bytes(200),
    "program.exe": lambda: b"MZ" + bytes(200),
    "script.jpg": lambda: b"#!/bin/sh\ntouch /tmp/parallax-was-here\n",
    "film.mp4": lambda: _box(b"ftyp", b"isom\0\0\0\0isommp42") + bytes(300),
    "sound.wav": lambda: b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + bytes(200),
    "database": lambda: b"SQLite format 3\0" + bytes(500),
    **{
        f"icon.{kind.lower()}": lambda kind=kind: encoded(_noisy(32, 32), kind)
        for kind in ("ICO", "PPM", "PCX", "TGA", "SGI")
    },
    "fonts.fli": lambda: struct.pack("<IHHHH", 128, 0xAF12, 3, 8, 8) + bytes(120),
    "photo.psd": lambda: b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3) + bytes(60),
    "photo.j2k": lambda: b"\xff\x4f\xff\x51" + bytes(300),
    "cursor.cur": lambda: b"\0\0\2\0\1\0" + bytes(60),
    "weather.grib": lambda: b"GRIB" + bytes(100),
    "cube.hdf": lambda: b"\x89HDF\r\n\x1a\n" + bytes(200),
}


def _array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def _polyglots(sound: dict[str, bytes]) -> Iterator[Upload]:
    archive = _zip({"photo.html": b"<script>alert(1)</script>"})
    page = b"<html><script>alert(1)</script></html>"
    for name in ("photo.jpg", "photo.png", "moving.gif", "photo.bmp", "photo.webp"):
        yield Upload(f"and a zip {name}", sound[name] + archive)
        yield Upload(f"and a page {name}", sound[name] + page)
        yield Upload(f"two pictures {name}", sound[name] + sound["photo.png"])
        yield Upload(f"after a page {name}", page + sound[name])
    yield Upload("script.gif", b"GIF89a/*" + bytes(20) + b"*/=1;alert(1);")
    yield Upload("paper.jpg", b"%PDF-1.4\n" + sound["photo.jpg"])
    yield Upload("inside a comment.jpg", _commented(sound["photo.png"][:60_000]))


NAMES = (
    "<img src=x onerror=alert(1)>.png",
    "'; DROP TABLE photographs; --.png",
    "${7*7}{{7*7}}`id`.png",
    "%2e%2e%2f%00.png",
    "..\\..\\windows\\system32.png",
    "two\nlines.png",
    "colour\x1b[31m.png",
    "right\u202egnp.exe.png",
    "\u732b" * 60 + ".png",
    "a" * 240 + ".png",
    ".png",
    "-rf.png",
    "con.png",
    "photo.png.exe",
)
"""What a sender may call a file, to do harm where it is shown, logged or opened."""
