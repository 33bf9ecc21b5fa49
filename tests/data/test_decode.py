"""Files that are no sound images are told apart, and cost no memory; the odd ones decode."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import resource
import struct
import zlib
from io import BytesIO
from pathlib import Path
from warnings import catch_warnings, simplefilter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hashbench.data.cache import decode as room
from hashbench.data.cache.decode import BrokenImageError, read_image
from hashbench.data.cache.transform import Transform
from support.decoding import decode

SMALL = Transform(8, 8)
RGB = np.random.default_rng(3).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    content = BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 100)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "size", [(50_000, 40_000), (2_000_000_000, 1), (1, 2_000_000_000), (10_000, 10_000)]
)
def test_gigapixels_are_refused_by_their_header(size: tuple[int, int]) -> None:
    content = png_that_claims(*size)
    assert len(content) < 200
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    says = f"its header states {size[0]:,} x {size[1]:,} pixels, more than the 46,000,000 that"
    with pytest.raises(BrokenImageError, match=says):
        decode(content, SMALL)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def with_size(kind: str, width: int, height: int) -> bytes:
    """A small image whose header is made to state another size."""
    content = encoded(
        Image.fromarray(RGB).quantize() if kind == "GIF" else Image.fromarray(RGB), kind
    )
    order = ">HH" if kind == "JPEG" else "<HH"
    match kind:
        case "PPM":
            return content.replace(b"8 8", f"{width} {height}".encode(), 1)
        case "BMP":
            return content[:18] + struct.pack("<ii", width, height) + content[26:]
        case "GIF":
            place, size = 6, (width, height)
        case _:
            place, size = content.index(b"\xff\xc0") + 5, (height, width)
    return content[:place] + struct.pack(order, *size) + content[place + 4 :]


@pytest.mark.parametrize("kind", ["PPM", "BMP", "GIF", "JPEG"])
@pytest.mark.parametrize("warnings", ["default", "error"])
@pytest.mark.parametrize("size", [(50_000, 40_000), (10_000, 12_000)])
def test_the_size_is_told_whatever_pillow_says_of_it(
    kind: str, warnings: str, size: tuple[int, int]
) -> None:
    """Pillow warns of more than its limit and refuses twice of it; warnings may be errors."""
    limit = Image.MAX_IMAGE_PIXELS
    with catch_warnings():
        if warnings == "error":
            simplefilter("error")
        with pytest.raises(BrokenImageError) as caught:
            decode(with_size(kind, *size), SMALL)
    assert f"{size[0]:,} x {size[1]:,} pixels, more than" in str(caught.value)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_a_thread_of_an_image_is_refused_before_it_is_widened() -> None:
    content = encoded(Image.new("RGB", (60_000, 1)), "PNG")
    with pytest.raises(BrokenImageError, match="too long and thin"):
        decode(content, Transform(256, 224))
    assert decode(content, SMALL).size == (60_000, 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM"])
def test_every_truncation_is_found(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), kind)
    assert decode(content, SMALL).size == (40, 40)
    for share in (0.02, 0.3, 0.6, 0.9):
        with pytest.raises(BrokenImageError):
            decode(content[: int(share * len(content))], SMALL)


@given(st.binary(max_size=300))
def test_bytes_that_are_no_image(content: bytes) -> None:
    with pytest.raises(BrokenImageError):
        decode(content, SMALL)


@given(places=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=20))
def test_damage_is_an_error_or_an_image(places: list[tuple[int, int]]) -> None:
    content = bytearray(encoded(Image.fromarray(RGB), "PNG"))
    for place, value in places:
        content[place % len(content)] = value
    with contextlib.suppress(BrokenImageError):
        assert decode(bytes(content), SMALL).mode == "RGB"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no bytes"),
        (b"<html>404</html>", "no JPEG, PNG or other known image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no JPEG, PNG or other known"),
        (encoded(Image.new("I;16", (9, 9)), "PNG"), "more than 8 bits a channel"),
        (encoded(Image.new("F", (9, 9)), "TIFF"), "more than 8 bits a channel"),
    ],
)
def test_what_is_wrong_is_said(content: bytes, says: str) -> None:
    with pytest.raises(BrokenImageError, match=says):
        decode(content, SMALL)


def test_other_colours_become_rgb() -> None:
    image = Image.fromarray(RGB)
    grey = np.asarray(decode(encoded(image.convert("L"), "PNG"), SMALL))
    assert np.array_equal(grey, np.asarray(image.convert("L"))[..., np.newaxis].repeat(3, axis=2))
    palette = image.quantize(16)
    expected = np.asarray(palette.convert("RGB"))
    assert np.array_equal(np.asarray(decode(encoded(palette, "PNG"), SMALL)), expected)
    clear = encoded(palette, "PNG", transparency=bytes(range(16)))
    assert np.array_equal(np.asarray(decode(clear, SMALL)), expected)
    alpha = image.copy()
    alpha.putalpha(7)
    assert np.array_equal(np.asarray(decode(encoded(alpha, "PNG"), SMALL)), RGB)
    cmyk = encoded(image.convert("CMYK"), "JPEG", quality=95)
    with Image.open(BytesIO(cmyk)) as opened:
        assert opened.mode == "CMYK"
        assert np.array_equal(np.asarray(decode(cmyk, SMALL)), np.asarray(opened.convert("RGB")))


def test_exif_orientation_is_not_followed() -> None:
    """Nor do the papers' loaders."""
    image = Image.new("RGB", (20, 10))
    exif = image.getexif()
    exif[0x0112] = 6  # turn by 90 degrees
    assert decode(encoded(image, "JPEG", exif=exif), SMALL).size == (20, 10)


def test_a_read_image_carries_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    content = encoded(Image.fromarray(RGB), "PNG")
    path.write_bytes(content)
    found = read_image(path, SMALL, wide=True)
    assert found.digest == hashlib.sha256(content).digest()
    for pixels in (found.pixels, found.wide):
        assert pixels is not None
        assert np.array_equal(pixels, RGB.transpose(2, 0, 1))
    assert not found.fault
    assert read_image(path, SMALL, wide=False).wide is None
    known = read_image(path, SMALL, wide=True, known=found.digest)
    assert (known.digest, known.pixels, known.fault) == (found.digest, None, "")
    path.write_bytes(content[:50])
    broken = read_image(path, SMALL, wide=False)
    assert broken.digest == hashlib.sha256(content[:50]).digest()
    assert broken.pixels is None
    assert "cannot be decoded" in broken.fault


def test_only_regular_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")  # a reader that waits would never come back
    (tmp_path / "large").write_bytes(bytes(11))
    monkeypatch.setattr(room, "MAX_BYTES", 10)
    for name, says in (
        ("none", r"cannot be read \(No such file"),
        (".", "it is a folder, expected a file"),
        ("pipe", "it is a named pipe, expected a file"),
        ("large", "it has 11 bytes, expected at most 10"),
    ):
        found = read_image(tmp_path / name, SMALL, wide=False)
        assert re.match(says, found.fault)
        assert (found.pixels, found.digest) == (None, bytes(32))
