"""Pictures out of folders: which are read, in which order and size; by what a set is known."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hashbench.errors import UsageError
from hashbench.matching import picture_set
from hashbench.matching.png import png_of
from hashbench.matching.reading import drawn_pictures, read_pictures
from hashbench.matching.sizes import Size, values_at
from support.picture_files import OWN, image, noise, only, saved


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
    file = np.asarray(source.resize(to, Image.Resampling.BICUBIC))
    assert np.array_equal(values >> 8, file)  # the clean file is Pillow's own
    for channel in range(3):
        floats = source.getchannel(channel).convert("F").resize(to, Image.Resampling.BICUBIC)
        exact = np.asarray(floats, np.float64).clip(0, 255)
        real = ((values[:, :, channel] + 0.5) / 256 - 0.5).clip(0, 255)
        # Half of a 256th on either side; at white, what is cut off is less.
        near = np.abs(real - exact) <= 1 / 512
        # Where Pillow's rounding between its passes came out elsewhere, as near as the file allows.
        low, high = file[:, :, channel] - 0.5, file[:, :, channel] + 0.5
        moved = np.minimum(np.abs(real - low), np.abs(real - high)) <= 1 / 512
        outside = (exact <= low + 1 / 256) | (exact >= high - 1 / 256)
        assert (near | (moved & outside)).all()


def test_most_real_values_are_the_floats_themselves() -> None:
    # Far from black and white, where Pillow's passes would cut off what the next one needs.
    source = Image.fromarray(noise(97, 131) // 4 + 90)
    values = values_at(source, Size())
    floats = source.getchannel(0).convert("F").resize((256, 256), Image.Resampling.BICUBIC)
    ours = (values[:, :, 0] + 0.5) / 256 - 0.5
    # Pillow rounds after each of its two passes: half a step, grown by the second one's weights
    # (whose absolute values sum to 1.25 at most), and half a step. So no value moves further than
    # from the far end of the file's cell: below 1.7 steps.
    assert np.abs(ours - np.asarray(floats, np.float64)).max() < 1.7


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
