"""ISCC's image code: the reference's own bits, and a replica that makes the same roundings."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from iscc_core.code_content_image import soft_hash_image_v0
from iscc_core.dct import alg_dct
from numpy.typing import NDArray
from PIL import Image

from hashbench import plugins
from hashbench.errors import UsageError
from hashbench.matching.hashers.iscc import PASSES, TOLERANCE, Iscc, border, cosines
from hashbench.testing import check_hasher
from hashbench.testing.hasher_stage import as_images, like_a_photograph

Pixels = NDArray[np.uint8]


def by_pillow(image: Image.Image, tolerance: int) -> tuple[int, int, int, int] | None:
    """The box of what differs from the upper left pixel: a table of each channel, and `getbbox`."""
    first = image.getpixel((0, 0))
    assert isinstance(first, tuple)
    table = [255 * (abs(value - one) > tolerance) for one in first for value in range(256)]
    return image.point(table).getbbox()


def trimmed(image: Image.Image) -> Image.Image:
    """What iscc-sdk 0.9.7 does, told in Pillow's words."""
    for _ in range(PASSES):
        box = by_pillow(image, TOLERANCE)
        if box is None or box == (0, 0, *image.size):
            break
        cut = (box[0] > 0) + (box[1] > 0) + (box[2] < image.width) + (box[3] < image.height)
        if cut == 1 and by_pillow(image, TOLERANCE // 2) != box:
            break
        image = image.crop(box)
    return image


@st.composite
def framed(draw: st.DrawFn) -> Pixels:
    """Few colors in frames, some nearly those of the border, and a slope or none."""
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    base = generator.integers(0, 256, 3)
    picture = np.broadcast_to(base, (height, width, 3)) + generator.integers(0, 2, (height, 1, 1))
    for _ in range(draw(st.integers(0, 3))):
        top, left = generator.integers(0, height), generator.integers(0, width)
        step = generator.choice([4, 8, 9, 16, 17, 40, 120])
        picture[top : top + generator.integers(1, 20), left : left + generator.integers(1, 20)] += (
            step
        )
    slope = draw(st.sampled_from([0, 0, 3])) * np.arange(height)[:, None, None]
    return np.clip(picture + slope, 0, 255).astype(np.uint8)


@settings(deadline=None)
@given(framed())
def test_borders_are_those_that_the_sdk_cuts(picture: Pixels) -> None:
    top, bottom, left, right = border(picture)
    expected = np.asarray(trimmed(Image.fromarray(picture)))
    np.testing.assert_array_equal(picture[top:bottom, left:right], expected)


def test_a_frame_is_cut_and_a_sky_is_not() -> None:
    picture = np.full((40, 60, 3), 250, dtype=np.uint8)
    picture[5:30, 10:50] = like_a_photograph(25, 40, seed=0) // 2
    assert border(picture) == (5, 30, 10, 50)
    sky = np.broadcast_to(np.arange(0, 200, 2, dtype=np.uint8)[:, None, None], (100, 50, 3))
    assert border(sky) == (0, 100, 0, 50)
    assert border(np.zeros((7, 9, 3), dtype=np.uint8)) == (0, 7, 0, 9)


@settings(deadline=None)
@given(st.lists(st.integers(0, 255), min_size=32, max_size=32))
def test_the_transform_rounds_as_the_reference_does(row: list[int]) -> None:
    """Bit by bit: a tie with the median is decided by rounding."""
    found = cosines(torch.tensor([row, row[::-1]], dtype=torch.float64))
    assert found.tolist() == [alg_dct(row), alg_dct(row[::-1])]


@pytest.mark.parametrize("bits", [64, 128, 192, 256])
@pytest.mark.parametrize("size", [(32, 32), (97, 131), (20, 9)])
def test_the_code_is_the_references(bits: int, size: tuple[int, int]) -> None:
    for seed in range(4):
        picture = like_a_photograph(*size, seed=seed)
        image = trimmed(Image.fromarray(picture)).convert("L")
        small = np.asarray(image.resize((32, 32), Image.Resampling.BICUBIC))
        digest = soft_hash_image_v0(small.ravel().tolist(), bits=bits)
        code = Iscc(bits=bits).verdict(picture)
        assert np.packbits(code).tobytes() == digest


@settings(deadline=None, max_examples=40)
@given(framed(), st.sampled_from([64, 256]), st.booleans())
def test_the_replica_has_the_same_bits_even_where_they_are_ties(
    picture: Pixels, bits: int, trim: bool
) -> None:
    found = Iscc(bits=bits, trim=trim)
    replica = found.replica(*picture.shape[:2])
    assert replica is not None
    values = replica(as_images((picture,)))[0].numpy()
    np.testing.assert_array_equal(values > 0, found.verdict(picture))


def test_a_framed_picture_gets_its_gradient_inside_alone() -> None:
    picture = np.full((60, 60, 3), 255, dtype=np.uint8)
    picture[10:50, 10:50] = like_a_photograph(40, 40, seed=1) // 2
    replica = Iscc().replica(60, 60)
    assert replica is not None
    point = as_images((picture,)).requires_grad_(True)
    (slope,) = torch.autograd.grad(replica(point).abs().sum(), point)
    assert slope[..., 10:50, 10:50].any()
    slope[..., 10:50, 10:50] = 0
    assert not slope.any()


def test_it_keeps_the_rules() -> None:
    check_hasher("iscc").raise_failures()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("iscc:bits=32", "bits is 32, expected one of 64, 128, 192, 256"),
        ("iscc:threshold=64", "threshold is 64, but of 64 bits it must be 0 to 63"),
    ],
)
def test_other_parameters_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        plugins.get("hasher", text)


def test_the_threshold_is_an_eighth_unless_one_is_said() -> None:
    assert [Iscc(bits=bits).threshold for bits in (64, 256)] == [8, 32]
    assert Iscc(threshold=0).threshold == 0


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name, name="iscc_core")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UsageError, match=r"needs the package iscc_core: pip install 'hashbench\["):
        Iscc()
