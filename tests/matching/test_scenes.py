"""The pictures that ship: the same everywhere, and much like photographs to a hash."""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from hashbench.matching.reading import drawn_pictures
from hashbench.matching.scenes import COUNT, HEIGHT, WIDTH, scene

FIRST = "32f9cfee3db670b0be26095b124067d10ee8bca397c10cdb07a809eb8f4ae5ba"


@cache
def scenes(count: int) -> tuple[NDArray[np.uint8], ...]:
    return tuple(scene(number) for number in range(count))


def test_a_scene_is_the_same_bytes_everywhere() -> None:
    digest = hashlib.sha256(b"".join(one.tobytes() for one in scenes(3))).hexdigest()
    assert digest == FIRST


def test_a_scene_does_not_depend_on_those_before() -> None:
    assert np.array_equal(scene(2), scenes(3)[2])


def test_scenes_are_colored_pictures_of_a_size() -> None:
    for one in scenes(8):
        assert one.shape == (HEIGHT, WIDTH, 3)
        assert one.dtype == np.uint8
        assert min(HEIGHT, WIDTH) >= 384
        grey = one.astype(int).mean(axis=2)
        assert np.abs(one - grey[:, :, None]).mean() > 3  # not grey
        assert 20 < one.mean() < 235
        assert one.std() > 15
        assert np.mean((one == 0) | (one == 255)) < 0.5


def slope(picture: NDArray[np.uint8]) -> float:
    """The power with which the spectrum falls over the frequency."""
    grey = picture[:384, :384].astype(float).mean(axis=2)
    window = np.hanning(384)
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window[:, None] * window)) ** 2
    along = np.fft.fftfreq(384, 1 / 384)
    rings = np.hypot(along[:, None], along).astype(int).ravel()
    rings_power = np.bincount(rings, power.ravel()) / np.bincount(rings)
    ring = np.arange(4, 100)
    return float(np.polyfit(np.log(ring), np.log(rings_power[4:100]), 1)[0])


def test_the_spectrum_falls_as_that_of_photographs() -> None:
    # Of the photographs of COCO: 2.6 on the mean, with a standard deviation of 0.33.
    slopes = [slope(one) for one in scenes(8)]
    assert min(slopes) > -3.5
    assert max(slopes) < -1.5


@pytest.mark.slow
def test_pdq_takes_every_scene_and_no_two_match() -> None:
    pdqhash = pytest.importorskip("pdqhash")
    found = drawn_pictures()
    codes, qualities = zip(*(pdqhash.compute(one.saved) for one in found.pictures), strict=True)
    assert len(found.names) == COUNT == 64
    assert min(qualities) >= 50
    bits = np.array(codes)
    distances = (bits[:, None] != bits[None]).sum(axis=2)[np.triu_indices(COUNT, 1)]
    assert distances.min() > 2 * 31  # no picture lies within the threshold of two others
    # Independent fair bits: 128 on the mean; of 2,016 pairs the mean is known to 8 / sqrt(64).
    assert abs(distances.mean() - 128) < 4
