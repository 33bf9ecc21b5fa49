"""Pictures that are not plain red, green and blue: how they are read, and what is said of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashbench.errors import UsageError
from hashbench.matching.reading import read_pictures
from hashbench.matching.sizes import Size
from support.picture_files import OWN, image, noise, only, png16, saved


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


def test_other_colors_and_phones_second_pictures_are_told_apart(tmp_path: Path) -> None:
    saved(tmp_path / "lab.tif", image().convert("LAB"))
    assert read_pictures(tmp_path, OWN).notes == ()  # its name begins as that of grey does
    both = [image(), image(seed=1)]
    saved(tmp_path / "phone.jpg", both[0], format="MPO", save_all=True, append_images=both[1:])
    (note,) = read_pictures(tmp_path, OWN).notes
    assert note.startswith("1 picture holds several frames or pages ('phone.jpg'): ")


def test_exif_that_is_no_exif_is_no_matter(tmp_path: Path) -> None:
    saved(tmp_path / "a.jpg", image(), exif=b"Exif\0\0garbage")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_pictures(tmp_path, OWN).notes == ()


def test_several_of_a_kind_are_counted(tmp_path: Path) -> None:
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        saved(tmp_path / name, image(seed=seed).convert("L"))
    note = only(read_pictures(tmp_path, OWN).notes, "grey")
    assert note == "3 pictures are grey ('a.png', ...): red, green and blue are the same there."


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
