"""Pixels equal those of torchvision's transforms, which the papers' loaders call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from hashbench.data.cache.decode import read_image
from hashbench.data.cache.transform import Transform
from hashbench.errors import UsageError


def torchvision_pixels(image: Image.Image, transform: Transform) -> NDArray[np.uint8]:
    from torchvision import transforms  # type: ignore[import-untyped,unused-ignore]

    papers = transforms.Compose(
        [
            transforms.Resize(transform.resize),
            transforms.CenterCrop(transform.crop),
            transforms.PILToTensor(),
        ]
    )
    found: NDArray[np.uint8] = papers(image).numpy()
    return found


@pytest.mark.parametrize("sizes", [(256, 224), (240, 224), (97, 64), (64, 64), (300, 299)])
def test_photos_are_torchvisions(
    shared_data: Callable[[str], Path], sizes: tuple[int, int]
) -> None:
    transform = Transform(*sizes)
    photos = sorted(shared_data("coco256").rglob("*.jpg"))
    for path in photos[::8]:
        with Image.open(path) as image:
            expected = torchvision_pixels(image.convert("RGB"), transform)
        found = read_image(path, transform, wide=False).pixels
        assert found is not None
        assert np.array_equal(found, expected)


@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    resize=st.integers(1, 40),
    less=st.integers(0, 39),
)
def test_every_size_is_torchvisions(width: int, height: int, resize: int, less: int) -> None:
    transform = Transform(resize, max(1, resize - less))
    pixels = np.random.default_rng(width * 91 + height).integers(0, 256, (height, width, 3))
    image = Image.fromarray(pixels.astype(np.uint8))
    found = transform.center(transform.apply(image))
    assert np.array_equal(found, torchvision_pixels(image, transform))


@given(width=st.integers(8, 40), height=st.integers(8, 40))
def test_wide_is_the_center_of_the_resized_image(width: int, height: int) -> None:
    transform = Transform(8, 5)
    pixels = np.random.default_rng(width * 41 + height).integers(0, 256, (height, width, 3))
    resized = transform.apply(Image.fromarray(pixels.astype(np.uint8)))
    wide = transform.wide(resized)
    assert wide.shape == (3, 8, 8)
    assert np.array_equal(wide, torchvision_pixels(resized, Transform(8, 8)))


def test_images_of_their_size_are_not_resampled() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    transform = Transform.of(None, 32)
    image = Image.fromarray(pixels)
    assert transform.apply(image) is image
    assert np.array_equal(transform.center(image), pixels.transpose(2, 0, 1))


def test_sizes_not_named_are_the_papers() -> None:
    assert str(Transform.of(None, 224)) == "short side 256 bilinear, center crop 224"
    assert Transform.of(None, 64) == Transform(64, 64)
    assert Transform.of(300, 224) == Transform(300, 224)


@pytest.mark.parametrize("sizes", [(0, 0), (10, 0), (10, 11), (5000, 10), (-1, -1)])
def test_impossible_sizes_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="crop must lie from 1 to resize"):
        Transform(*sizes)
