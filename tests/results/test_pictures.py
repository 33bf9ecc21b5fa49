"""Pictures of reports: exact where they have to be, and of a stranger only what a page may show."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hashbench.errors import FileError
from hashbench.results.pictures import SIGNATURE, Size, at_most, change, png, size_of, thumbnail


def random_pixels(channels: int, height: int, width: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(channels * height + width)
    return rng.integers(0, 256, (channels, height, width)).astype(np.uint8)


def pixels(content: bytes) -> NDArray[np.uint8]:
    image = Image.open(io.BytesIO(content))
    found = np.asarray(image.convert("RGB") if image.mode == "P" else image)
    return found[np.newaxis] if found.ndim == 2 else found.transpose(2, 0, 1)


def part(name: bytes, data: bytes = b"", *, sum_: int | None = None) -> bytes:
    found = zlib.crc32(name + data) if sum_ is None else sum_
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", found)


def head(
    width: int = 2, height: int = 2, depth: int = 8, colour: int = 0, ways: bytes = bytes(3)
) -> bytes:
    return part(b"IHDR", struct.pack(">IIBB", width, height, depth, colour) + ways)


DATA = part(b"IDAT", zlib.compress(b"\0ab\0cd"))
END = part(b"IEND")
WHOLE = SIGNATURE + head() + DATA + END


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 28, 28), (3, 5, 9), (1, 1, 1)])
def test_a_png_holds_every_pixel(channels: int, height: int, width: int) -> None:
    given = random_pixels(channels, height, width)
    content = png(given)
    assert np.array_equal(pixels(content), given)
    assert size_of(content, 28) == Size(width, height, 0 if channels == 1 else 2)
    assert at_most(given, 28) is given


def test_a_pixel_of_a_smaller_picture_is_the_mean_of_those_it_stands_for() -> None:
    for channels in (1, 3):
        given = random_pixels(channels, 12, 20)
        small = at_most(given, 5)
        assert small.shape == (channels, 3, 5)
        mean = given.astype(np.float64).reshape(channels, 3, 4, 5, 4).mean(axis=(2, 4))
        # Two passes, each rounded to whole values.
        assert np.abs(small - mean).max() <= 1
    assert at_most(random_pixels(1, 1_000, 2), 10).shape == (1, 10, 1)


def test_a_thumbnail_takes_few_bytes_and_can_be_shown() -> None:
    ramp = np.add.outer(np.arange(224), np.arange(224)) / 446 * 255
    photo = np.stack([ramp, ramp[::-1], ramp.T[:, ::-1]]).astype(np.uint8)
    noise = np.random.default_rng(0).integers(-20, 21, photo.shape)
    photo = np.clip(photo + noise, 0, 255).astype(np.uint8)
    content = thumbnail(photo, 64)
    assert size_of(content, 64) == Size(64, 64, 3)
    # 64 colours: at most six bits a pixel, and the palette, where nothing can be packed.
    assert len(content) < 64 * 64 * 6 / 8 + 3 * 64 + 200
    assert np.abs(pixels(content).astype(int) - at_most(photo, 64)).mean() < 16
    grey = random_pixels(1, 28, 28)
    assert np.abs(pixels(thumbnail(grey, 64)).astype(int) - grey).max() <= 4
    # A few colours are kept as they are: their own file is the shorter one.
    assert np.array_equal(pixels(thumbnail(photo[:, :2, :2], 64)), photo[:, :2, :2])


@pytest.mark.parametrize("factor", [1.0, 127 / 8, 127 / 24, 0.498])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_change_is_the_difference_made_larger_on_grey(channels: int, factor: float) -> None:
    one, other = (random_pixels(channels, 6, size) for size in (7, 7))
    other = np.clip(one.astype(int) + np.arange(7) - 3, 0, 255).astype(np.uint8)
    found = pixels(change(png(one), png(other), factor))
    moved = 128 + factor * (other.astype(np.float64) - one)
    assert np.array_equal(found, np.clip(np.rint(moved), 0, 255))
    assert (pixels(change(png(one), png(one), factor)) == 128).all()


def test_a_picture_made_by_hand_is_one() -> None:
    assert size_of(WHOLE, 2) == Size(2, 2, 0)
    several = SIGNATURE + head() + part(b"IDAT", DATA[8:12]) + part(b"IDAT", DATA[12:-4]) + END
    assert size_of(several, 2) == Size(2, 2, 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no PNG file"),
        (b"GIF89a" + WHOLE, "no PNG file"),
        (b"<svg onload='alert(1)'/>", "no PNG file"),
        (SIGNATURE, "begin"),
        (SIGNATURE + DATA + head() + END, "begin"),
        (SIGNATURE + part(b"IHDR", b"short") + DATA + END, "begin"),
        (SIGNATURE + head(width=50_000, height=50_000) + DATA + END, "50,000 x 50,000"),
        (SIGNATURE + head(width=2**31 - 1) + DATA + END, "pixels"),
        (SIGNATURE + head(width=0) + DATA + END, "pixels"),
        (SIGNATURE + head(height=0) + DATA + END, "pixels"),
        (SIGNATURE + head(width=3) + DATA + END, "3 x 2 pixels, expected at most 2"),
        (SIGNATURE + head(depth=16) + DATA + END, "8 bits"),
        (SIGNATURE + head(colour=6) + DATA + END, "8 bits"),
        (SIGNATURE + head(ways=b"\0\0\1") + DATA + END, "8 bits"),
        (SIGNATURE + head(ways=b"\1\0\0") + DATA + END, "8 bits"),
        (SIGNATURE + head(colour=3) + DATA + END, "other parts"),
        (SIGNATURE + head() + part(b"PLTE", b"abc") + DATA + END, "other parts"),
        (SIGNATURE + head() + part(b"tEXt", b"a\0b") + DATA + END, "other parts"),
        (SIGNATURE + head() + part(b"zTXt", b"a\0\0" + zlib.compress(bytes(9))) + DATA, "other"),
        (SIGNATURE + head() + part(b"acTL", bytes(8)) + DATA + END, "other parts"),
        (SIGNATURE + head() + head() + DATA + END, "other parts"),
        (SIGNATURE + head() + END, "other parts"),
        (SIGNATURE + head() + DATA, "other parts"),
        (SIGNATURE + head() + DATA + part(b"IEND", b"more"), "other parts"),
        (WHOLE + END, "other parts"),
        (WHOLE + b"<script>", "other parts"),
        (WHOLE + b"\0", "other parts"),
        (WHOLE[:-1], "damaged"),
        (SIGNATURE + head() + part(b"IDAT", DATA[8:-4], sum_=7) + END, "damaged"),
        (SIGNATURE + head() + struct.pack(">I", 2**32 - 1) + DATA[4:] + END, "damaged"),
    ],
)
def test_what_is_no_plain_picture_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(FileError, match=words):
        size_of(content, 2)


def test_every_damaged_byte_is_found() -> None:
    for at in range(len(WHOLE)):
        damaged = bytearray(WHOLE)
        damaged[at] ^= 0x20
        with pytest.raises(FileError):
            size_of(bytes(damaged), 2)


@pytest.mark.parametrize("inside", [b"", b"nothing of zlib", zlib.compress(b"\7ab\0cd")])
def test_what_is_wrong_inside_of_a_picture_is_told(inside: bytes) -> None:
    wrong = SIGNATURE + head() + part(b"IDAT", inside) + END
    assert size_of(wrong, 2) == Size(2, 2, 0)  # nothing is inflated to find out
    with pytest.raises(FileError, match="damaged inside"):
        change(WHOLE, wrong, 1.0)


def test_no_more_is_inflated_than_a_picture_has() -> None:
    bomb = SIGNATURE + head() + part(b"IDAT", zlib.compress(bytes(10**8), 9)) + END
    assert size_of(bomb, 2) == Size(2, 2, 0)
    assert (pixels(change(bomb, bomb, 1.0)) == 128).all()
