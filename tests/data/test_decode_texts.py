"""Texts beside the pixels of a PNG cost nothing; formats that are not read are told by name."""

from __future__ import annotations

import json
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, features

from hashbench.data.cache import index
from hashbench.data.cache.decode import BrokenImageError
from hashbench.data.cache.entries import decoded_images
from hashbench.data.cache.headers import MAX_PARTS, HeaderError, other_format, without_text
from hashbench.data.cache.index import ImageFiles
from hashbench.data.cache.transform import Transform
from support.crafted_images import png_chunk, sound_image
from support.decoding import decode

SMALL = Transform(8, 8)
LONG = b"x" * (PngImagePlugin.MAX_TEXT_CHUNK + 1)
TEXTS = {
    "tEXt": b"Comment\0" + LONG,
    "zTXt": b"Comment\0\0" + zlib.compress(LONG),
    "iTXt": b"Comment\0\1\0\0\0" + zlib.compress(LONG),
    "iCCP": b"profile\0\0" + zlib.compress(LONG),
}
HEADER = 8 + 12 + 13


def between(content: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks behind its header."""
    return content[:HEADER] + b"".join(chunks) + content[HEADER:]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("mode", ["RGB", "P", "LA", "1"])
def test_long_texts_change_no_pixel(name: str, mode: str) -> None:
    content = BytesIO()
    Image.open(BytesIO(sound_image("PNG"))).convert(mode).save(content, "PNG")
    plain = content.getvalue()
    chunk = png_chunk(name.encode(), TEXTS[name])
    last = plain.index(b"IEND") - 4
    for long in (between(plain, chunk), plain[:last] + chunk + plain[last:]):
        assert without_text(long) == plain
        assert np.array_equal(np.asarray(decode(long, SMALL)), np.asarray(decode(plain, SMALL)))


def test_pillow_alone_would_refuse_one_and_its_limit_stays() -> None:
    limits = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
    long = between(sound_image("PNG"), png_chunk(b"zTXt", TEXTS["zTXt"]))
    with pytest.raises(ValueError, match="Decompressed data too large"):
        Image.open(BytesIO(long)).load()
    assert decode(long, SMALL).size == (40, 40)
    assert limits == (PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY)


def test_a_bomb_of_text_is_not_unpacked() -> None:
    """A gigabyte in a megabyte: Pillow's readers are never shown it."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1024)) + packer.flush()
    long = between(sound_image("PNG"), png_chunk(b"iCCP", b"p\0\0" + packed))
    assert decode(long, SMALL).size == (40, 40)


def test_a_file_without_texts_is_not_copied() -> None:
    for content in (sound_image("PNG"), sound_image("JPEG"), b"", b"\x89PNG\r\n\x1a\n"):
        assert without_text(content) is content


def test_chunks_that_pixels_may_depend_on_stay() -> None:
    sound = sound_image("PNG")
    for name in (b"tRNS", b"PLTE", b"gAMA", b"acTL", b"fcTL", b"eXIf"):
        content = between(sound, png_chunk(name, b"abc"))
        assert without_text(content) == content


def test_what_is_cut_off_stays_for_the_decoder_to_judge() -> None:
    long = between(sound_image("PNG"), png_chunk(b"tEXt", b"Comment\0short"))
    for end in range(len(long)):
        lean = without_text(long[:end])
        assert len(lean) in (end, end - 25)
        with pytest.raises(BrokenImageError):
            decode(long[: min(end, len(long) - 200)], SMALL)


def test_too_many_chunks_are_too_many() -> None:
    many = between(sound_image("PNG"), *[png_chunk(b"tEXt", b"a\0b")] * (MAX_PARTS + 1))
    with pytest.raises(HeaderError, match="more than 20,000 chunks"):
        without_text(many)
    with pytest.raises(BrokenImageError, match="more than 20,000 chunks"):
        decode(many, SMALL)


def brands(*names: bytes) -> bytes:
    content = names[0] + bytes(4) + b"".join(names[1:])
    return (8 + len(content)).to_bytes(4) + b"ftyp" + content + bytes(40)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (brands(b"avif", b"mif1"), "AVIF"),
        (brands(b"mif1", b"avif"), "AVIF"),
        (brands(b"heic", b"mif1"), "HEIC"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "JPEG 2000"),
        (b"\xff\x4f\xff\x51" + bytes(40), "JPEG 2000"),
        (b"\xff\x0a" + bytes(40), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL"),
    ],
)
def test_a_photograph_of_another_format_is_told_by_its_name(content: bytes, name: str) -> None:
    assert other_format(content) == name
    with pytest.raises(BrokenImageError, match=f"{name} is not read; convert it to PNG or JPEG"):
        decode(content, SMALL)


@pytest.mark.parametrize(("kind", "feature"), [("AVIF", "avif"), ("JPEG2000", "jpg_2000")])
def test_pillow_s_own_files_are_known(kind: str, feature: str) -> None:
    if not features.check(feature):
        pytest.skip(f"this Pillow writes no {kind}")
    assert other_format(sound_image(kind)).replace(" ", "") == kind


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "PPM", "BMP", "WEBP"])
def test_what_is_read_is_none_of_them(kind: str) -> None:
    assert other_format(sound_image(kind)) == ""
    assert other_format(brands(b"isom", b"mp42")) == ""


def test_what_an_earlier_version_refused_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pixels of other files stay as they are."""
    monkeypatch.setenv("HASHBENCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes(sound_image("PNG"))
    (folder / "b.png").write_bytes(between(sound_image("PNG"), png_chunk(b"zTXt", TEXTS["zTXt"])))
    files = ImageFiles(folder.resolve(), ("a.png", "b.png"), SMALL)
    monkeypatch.setattr("hashbench.data.cache.decode.without_text", lambda content: content)
    monkeypatch.setattr(index, "RULES", 1)
    before = decoded_images(files)
    assert list(before.faults) == [1]
    assert decoded_images(files).faults == before.faults
    monkeypatch.undo()
    monkeypatch.setenv("HASHBENCH_CACHE", str(tmp_path / "cache"))
    after = decoded_images(files)
    assert after.faults == {}
    first, second = (np.asarray(after.pixels.select(np.array([row]))[:]) for row in (0, 1))
    assert np.array_equal(first, second)
    assert np.array_equal(first, np.asarray(before.pixels.select(np.array([0]))[:]))


def test_an_index_of_before_there_were_rules_is_one_of_an_earlier_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HASHBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "a.png").write_bytes(sound_image("PNG"))
    (tmp_path / "b.png").write_bytes(b"no image")
    files = ImageFiles(tmp_path.resolve(), ("a.png", "b.png"), SMALL)
    decoded_images(files)
    (path,) = (tmp_path / "cache").rglob(index.INDEX)
    with np.load(path, allow_pickle=False) as arrays:
        kept = dict(arrays)
    card = json.loads(str(kept["card"]))
    del card["rules"]
    np.savez(path, **(kept | {"card": np.array(json.dumps(card))}))
    found = index.read_index(path.parent, files)
    assert found is not None
    assert found.stamps[1].tolist() == [index._NEVER] * 3
    assert (found.stamps[0] >= 0).all()
    assert list(decoded_images(files).faults) == [1]
    again = index.read_index(path.parent, files)
    assert again is not None
    assert (again.stamps >= 0).all()
