"""Pictures out of folders: what is read, what is said of it, what is refused before any work."""

from __future__ import annotations

import hashlib
import os
import pickle
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from hashbench.errors import UsageError
from hashbench.matching import picture_set
from hashbench.matching.png import png_of
from hashbench.matching.reading import drawn_pictures, read_pictures
from hashbench.matching.sizes import Size, values_at

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


def test_pictures_come_in_the_order_of_their_names_from_all_folders(tmp_path: Path) -> None:
    for seed, name in enumerate(("b.png", "a/z.png", "a/b/c.PNG", "c.bmp")):
        saved(tmp_path / name, image(seed=seed))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"no image")
    (tmp_path / ".folder").mkdir()
    told: list[tuple[int, int]] = []
    found = read_pictures(tmp_path, OWN, progress=lambda *at: told.append(at))
    assert found.names == ("a/b/c.PNG", "a/z.png", "b.png", "c.bmp")
    assert [one.name for one in found.pictures] == list(found.names)
    for row, seed in enumerate((2, 1, 0, 3)):
        assert np.array_equal(found.pictures[row].saved, noise(70, 80, seed))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert found.notes == (
        "1 file is no image by its name, and passed over.",
        "2 hidden files or folders are passed over.",
    )
    assert found.name == tmp_path.name
    assert found.size == "own"


def test_the_order_is_that_of_whole_names(tmp_path: Path) -> None:
    # Of folders walked one by one, `a/` would come before `a-b.png`.
    for seed, name in enumerate(("a/x.png", "a-b.png", "a.png")):
        saved(tmp_path / name, image(seed=seed))
    assert read_pictures(tmp_path).names == ("a-b.png", "a.png", "a/x.png")


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    to=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 99),
)
def test_real_values_are_pillows_before_it_rounds(
    size: tuple[int, int], to: tuple[int, int], seed: int
) -> None:
    source = image(*size, seed=seed)
    values = values_at(source, Size(*to))
    if to == source.size:
        assert values.dtype == np.uint8
        assert np.array_equal(values, np.asarray(source))
        return
    assert values.dtype == np.uint16
    assert values.shape == (to[1], to[0], 3)
    for channel in range(3):
        floats = source.getchannel(channel).convert("F").resize(to, Image.Resampling.BICUBIC)
        exact = np.asarray(floats, np.float64).clip(0, 255)
        real = ((values[:, :, channel] + 0.5) / 256 - 0.5).clip(0, 255)
        # Half of a 256th on either side; at white, what is cut off is less.
        assert np.abs(real - exact).max() <= 1 / 512
        # Saving rounds half up.
        assert np.array_equal(values[:, :, channel] >> 8, np.floor(exact + 0.5))


def test_the_saved_picture_is_pillows_own_up_to_its_two_roundings() -> None:
    # Far from black and white, where Pillow's passes would cut off what the next one needs.
    source = Image.fromarray(noise(97, 131) // 4 + 90)
    ours = (values_at(source, Size()) >> 8).astype(int)
    theirs = np.asarray(source.resize((256, 256), Image.Resampling.BICUBIC)).astype(int)
    # Pillow rounds after each of its two passes: half a step, grown by the second one's weights
    # (whose absolute values sum to 1.25 at most), and half a step; we round once. Below 1.7 steps.
    assert np.abs(ours - theirs).max() <= 1


@pytest.mark.parametrize(
    ("text", "sides"), [("256x256", (256, 256)), ("512x384", (512, 384)), ("1x4096", (1, 4096))]
)
def test_sizes_are_width_and_height(text: str, sides: tuple[int, int]) -> None:
    size = Size.of(text)
    assert (size.width, size.height) == sides
    assert str(size) == text
    assert str(OWN) == "own"


@pytest.mark.parametrize(
    "text", ["", "256", "0x0", "0x5", "5x0", "4097x1", "-1x5", "1x2x3", "256X256", "9" * 50 + "x1"]
)
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="size"):
        Size.of(text)


def with_orientation(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("turn", [1, 2, 6, 8])
def test_no_picture_is_turned_by_its_exif_and_that_is_said(
    tmp_path: Path, suffix: str, turn: int
) -> None:
    options = {"quality": 100} if suffix != "webp" else {"lossless": True}
    path = saved(tmp_path / f"a.{suffix}", image(), exif=with_orientation(turn), **options)
    found = read_pictures(tmp_path, OWN)
    with Image.open(path) as opened:
        assert np.array_equal(found.pictures[0].saved, np.asarray(opened.convert("RGB")))
    assert found.pictures[0].saved.shape == (70, 80, 3)
    said = [note for note in found.notes if "EXIF" in note]
    assert len(said) == (turn != 1)
    if said:
        assert said[0] == (
            f"1 picture asks by EXIF to be turned ('a.{suffix}'): none is, since the libraries "
            "hash the pixels as they are stored."
        )


@pytest.mark.parametrize("turn", [1, 3, 6])
def test_pillow_turns_a_tiff_and_that_is_said(tmp_path: Path, turn: int) -> None:
    saved(tmp_path / "a.tif", image(), exif=with_orientation(turn))
    found = read_pictures(tmp_path, OWN)
    expected = {1: noise(70, 80), 3: np.rot90(noise(70, 80), 2), 6: np.rot90(noise(70, 80), -1)}
    assert np.array_equal(found.pictures[0].saved, expected[turn])
    if turn == 1:
        assert found.notes == ()
    else:
        assert only(found.notes, "TIFF") == (
            "1 picture is a TIFF that asks to be turned ('a.tif'): Pillow turns such files as it "
            "reads them, so a library is given them turned."
        )
        assert len(found.notes) == 1


def palette() -> Image.Image:
    return image().quantize(16)


def alpha() -> Image.Image:
    picture = image().convert("RGBA")
    picture.putalpha(7)
    return picture


@pytest.mark.parametrize(
    ("name", "make", "word"),
    [
        ("a.png", alpha, "has transparency"),
        ("a.png", lambda: image().convert("LA"), "has transparency"),
        ("a.png", palette, "has a palette"),
        ("a.gif", palette, "has a palette"),
        ("a.jpg", lambda: image().convert("CMYK"), "is in CMYK"),
        ("a.png", lambda: image().convert("L"), "is grey"),
        ("a.png", lambda: image().convert("1"), "is grey"),
        ("a.png", lambda: image(1, 1), "is of one pixel"),
        ("a.png", lambda: image(63, 500), "has a side below 64"),
    ],
)
def test_what_is_not_plain_is_read_as_pillow_does_and_said(
    tmp_path: Path, name: str, make: Callable[[], Image.Image], word: str
) -> None:
    path = saved(tmp_path / name, make())
    found = read_pictures(tmp_path, OWN)
    note = only(found.notes, word)
    assert note.startswith("1 picture ")
    assert f"('{name}'): " in note
    assert note.endswith(".")
    with Image.open(path) as opened:
        mode = opened.mode
        expected = (
            opened.convert("RGBA").convert("RGB") if mode == "RGBA" else opened.convert("RGB")
        )
    assert np.array_equal(found.pictures[0].saved, np.asarray(expected))


def test_a_plain_picture_gives_no_note(tmp_path: Path) -> None:
    saved(tmp_path / "a.jpg", image())
    assert read_pictures(tmp_path, OWN).notes == ()
    assert read_pictures(tmp_path, Size(80, 70)).notes == ()


def test_several_of_a_kind_are_counted(tmp_path: Path) -> None:
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        saved(tmp_path / name, image(seed=seed).convert("L"))
    note = only(read_pictures(tmp_path, OWN).notes, "grey")
    assert note == "3 pictures are grey ('a.png', ...): red, green and blue are the same there."


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


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_of_16_bits_the_high_byte_is_taken_in_every_colour(
    tmp_path: Path, colour: int, channels: int
) -> None:
    deep = np.random.default_rng(5).integers(0, 65_536, (70, 80, channels), dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(png16(deep, colour))
    found = read_pictures(tmp_path, OWN)
    shown = deep[:, :, :3] if channels > 2 else deep[:, :, :1].repeat(3, axis=2)
    assert np.array_equal(found.pictures[0].saved, shown // 256)
    assert only(found.notes, "16 bits").endswith("the high byte of each is taken (value // 256).")


def test_of_a_tiff_of_16_bits_too(tmp_path: Path) -> None:
    deep = np.random.default_rng(5).integers(0, 65_536, (70, 80), dtype=np.uint16)
    saved(tmp_path / "a.tif", Image.fromarray(deep))
    found = read_pictures(tmp_path, OWN)
    assert np.array_equal(found.pictures[0].saved[:, :, 1], deep // 256)
    assert only(found.notes, "16 bits")


def test_floats_and_32_bits_are_refused(tmp_path: Path) -> None:
    saved(tmp_path / "a.tif", Image.fromarray(np.zeros((9, 9), np.float32)))
    with pytest.raises(UsageError, match=r"more than 8 bits a channel"):
        read_pictures(tmp_path)


def test_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [image(seed=seed).quantize(16) for seed in (1, 2)]
    for name in ("a.gif", "b.png", "c.tif"):
        saved(tmp_path / name, frames[0], save_all=True, append_images=frames[1:])
    found = read_pictures(tmp_path, OWN)
    expected = np.asarray(frames[0].convert("RGB"))
    assert all(np.array_equal(one.saved, expected) for one in found.pictures)
    assert only(found.notes, "frames") == (
        "3 pictures hold several frames or pages ('a.gif', ...): the first is taken."
    )


def test_the_same_pictures_are_found_whatever_their_files(tmp_path: Path) -> None:
    for name, seed in (("a.png", 0), ("b.bmp", 0), ("c.png", 1), ("d/a.png", 2), ("e.png", 1)):
        saved(tmp_path / name, image(seed=seed))
    found = read_pictures(tmp_path)
    assert found.twins == ((0, 1), (2, 4))
    assert only(found.notes, "same picture") == (
        "'a.png' and 'b.bmp' are the same picture, and so are those of 1 further group: their "
        "pairs are left out of what is counted."
    )


def test_many_of_the_same_are_not_all_named(tmp_path: Path) -> None:
    for number in range(5):
        saved(tmp_path / f"{number}.png", image())
    assert read_pictures(tmp_path).twins == ((0, 1, 2, 3, 4),)
    assert only(read_pictures(tmp_path).notes, "same").startswith(
        "'0.png', '1.png', '2.png' and 2 more are the same picture: "
    )


def test_pixels_of_another_shape_are_another_picture(tmp_path: Path) -> None:
    black = np.zeros((64, 128, 3), np.uint8)
    saved(tmp_path / "a.png", Image.fromarray(black))
    saved(tmp_path / "b.png", Image.fromarray(black.reshape(128, 64, 3)))
    assert read_pictures(tmp_path, OWN).twins == ()
    assert read_pictures(tmp_path).twins == ((0, 1),)


def test_the_sum_follows_names_sizes_and_values_alone(tmp_path: Path) -> None:
    saved(tmp_path / "one/a.png", image())
    base = read_pictures(tmp_path / "one", OWN).sha256
    saved(tmp_path / "two/a.png", image(), compress_level=0)
    (tmp_path / "two/other.txt").write_text("no image")
    assert read_pictures(tmp_path / "two", OWN).sha256 == base
    saved(tmp_path / "name/b.png", image())
    saved(tmp_path / "pixels/a.png", image(seed=1))
    saved(tmp_path / "more/a.png", image())
    saved(tmp_path / "more/b.png", image())
    sums = [read_pictures(tmp_path / name, OWN).sha256 for name in ("name", "pixels", "more")]
    sums += [read_pictures(tmp_path / "one", size).sha256 for size in (Size(), Size(80, 71))]
    assert len({base, *sums}) == 6


def refused(folder: Path, *, skip_broken: bool = False, single: bool = False) -> str:
    with pytest.raises(UsageError) as caught:
        read_pictures(folder, skip_broken=skip_broken, single=single)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_what_is_no_folder_of_images_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.png", image())
    (tmp_path / "empty/below").mkdir(parents=True)
    (tmp_path / "empty/notes.txt").write_text("no image")
    missing = tmp_path / "missing"
    assert refused(missing) == f"{missing}: no such folder"
    assert refused(missing, single=True) == f"{missing}: no such folder"
    assert refused(file) == f"{file}: it is a file, expected a folder"
    message = refused(tmp_path / "empty")
    assert message.startswith(f"{tmp_path / 'empty'}: no image in it, nor in its folders;")
    assert "1 file is no image by its name" in message


def test_a_single_image_may_be_a_target(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.png", image())
    found = read_pictures(file, OWN, single=True)
    assert found.names == ("a.png",)
    assert np.array_equal(found.pictures[0].saved, noise(70, 80))
    saved(tmp_path / "b.png", image())
    assert read_pictures(tmp_path, single=True).names == ("a.png", "b.png")


def cut(kind: str) -> bytes:
    content = BytesIO()
    image().save(content, kind)
    return content.getvalue()[:-400]


BROKEN = {
    "empty": (b"", "the file has no bytes"),
    "text": (b"not an image at all", "no JPEG, PNG or other known image"),
    "cut": (cut("JPEG"), "cannot be decoded"),
    "cut PNG": (cut("PNG"), "cannot be decoded"),
    "cut TIFF": (cut("TIFF"), "cannot be decoded"),
    "gigapixels": (
        png16(np.zeros((1, 1, 3)), 2, (50_000, 40_000)),
        "its header states 50,000 x 40,000 pixels",
    ),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(12), "HEIC is not read; convert it to PNG or JPEG"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_an_image_that_cannot_be_used_is_named(tmp_path: Path, kind: str) -> None:
    content, reason = BROKEN[kind]
    saved(tmp_path / "a.png", image())
    (tmp_path / "below").mkdir()
    broken = tmp_path / "below/x.jpg"
    broken.write_bytes(content)
    message = refused(tmp_path)
    assert message.startswith(f"{broken}: ")
    assert reason in message
    assert message.endswith("; --skip-broken leaves such files out")
    found = read_pictures(tmp_path, OWN, skip_broken=True)
    assert found.names == ("a.png",)
    note = only(found.notes, "left out")
    assert note.startswith("1 image is left out, since nothing can decode it ('below/x.jpg': ")
    assert reason in note
    assert np.array_equal(found.pictures[0].saved, noise(70, 80))


def test_how_many_cannot_be_used_is_said(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(b"")
    assert refused(tmp_path, skip_broken=True).endswith(
        "2 more images of 3 cannot be used; no image is left"
    )
    saved(tmp_path / "d.png", image())
    assert refused(tmp_path) == (
        f"{tmp_path / 'a.jpg'}: the file has no bytes; 2 more images of 4 cannot be used; "
        "--skip-broken leaves such files out"
    )
    found = read_pictures(tmp_path, skip_broken=True)
    assert only(found.notes, "left out").startswith("3 images are left out, since nothing can ")


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    assert "it is a named pipe, expected a file" in refused(tmp_path)


def test_links_lead_to_files_and_not_out_of_the_folder(tmp_path: Path) -> None:
    outside = saved(tmp_path / "outside/a.png", image())
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.png").symlink_to(outside)
    assert read_pictures(folder).names == ("link.png",)
    (tmp_path / "to-folder").symlink_to(folder)
    assert read_pictures(tmp_path / "to-folder").names == ("link.png",)
    (folder / "away").symlink_to(tmp_path / "outside")
    assert refused(folder).endswith("name the folder itself that it leads to")
    (folder / "away").unlink()
    (folder / "circle").symlink_to(folder)
    assert refused(folder).endswith("a link leads back to a folder above it")


def test_names_that_steer_a_terminal_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a\x1b.png").write_bytes(b"")
    assert "holds a control character" in refused(tmp_path)


def test_pictures_are_made_when_they_are_asked_for_and_few_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(4):
        saved(tmp_path / f"{seed}.png", image(seed=seed))
    found = read_pictures(tmp_path, OWN)
    monkeypatch.setattr(picture_set, "_KEPT", 2 * 70 * 80 * 3)
    first = found.pictures[0]
    assert found.pictures[0] is first
    assert found.pictures[-4] is first
    assert [one.name for one in found.pictures[1:]] == ["1.png", "2.png", "3.png"]
    assert found.pictures[0] is not first
    with pytest.raises(IndexError):
        found.pictures[4]
    again = pickle.loads(pickle.dumps(found))  # noqa: S301 - what was written just now
    assert [one.name for one in again.pictures] == list(found.names)


def test_a_file_that_changed_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", image())
    found = read_pictures(tmp_path)
    saved(path, image(seed=1))
    with pytest.raises(UsageError, match="it has changed since the run began"):
        found.pictures[0]
    path.unlink()
    with pytest.raises(UsageError, match="it was sound when the run began; now cannot be read"):
        found.pictures[0]


def test_the_set_that_needs_no_file() -> None:
    found = drawn_pictures(OWN, count=3)
    assert found.names == ("scene-000", "scene-001", "scene-002")
    assert found.name == "scenes"
    assert found.twins == ()
    assert not found.pictures[0].is_real
    assert drawn_pictures(count=2).pictures[1].is_real
    assert len(found.notes) == 1


def test_the_sum_of_the_set_is_of_its_values(tmp_path: Path) -> None:
    drawn = drawn_pictures(OWN, count=2)
    for picture in drawn.pictures:
        (tmp_path / f"{picture.name}.png").write_bytes(png_of(picture.saved))
    read = read_pictures(tmp_path, OWN)
    digests = [hashlib.sha256(one.values.tobytes()).digest() for one in read.pictures]
    assert digests == [hashlib.sha256(one.values.tobytes()).digest() for one in drawn.pictures]
    assert read.sha256 != drawn.sha256  # their names differ
