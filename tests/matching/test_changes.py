"""Innocent changes: closed forms where there are some, and pictures of every size."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hashbench.matching.changes import (
    CHANGES,
    Blur,
    Border,
    Change,
    Crop,
    Flip,
    Gamma,
    Jpeg,
    Noise,
    Resize,
    Rotate,
    Text,
)
from hashbench.matching.pictures import Picture
from hashbench.results.matches import metrics

sides = st.integers(1, 70)
sizes = st.tuples(sides, sides)
every_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: str(change.text))


def picture_of(size: tuple[int, int], seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (*size, 3), dtype=np.uint8)


def smooth(height: int = 96, width: int = 128) -> Any:
    """Soft ramps of color, which no honest change turns into something else."""
    y, x = np.mgrid[:height, :width]
    red, green = 255 * y / (height - 1), 255 * x / (width - 1)
    return np.stack([red, green, 127.5 + 0 * red], axis=2).astype(np.uint8)


def test_the_names_are_what_tables_say() -> None:
    assert [change.text for change in CHANGES] == [
        *(f"jpeg:quality={quality}" for quality in (95, 85, 75, 50, 30, 10)),
        *(f"resize:percent={percent}" for percent in (25, 50, 75, 200)),
        *(f"crop:percent={percent}" for percent in (1, 5, 10, 20)),
        *(f"rotate:degrees={degrees}" for degrees in (1, 5, 15)),
        "flip",
        *(f"blur:radius={radius}" for radius in (1, 2)),
        *(f"gamma:exponent={exponent}" for exponent in ("0.8", "1.25")),
        *(f"noise:sigma={sigma}" for sigma in (2, 5, 10)),
        "border:percent=5",
        "text",
    ]
    for change in CHANGES:
        assert metrics.change_of(metrics.of_change(change.text)) == change.text


@every_change
@settings(max_examples=25)
@given(sizes)
def test_any_size_gives_a_picture_and_the_same_one_twice(
    change: Change, size: tuple[int, int]
) -> None:
    clean = picture_of(size)
    kept = clean.copy()
    clean.flags.writeable = False
    found = change.apply(clean, "a/b.png", 7)
    assert Picture("changed", found).saved.dtype == np.uint8  # a picture, by its own checks
    assert found.flags.c_contiguous
    assert np.array_equal(found, change.apply(kept, "a/b.png", 7))
    assert np.array_equal(clean, kept)


@every_change
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2), (3, 5000)])
def test_odd_shapes(change: Change, size: tuple[int, int]) -> None:
    Picture("changed", change.apply(picture_of(size), "", 0))


@every_change
def test_a_photograph_is_changed_and_can_still_be_told(change: Change) -> None:
    clean = smooth()
    found = change.apply(clean, "ramp", 0)
    assert found.shape != clean.shape or (found != clean).any()
    if change in (Flip(), Rotate(15)):
        return  # these move what was at a place
    back = np.asarray(Image.fromarray(found).resize((128, 96)), dtype=np.float64)
    # Unrelated ramps differ by 255 / 3 in two channels of three: this is half of that.
    assert np.abs(back - clean).mean() < 255 / 9


IDENTITIES = [Resize(100), Crop(0), Rotate(0), Blur(0), Gamma(1.0), Noise(0), Border(0)]


@pytest.mark.parametrize("change", IDENTITIES, ids=lambda change: str(change.text))
@given(size=sizes)
def test_no_strength_changes_nothing(change: Change, size: tuple[int, int]) -> None:
    clean = picture_of(size)
    assert np.array_equal(change.apply(clean, "x", 0), clean)


@given(sizes)
def test_flips_and_half_turns_undo_themselves(size: tuple[int, int]) -> None:
    clean = picture_of(size)
    for change in (Flip(), Rotate(180)):
        assert np.array_equal(change.apply(change.apply(clean, "x", 0), "x", 1), clean)
    assert np.array_equal(Flip().apply(clean, "x", 0)[:, 0], clean[:, -1])


@given(sizes, st.integers(1, 99))
def test_what_a_crop_keeps(size: tuple[int, int], percent: int) -> None:
    clean = picture_of(size)
    found = Crop(percent).apply(clean, "x", 0)
    gone = [before - after for before, after in zip(size, found.shape, strict=False)]
    assert gone == [math.floor(percent * side / 100 + 1e-9) for side in size]
    top, left = gone[0] // 2, gone[1] // 2
    inside = clean[top : top + found.shape[0], left : left + found.shape[1]]
    assert np.array_equal(found, inside)


@given(sizes, st.integers(1, 100))
def test_what_a_border_adds(size: tuple[int, int], percent: int) -> None:
    clean = picture_of(size)
    found = Border(percent).apply(clean, "x", 0)
    frame = percent * min(size) // 100
    assert found.shape == (size[0] + 2 * frame, size[1] + 2 * frame, 3)
    inside = found[frame : frame + size[0], frame : frame + size[1]]
    assert np.array_equal(inside, clean)
    assert int(found.sum(dtype=np.int64)) == int(clean.sum(dtype=np.int64))  # the frame is black


@given(sizes, st.integers(1, 400))
def test_resizing_gives_the_share_of_each_side(size: tuple[int, int], percent: int) -> None:
    found = Resize(percent).apply(picture_of(size), "x", 0)
    for side, new in zip(size, found.shape, strict=False):
        assert new >= 1
        assert abs(100 * new - percent * side) <= 50 or new == 1


@pytest.mark.parametrize("make", [Blur, Resize, Jpeg])
@given(value=st.integers(0, 255), size=sizes)
def test_one_color_stays_one_color(make: Callable[[int], Change], value: int, size: Any) -> None:
    """Means of equal values are that value; JPEG has 8 x 8 blocks without any wave."""
    grey = np.full((*size, 3), value, dtype=np.uint8)
    found = make(50).apply(grey, "x", 0)
    assert found.min() == found.max()
    # The table of quality 50 divides a block's sum over eight by 16: 2 steps of a mean at most 1.
    assert abs(int(found.min()) - value) <= (1 if make is Jpeg else 0)


@pytest.mark.parametrize("exponent", [0.8, 1.25])
def test_gamma_is_a_curve_that_no_rounding_of_a_machine_can_move(exponent: float) -> None:
    change = Gamma(exponent)
    levels = np.arange(256, dtype=np.uint8)
    found = change.apply(np.repeat(levels[None, :, None], 3, axis=2), "x", 0)[0, :, 0]
    curve = [255 * math.pow(level / 255, exponent) for level in range(256)]
    # Powers differ between machines by a few units in the last place, 1e-13 here at most.
    assert min(abs(value % 1 - 0.5) for value in curve) > 1e-6
    assert found.tolist() == [math.floor(value + 0.5) for value in curve]
    assert (found[0], found[255]) == (0, 255)


def test_noise_is_drawn_for_each_picture_and_has_its_size() -> None:
    grey = np.full((200, 300, 3), 128, dtype=np.uint8)
    first = Noise(5).apply(grey, "one", 0)
    for name, seed, sigma in (("two", 0, 5), ("one", 1, 5), ("one", 0, 10)):
        assert not np.array_equal(first, Noise(sigma).apply(grey, name, seed))
    noise = first.astype(np.float64) - 128
    # 180,000 draws; rounding adds 1/12 to the variance. Five standard errors each.
    count, variance = noise.size, 25 + 1 / 12
    assert abs(noise.mean()) < 5 * math.sqrt(variance / count)
    assert abs(noise.var() - variance) < 5 * variance * math.sqrt(2 / count)


def test_noise_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    clean = picture_of((40, 30))
    whole = Noise(5).apply(clean, "x", 0)
    monkeypatch.setattr("hashbench.matching.changes._DRAWN", 70)
    assert np.array_equal(Noise(5).apply(clean, "x", 0), whole)


def test_noise_leaves_the_global_state_alone() -> None:
    before = repr(np.random.get_state(legacy=False))  # noqa: NPY002
    Noise(5).apply(picture_of((4, 4)), "x", 0)
    assert repr(np.random.get_state(legacy=False)) == before  # noqa: NPY002


def test_words_stand_on_the_left_of_the_bottom() -> None:
    grey = np.full((256, 256, 3), 100, dtype=np.uint8)
    found = Text().apply(grey, "x", 0)
    rows, columns = np.nonzero((found != 100).any(axis=2))
    assert set(np.unique(found)) == {0, 100, 255}
    assert rows.min() > 200
    assert columns.min() < 8
    assert 64 <= int(columns.max() - columns.min()) <= 136
    # The shadow is the letters, one stroke further down and right: letters cover part of it.
    assert 0 < (found == 0).sum() <= (found == 255).sum()


def test_the_letters_are_these_wherever_pillow_is() -> None:
    """The bitmap comes with Pillow: the ink of each row, from the top."""
    white = (Text().apply(np.full((60, 90, 3), 9, np.uint8), "x", 0) == 255).all(axis=2)
    assert [int(row.sum()) for row in white if row.any()] == [47, 32, 30, 29, 32, 46]


def test_jpeg_is_lossy_by_its_quality() -> None:
    clean = picture_of((64, 64))
    errors = [
        float(np.abs(Jpeg(quality).apply(clean, "x", 0).astype(int) - clean).mean())
        for quality in (95, 75, 30, 10)
    ]
    assert errors == sorted(errors)


def test_a_picture_that_no_jpeg_holds_stays() -> None:
    wide = picture_of((1, 65_501))
    assert np.array_equal(Jpeg(50).apply(wide, "x", 0), wide)
    assert Jpeg(50).apply(wide[:, :-1], "x", 0).shape == (1, 65_500, 3)


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (Jpeg, 0),
        (Jpeg, 101),
        (Resize, 0),
        (Crop, 100),
        (Crop, -1),
        (Rotate, 181),
        (Blur, -1),
        (Gamma, 0),
        (Gamma, math.nan),
        (Noise, -1),
        (Border, 101),
    ],
)
def test_strengths_that_are_none(make: Callable[[Any], Change], value: float) -> None:
    with pytest.raises(ValueError, match=r"[a-z]+:[a-z]+=.*: expected a value from"):
        make(value)
