"""Files of pictures that tests of reading write, and what they look for in the notes."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashbench.matching.sizes import Size

OWN = Size.of("own")


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def image(height: int = 70, width: int = 80, seed: int = 0) -> Image.Image:
    return Image.fromarray(noise(height, width, seed))


def saved(path: Path, picture: Image.Image, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **options)
    return path


def only(notes: tuple[str, ...], word: str) -> str:
    (found,) = (note for note in notes if word in note)
    return found


def png16(pixels: NDArray[Any], colour: int, size: tuple[int, int] | None = None) -> bytes:
    """A PNG of 16 bits, of whatever channels: Pillow writes grey ones alone."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    width, height = size or pixels.shape[1::-1]
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
