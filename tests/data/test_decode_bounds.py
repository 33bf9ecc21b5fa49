"""What one image may cost, what depth it may have, and that nothing of it reaches the terminal."""

from __future__ import annotations

import threading
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from hashbench.data.cache import decode as room
from hashbench.data.cache.decode import BrokenImageError, read_image
from hashbench.data.cache.headers import Header, read_header
from hashbench.data.cache.quiet import warnings_unheard
from hashbench.data.cache.room import Room
from hashbench.data.cache.transform import Transform
from support.crafted_images import bad_exif, deep_png, png, sound_image, tiff
from support.decoding import decode

SMALL = Transform(8, 8)
DEEP = "more than 8 bits a channel"


def deep_tiff(bits: int, channels: int) -> bytes:
    """A TIFF of 4 x 4 zeros; Pillow reads 16 bits of colour as 8."""
    photometric = 2 if channels > 2 else 1
    entries = [
        (256, 4, 1, 4), (257, 4, 1, 4), (258, 3, channels, 200), (259, 3, 1, 1),
        (262, 3, 1, photometric), (273, 4, 1, 400), (277, 3, 1, channels), (278, 4, 1, 4),
        (279, 4, 1, 2 * channels * 16),
    ]  # fmt: skip
    if channels <= 2:
        entries[2] = (258, 3, channels, bits * (1 + 2**16 * (channels - 1)))
    start = tiff(entries)
    content = bytearray(2_000)
    content[: len(start)] = start
    content[200 : 200 + 2 * channels] = bits.to_bytes(2, "little") * channels
    return bytes(content)


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
def test_png_of_16_bits_is_refused_in_every_colour(colour: int) -> None:
    with pytest.raises(BrokenImageError, match=rf"{DEEP} \(16 bits\); convert it to 8 bits"):
        decode(deep_png(colour), SMALL)


@pytest.mark.parametrize("kind", ["P2", "P3", "P5", "P6"])
@pytest.mark.parametrize("most", [255, 256, 1_023, 65_535])
@pytest.mark.parametrize("comment", ["", "# 9 9 255\n"])
def test_netpbm_is_refused_by_the_maximum_that_it_states(
    kind: str, most: int, comment: str
) -> None:
    start = f"{kind} {comment}4 4 {comment}{most}\n".encode()
    content = start + (b"1 " * 48 if kind in ("P2", "P3") else bytes(96))
    if most == 255:
        assert decode(content, SMALL).size == (4, 4)
        return
    with pytest.raises(BrokenImageError, match=DEEP):
        decode(content, SMALL)


def test_a_comment_inside_the_maximum_hides_nothing() -> None:
    with pytest.raises(BrokenImageError, match=rf"{DEEP} \(16 bits\)"):
        decode(b"P6 4 4 65#\n535\n" + bytes(96), SMALL)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_tiff_is_refused_by_its_bits_a_sample(channels: int) -> None:
    with pytest.raises(BrokenImageError, match=DEEP):
        decode(deep_tiff(16, channels), SMALL)
    if channels in (1, 3):
        assert decode(deep_tiff(8, channels), SMALL).size == (4, 4)


def test_a_jpeg_of_12_bits_is_refused_for_its_depth() -> None:
    content = bytearray(sound_image("JPEG"))
    content[content.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(BrokenImageError, match=rf"{DEEP} \(12 bits\)"):
        decode(bytes(content), SMALL)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM"])
@pytest.mark.parametrize("clear", [None, 0, b"\0\x80"])
def test_pixels_are_those_of_pillows_conversion(
    mode: str, kind: str, clear: int | bytes | None
) -> None:
    """Whatever is spared on the way: the same as `convert("RGB")`, clear colours or none."""
    pixels = np.random.default_rng(4).integers(0, 256, (20, 24, 4), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    content = BytesIO()
    try:
        image.save(content, kind, **({} if clear is None else {"transparency": clear}))
    except (OSError, ValueError, TypeError, KeyError):
        return  # the format has no such mode
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(BytesIO(content.getvalue())) as opened:
            expected = np.asarray(opened.convert("RGBA").convert("RGB"))
            plain = np.asarray(opened.convert("RGB"))
    if mode not in ("CMYK", "YCbCr"):
        assert np.array_equal(expected, plain)
    assert np.array_equal(np.asarray(decode(content.getvalue(), SMALL)), plain)


@pytest.mark.parametrize("action", ["default", "always", "error"])
@pytest.mark.parametrize("name", ["exif", "apng", "bomb", "tiff"])
def test_no_warning_of_pillow_is_heard_whatever_is_asked_for(
    action: str, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    content = {
        "exif": bad_exif(),
        "apng": sound_image("PNG").replace(b"IDAT", b"acTL\0\0\0\0IDAT", 1),
        "bomb": png(10_000, 10_000),
        "tiff": sound_image("TIFF")[:-30],
    }[name]
    if name in ("exif", "bomb"):
        with pytest.warns(Warning, match="Tag data larger|Image size"):
            Image.open(BytesIO(content)).close()
    with warnings.catch_warnings():
        warnings.simplefilter(action)  # type: ignore[arg-type]
        if name == "exif":
            assert decode(content, SMALL).size == (40, 40)
        else:
            with pytest.raises(BrokenImageError):
                decode(content, SMALL)
    assert capfd.readouterr() == ("", "")


def test_libtiff_writes_nothing_while_a_tiff_is_decoded(
    capfd: pytest.CaptureFixture[str],
) -> None:
    content = bytearray(sound_image("TIFF", compression="tiff_adobe_deflate"))
    content[8:40] = bytes(32)
    with pytest.raises(BrokenImageError):
        decode(bytes(content), SMALL)
    assert capfd.readouterr() == ("", "")


def test_other_threads_are_heard_while_one_decodes() -> None:
    inside, done = threading.Event(), threading.Event()

    def decoding() -> None:
        with warnings_unheard():
            warnings.warn("of the thread that decodes", UserWarning, stacklevel=1)
            inside.set()
            done.wait(20)

    thread = threading.Thread(target=decoding)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        thread.start()
        assert inside.wait(20)
        warnings.warn("of another", UserWarning, stacklevel=1)
        done.set()
        thread.join(20)
        warnings.warn("of another, later", UserWarning, stacklevel=1)
    assert [str(one.message) for one in heard] == ["of another", "of another, later"]
    with warnings_unheard(), warnings_unheard():
        pass
    with pytest.warns(UserWarning, match="of this thread, afterwards"):
        warnings.warn("of this thread, afterwards", UserWarning, stacklevel=1)


def test_a_file_of_exactly_the_room_is_decoded_and_one_byte_more_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An image of 40 x 40 in RGB takes 4 bytes a pixel, and as its resize 4 x 8 x (40 + 8)."""
    content = sound_image("PNG")
    needed = len(content) + 4 * 40 * 40 + 4 * 8 * (40 + 8)
    monkeypatch.setattr(room, "MAX_MEMORY", needed)
    assert decode(content, SMALL).size == (40, 40)
    monkeypatch.setattr(room, "MAX_MEMORY", needed - 1)
    with pytest.raises(BrokenImageError, match=r"40 x 40 pixels of this kind .* MB to decode"):
        decode(content, SMALL)


@pytest.mark.parametrize(
    ("options", "coefficients"),
    [
        ({"progressive": True, "subsampling": 0}, 3.0),
        ({"progressive": True, "subsampling": 2}, 1.5),
        ({"progressive": False}, 0.0),
    ],
)
def test_a_progressive_jpeg_takes_its_coefficients_too(
    options: dict[str, object], coefficients: float
) -> None:
    header = read_header(sound_image("JPEG", **options))
    assert header.buffered == 2 * coefficients
    assert (header.scans > 1) == (coefficients > 0)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (png(46_000_001, 1), "more than the 46,000,000 that"),
        (b"P3 1001 1000 255\n", "decoded slowly"),
        (b"P6 1001 1000 254\n", "decoded slowly"),
        (b"P3 9 9 255\n" + b"#\n" * 1_001, "more than 1,000 comments"),
        (b"P6 " + b"#" * 70_000, "its header is longer"),
        (b"\xff\xd8" + b"\xff\xfe\0\2" * 20_001, "more than 20,000 segments"),
        (b"GIF89a" + bytes(7) + b"!\xfe" + b"\1a" * 20_001 + b"\0", "more than 20,000 blocks"),
        (tiff([(273, 4, 20_001, 8)]), "it is in 20,001 parts"),
        (tiff([(9, 4, 1, 8)] * 20_001), "more than 20,000 tags"),
    ],
)
def test_what_would_take_long_is_refused_by_its_header(content: bytes, says: str) -> None:
    with pytest.raises(BrokenImageError, match=says):
        decode(content, Transform(1, 1))


def test_too_many_scans_of_a_large_image_are_refused() -> None:
    content = bytearray(sound_image("JPEG", progressive=True))
    scans = read_header(bytes(content)).scans
    place = content.index(b"\xff\xc2") + 5
    side = 4_400
    content[place : place + 4] = side.to_bytes(2) * 2
    scan = bytes(content[content.rindex(b"\xff\xda") : -2])
    many = room.MAX_WORK // side**2 + 1 - scans
    with pytest.raises(BrokenImageError, match="passes over 19,360,000 pixels is too much work"):
        decode(bytes(content[:-2]) + scan * many + b"\xff\xd9", SMALL)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "PPM", "BMP", "WEBP"])
def test_headers_that_are_cut_anywhere_are_left_to_the_decoder(kind: str) -> None:
    content = sound_image(kind)
    for end in range(min(len(content), 400)):
        assert isinstance(read_header(content[:end]), Header)


def test_the_room_is_never_overfull_and_everybody_gets_in() -> None:
    place, held, most, lock = Room(10), 0, 0, threading.Lock()
    entered = []

    def use(amount: int) -> None:
        nonlocal held, most
        with place.taken(amount):
            with lock:
                held += min(amount, 10)
                most = max(most, held)
                entered.append(amount)
            threading.Event().wait(0.001)
            with lock:
                held -= min(amount, 10)

    amounts = [1, 4, 10, 7, 3, 25, 2] * 8  # more than there is means all of it
    threads = [threading.Thread(target=use, args=(amount,)) for amount in amounts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(entered) == sorted(amounts)
    assert most <= 10


def test_images_are_decoded_within_the_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large image waits until those that are being decoded are done."""
    asked: list[int] = []

    class Watched(Room):
        def taken(self, amount: int):  # type: ignore[no-untyped-def]
            asked.append(amount)
            return super().taken(amount)

    monkeypatch.setattr(room, "_ROOM", Watched(room.MAX_MEMORY))
    content = sound_image("PNG")
    (tmp_path / "a.png").write_bytes(content)
    assert read_image(tmp_path / "a.png", SMALL, wide=False).pixels is not None
    assert asked == [len(content) + 4 * 40 * 40 + 4 * 8 * (40 + 8)]


def test_pillow_still_bounds_the_tags_of_a_tiff() -> None:
    """What the walk over a TIFF leaves to Pillow: tags that all point at the same bytes."""
    tags = ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    entries = b"".join(
        tag.to_bytes(2, "little") + b"\1\0" + (90_000).to_bytes(4, "little") + bytes(4)
        for tag in range(1, 200)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tags.load(BytesIO(len(entries).to_bytes(2, "little") + entries + bytes(100_000)))
    assert sum(map(len, tags._tagdata.values())) <= 110_000
