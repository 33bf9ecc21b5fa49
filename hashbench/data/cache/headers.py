"""What the headers of an image file say, before any decoder is asked: depth, and signs of a bomb.

Pillow turns some files of 16 bits a channel into 8 without a word, and walks through headers of
any length. Reads bytes of the formats that are decoded; what is malformed is left to the decoder.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_PARTS: Final = 20_000
"""Most parts (chunks, segments, blocks, strips) of a file that are walked through."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_TEXTS: Final = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
_BRANDS: Final = 256
"""Bytes of a list of brands that are looked at."""

_FTYP: Final = {
    "AVIF": frozenset((b"avif", b"avis")),
    "HEIC": frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")),
}
_STARTS: Final = {
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    "JPEG XL": (b"\0\0\0\x0cJXL \r\n\x87\n", b"\xff\x0a"),
}
_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE: Final = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_COMMENT: Final = re.compile(rb"#[^\r\n]*[\r\n]?")
_NETPBM_HEADER: Final = 1 << 16
"""Bytes in which the header of a netpbm file ends, comments included."""

_MAX_COMMENTS: Final = 1_000
_PLAIN: Final = (b"P1", b"P2", b"P3")
_WITHOUT_MAXIMUM: Final = (b"P1", b"P4")
_WITH_MAXIMUM: Final = (b"P2", b"P3", b"P5", b"P6", b"P0CMYK", b"PyP", b"PyRGBA", b"PyCMYK")
_OFFSETS: Final = (273, 324)
"""Tags of a TIFF that say where its strips, or its tiles, lie."""

_BITS: Final = 258
_WHOLE_NUMBERS: Final = {1: "B", 3: "H", 4: "L"}
_CHANNELS: Final = 16
"""Most channels whose depth is looked at."""


class HeaderError(ValueError):
    """No sound image has such a header; the message says what is wrong, without the file's name."""


@dataclass(frozen=True)
class Header:
    """What is known before decoding.

    Attributes:
        bits: of the deepest channel; 8 where the format has no other.
        buffered: bytes a pixel that the decoder holds beside the image.
        scans: how often the decoder goes over the image.
        slow: it is decoded in Python, pixel by pixel.
    """

    bits: int = 8
    buffered: float = 0.0
    scans: int = 1
    slow: bool = False


def read_header(content: bytes) -> Header:
    """Read the header of an image file.

    Args:
        content: the file's bytes.

    Raises:
        HeaderError: it has too many parts.
    """
    if content.startswith(_PNG):
        return _png(content)
    if content.startswith(b"\xff\xd8\xff"):
        return _jpeg(content)
    if content.startswith(b"BM"):
        # Compression 1 and 2 are run lengths.
        return Header(slow=content[30:31] in (b"\1", b"\2"))
    if content.startswith(b"P"):
        return _netpbm(content)
    if content.startswith((b"II", b"MM")):
        return _tiff(content)
    if content.startswith(b"GIF8"):
        _walk_gif(content)
    return Header()


def _png(content: bytes) -> Header:
    """The deepest IHDR; a palette's depth is that of its entries, 8 bits."""
    bits, place = 8, len(_PNG)
    for _ in _parts("chunks"):
        name = content[place + 4 : place + 8]
        if len(name) < 4:
            break
        if name == b"IHDR":
            bits = max((bits, *content[place + 16 : place + 17]))
        place += 12 + int.from_bytes(content[place : place + 4])
    return Header(bits)


def other_format(content: bytes) -> str:
    """The name of a format of photographs that is not decoded; empty where it is none of these.

    Neither can be held to the room of an image by its header: the frames of AV1 and HEVC state
    sizes of their own inside, and a JPEG 2000 may be cut into as many precincts as pixels.

    Args:
        content: a file's bytes.
    """
    if content[4:8] == b"ftyp":
        brands = content[8 : int.from_bytes(content[:4])][:_BRANDS]
        known = {brands[at : at + 4] for at in range(0, len(brands), 4)}
        return next((name for name, of in _FTYP.items() if known & of), "")
    starts = ((name, start) for name, of in _STARTS.items() for start in of)
    return next((name for name, start in starts if content.startswith(start)), "")


def without_text(content: bytes) -> bytes:
    """A PNG without its texts and its colour profile; any other file as it is.

    No pixel depends on them, but Pillow unpacks them, refuses long ones, and its limit holds for
    the whole process. Where a file is malformed, the rest of it stays for the decoder to judge.

    Args:
        content: a file's bytes, whose header was read.
    """
    if not content.startswith(_PNG):
        return content
    kept, start, place = list[bytes](), 0, len(_PNG)
    for _ in _parts("chunks"):
        name = content[place + 4 : place + 8]
        after = place + 12 + int.from_bytes(content[place : place + 4])
        if len(name) < 4 or after > len(content):
            break
        if name in _TEXTS:
            kept.append(content[start:place])
            start = after
        place = after
    return b"".join([*kept, content[start:]]) if start else content


def _jpeg(content: bytes) -> Header:
    bits, components, coefficients, scans, buffered = 8, 0, 0.0, 0, False
    place = 2
    for _ in _parts("segments"):
        found = _MARKER.search(content, place)
        if found is None or content[found.end() - 1] == 0xD9:
            break
        marker, place = content[found.end() - 1], found.end()
        if marker in (0x01, 0xD8):
            continue
        segment = content[place : place + int.from_bytes(content[place : place + 2])]
        if marker in _FRAMES and len(segment) >= 8:
            bits, components = max(bits, segment[2]), segment[7]
            coefficients = _coefficients(segment[8:])
            buffered = marker in _PROGRESSIVE
        elif marker == 0xDA and len(segment) >= 3:
            scans += 1
            buffered |= segment[2] < components
        place += max(len(segment), 2)
    return Header(bits, 2 * coefficients if buffered else 0.0, max(1, scans))


def _coefficients(components: bytes) -> float:
    """Coefficients a pixel of a JPEG: 3 without subsampling, 1.5 where colours have a quarter."""
    factors = [(byte >> 4, byte & 15) for byte in components[1::3]]
    most = max((x for x, _ in factors), default=1) * max((y for _, y in factors), default=1)
    return sum(x * y for x, y in factors) / max(most, 1)


def _netpbm(content: bytes) -> Header:
    """Depth of a netpbm file, by the largest value that its header states."""
    start = content[:_NETPBM_HEADER]
    magic = start[:6].split(maxsplit=1)[0]
    if magic not in _WITHOUT_MAXIMUM + _WITH_MAXIMUM:
        return Header()
    plain = magic in _PLAIN
    if plain and content.count(b"#") > _MAX_COMMENTS:
        raise HeaderError(f"it has more than {_MAX_COMMENTS:,} comments")
    if magic in _WITHOUT_MAXIMUM:
        return Header(slow=plain)
    # A comment may stand inside a number.
    words = _COMMENT.sub(b"", start[len(magic) :]).split(maxsplit=3)
    if len(words) < 3 and len(content) > _NETPBM_HEADER:
        raise HeaderError(f"its header is longer than {_NETPBM_HEADER:,} bytes")
    try:
        most = int(words[2])
    except (IndexError, ValueError):
        return Header()
    return Header(bits=max(8, most.bit_length()), slow=plain or most != 255)


def _tiff(content: bytes) -> Header:
    """Bits a sample of the first image; counts its tags, and its strips or tiles."""
    order = "<" if content.startswith(b"II") else ">"
    big = content[2:3] == b"+"
    number, entry = (order + "Q", order + "HHQ8s") if big else (order + "L", order + "HHL4s")
    counted = order + ("Q" if big else "H")
    bits = 8
    with contextlib.suppress(struct.error, OverflowError, IndexError):  # cut off, or led nowhere
        (place,) = struct.unpack_from(number, content, 8 if big else 4)
        (count,) = struct.unpack_from(counted, content, place)
        place += struct.calcsize(counted)
        for _ in _parts("tags", count):
            tag, kind, length, value = struct.unpack_from(entry, content, place)
            place += struct.calcsize(entry)
            if tag in _OFFSETS and length > MAX_PARTS:
                raise HeaderError(f"it is in {length:,} parts, expected at most {MAX_PARTS:,}")
            if tag == _BITS and kind in _WHOLE_NUMBERS:
                values = f"{order}{min(length, _CHANNELS)}{_WHOLE_NUMBERS[kind]}"
                inside = struct.calcsize(values) <= len(value)
                at = place - len(value) if inside else struct.unpack(number, value)[0]
                bits = max((bits, *struct.unpack_from(values, content, at)))
    return Header(bits)


def _walk_gif(content: bytes) -> None:
    """Count the blocks before the first image."""
    colours = content[10] if len(content) > 10 else 0
    place = 13 + (3 << (1 + (colours & 7)) if colours & 0x80 else 0)
    parts = _parts("blocks")
    while content[place : place + 1] == b"!":
        place += 2
        while size := int.from_bytes(content[place : place + 1]):
            place += 1 + size
            next(parts)
        place += 1
        next(parts)


def _parts(what: str, count: int | None = None) -> Iterator[None]:
    """As many as there are; an error past `MAX_PARTS`."""
    for number in range(MAX_PARTS + 1 if count is None else count):
        if number == MAX_PARTS:
            raise HeaderError(f"it has more than {MAX_PARTS:,} {what}")
        yield
