"""Image files that were made to break whoever opens them, by name. The same for the same seed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from random import Random

import numpy as np
from PIL import Image

Content = bytes | Callable[[], bytes]
"""What a file holds, or what makes it where that takes time or memory."""

KINDS: dict[str, dict[str, object]] = {
    "PNG": {},
    "JPEG": {},
    "JPEG progressive": {"progressive": True},
    "BMP": {},
    "GIF": {},
    "WEBP": {},
    "WEBP lossless": {"lossless": True},
    "TIFF": {},
    "TIFF lzw": {"compression": "tiff_lzw"},
    "TIFF jpeg": {"compression": "jpeg"},
    "TIFF zip": {"compression": "tiff_adobe_deflate"},
    "PPM": {},
}
SIDE = 40


def sound_image(kind: str, **options: object) -> bytes:
    """A file of 40 x 40 random pixels."""
    pixels = np.random.default_rng(7).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    content = BytesIO()
    Image.fromarray(pixels).save(content, kind, **options)
    return content.getvalue()


def png(
    width: int,
    height: int,
    depth: int = 8,
    colour: int = 2,
    *,
    data: bytes = b"",
    more: bytes = b"",
    interlaced: bool = False,
) -> bytes:
    """A PNG of this header; `more` are whole chunks before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + more
        + png_chunk(b"IDAT", data or zlib.compress(bytes(1000)))
        + png_chunk(b"IEND", b"")
    )


def png_chunk(name: bytes, content: bytes) -> bytes:
    """A chunk with its checksum."""
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def deep_png(colour: int) -> bytes:
    """A sound PNG of 16 bits a channel."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    row = b"\0" + struct.pack(">H", 1000) * channels * SIDE
    return png(SIDE, SIDE, 16, colour, data=zlib.compress(row * SIDE))


def bad_exif() -> bytes:
    """A sound JPEG whose EXIF block tells of more than it has."""
    block = b"Exif\0\0MM\0*\0\0\0\x08\0\x20\x01\x1a\0\x05\xff\xff\xff\xff\0\0\0\0"
    content = sound_image("JPEG", exif=block)
    length = int.from_bytes(content[4:6])
    return content[:2] + content[4 + length :]  # Pillow looks into EXIF where there is no JFIF


def tiff(entries: list[tuple[int, int, int, int]], tail: bytes = b"") -> bytes:
    """A little-endian TIFF of these tags: (tag, type, count, value)."""
    tags = b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + tags + bytes(4) + tail


def made(content: Content) -> bytes:
    """The bytes of a file."""
    return content if isinstance(content, bytes) else content()


def crafted_images(rng: Random) -> Iterator[tuple[str, Content]]:
    """Names and contents."""
    yield from _mutated(rng)
    yield from _deep()
    yield from _bombs()
    yield "empty", b""
    yield "page", b"<!doctype html><title>404 \x1b[31mNot Found</title>"
    yield "noise", rng.randbytes(5_000)
    yield "script", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(\xff) run\n"
    yield "bad-exif", bad_exif()


def _mutated(rng: Random) -> Iterator[tuple[str, bytes]]:
    for kind, options in KINDS.items():
        content = sound_image(kind.split()[0], **options)
        for number in range(3):
            damaged = bytearray(content)
            for _ in range(rng.choice((1, 4, 40))):
                near = len(damaged) if number else 60
                damaged[rng.randrange(near)] = rng.randrange(256)
            yield f"{kind}-flipped-{number}", bytes(damaged)
        yield f"{kind}-cut", content[: rng.randrange(2, len(content))]
        place = rng.randrange(4, len(content))
        yield f"{kind}-longer", content[:place] + rng.randbytes(300) + content[place:]


def _deep() -> Iterator[tuple[str, bytes]]:
    for colour in (0, 2, 4, 6):
        yield f"deep-{colour}.png", deep_png(colour)
    yield "deep.ppm", b"P6 40 40 65535\n" + bytes(6 * SIDE * SIDE)
    yield "deep-hidden.ppm", b"P6 40 40 65#\n535\n" + bytes(6 * SIDE * SIDE)
    yield "deep-plain.ppm", b"P3 40 40 1023\n" + b"1000 " * 3 * SIDE * SIDE


def _bombs() -> Iterator[tuple[str, Content]]:
    for size in ((50_000, 40_000), (2**31 - 1, 2**31 - 1), (9_459, 9_459), (46_000_000, 1)):
        yield f"states-{size[0]}x{size[1]}.png", png(*size)
    yield "just-small-enough.png", partial(_flat, 6_780, 2)
    yield "too-much-memory.png", partial(_flat, 6_780, 6)
    yield "profile.png", partial(_packed, b"iCCP")
    yield "text.png", partial(_packed, b"zTXt")
    yield "chunks.png", lambda: png(9, 9, more=png_chunk(b"tEXt", b"a\0b") * 200_000)
    yield "segments.jpg", lambda: b"\xff\xd8" + b"\xff\xfe\0\2" * 500_000 + b"\xff\xd9"
    progressive = sound_image("JPEG", progressive=True)
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    yield "scans.jpg", progressive[:-2] + scan * 3_000 + b"\xff\xd9"
    large = bytearray(progressive)
    place = large.index(b"\xff\xc2") + 5
    large[place : place + 4] = struct.pack(">HH", 6_000, 6_000)
    yield "large-scans.jpg", bytes(large[:-2]) + scan * 300 + b"\xff\xd9"
    still = sound_image("GIF")
    colours = 13 + (3 << (1 + (still[10] & 7)))
    comment = b"!\xfe" + b"\1a" * 400_000 + b"\0"
    yield "comments.gif", still[:colours] + comment + still[colours:]
    strips = [(256, 4, 1, 1), (257, 4, 1, 900_000), (258, 3, 1, 8), (273, 4, 900_000, 200)]
    yield "strips.tif", lambda: tiff(strips, bytes(4_000_000))
    yield "tags.tif", lambda: tiff([(number, 4, 2**30, 8) for number in range(60_000)])
    runs = bytearray(sound_image("BMP"))
    runs[18:26], runs[28:34] = struct.pack("<ii", 5_000, 5_000), b"\x08\0\1\0\0\0"
    yield "runs.bmp", bytes(runs[:60]) + b"\0\0" * 100_000
    yield "comments.ppm", lambda: b"P3 900 900 255\n" + b"#\n" * 400_000
    yield "slow.ppm", lambda: b"P6 4000 4000 254\n" + bytes(48_000_000)
    yield "header.ppm", lambda: b"P6 " + b"#" * 2_000_000


def _flat(side: int, colour: int) -> bytes:
    """A black square, in few bytes."""
    channels = 3 if colour == 2 else 4
    return png(side, side, colour=colour, data=zlib.compress(bytes((channels * side + 1) * side)))


def _packed(name: bytes) -> bytes:
    """A PNG with a chunk that unpacks to far more than it has."""
    return png(9, 9, more=png_chunk(name, b"a\0\0" + zlib.compress(bytes(50_000_000), 9)))
