"""Answers in whole pixels: the nearest 255th inside the ball, by enumeration of all of them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashbench.attacking import Eps, Threat
from hashbench.data import PixelValues
from hashbench.hashing.encode import as_images

EPS = ("0", "1/510", "1/256", "1/255", "0.031", "8/255", "17/510", "0.5", "1")


def whole(eps: str) -> Threat:
    return Threat(Eps.parse(eps), PixelValues.EIGHT_BIT)


def is_nearest_in_the_ball(
    level: NDArray[np.float64], perturbed: NDArray[np.float64], clean: NDArray[np.int64], eps: str
) -> NDArray[np.bool_]:
    """Whether no level of ball and box is nearer, each of (N,); all 256 are tried, exactly.

    A float32 times 255 has 32 digits, which a double holds; so nothing is rounded.
    """
    every = np.arange(256)
    radius = Eps.parse(eps).fraction
    far = [distance for distance in range(256) if Fraction(distance, 255) > radius]
    outside = np.isin(np.abs(every[:, None] - clean), far)
    away = np.where(outside, np.inf, np.abs(every[:, None] - 255 * perturbed))
    inside = ~np.isin(np.abs(level - clean), far)
    nearest: NDArray[np.bool_] = inside & (np.abs(level - 255 * perturbed) == away.min(axis=0))
    return nearest


@pytest.mark.parametrize("eps", EPS)
def test_every_level_goes_to_the_nearest_one_of_ball_and_box(eps: str) -> None:
    clean = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1)
    images = as_images(clean, torch.device("cpu"))
    for share in (0, 0.3, 0.49, 0.51, 1):
        for side in (-1, 1):
            threat = Threat(Eps.parse(eps))
            moved = threat.project(images + side * share * threat.radius, images)
            found = whole(eps).settled(moved, images)
            levels = (found * 255).round().to(torch.uint8).numpy()
            assert torch.equal(found, as_images(levels, torch.device("cpu")))
            assert is_nearest_in_the_ball(
                levels.ravel().astype(np.float64),
                moved.double().numpy().ravel(),
                clean.ravel().astype(np.int64),
                eps,
            ).all()


@settings(deadline=None)
@given(eps=st.sampled_from(EPS), seed=st.integers(0, 2**32 - 1))
def test_it_is_idempotent_stays_in_the_ball_and_never_moves_a_whole_image_of_it(
    eps: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    clean = rng.integers(0, 256, (3, 2, 4, 4), dtype=np.uint8)
    images = as_images(clean, torch.device("cpu"))
    threat = whole(eps)
    found = threat.settled(torch.rand(images.shape) * 3 - 1, images)
    levels = (found.double() * 255).round()
    # The grid's ball: floor(255 eps) levels to each side.
    assert float((levels - torch.from_numpy(clean)).abs().max()) <= Eps.parse(eps).fraction * 255
    assert torch.equal(threat.settled(found, images), found)


@pytest.mark.parametrize("eps", ["0", "1/510", "1/256", "0.0039"])
def test_of_less_than_a_255th_nothing_is_left(eps: str) -> None:
    clean = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    images = as_images(clean, torch.device("cpu"))
    for corner in (images - float(Eps.parse(eps)), images + float(Eps.parse(eps))):
        assert torch.equal(whole(eps).settled(corner, images), images)


def test_a_radius_that_is_no_double_is_counted_exactly() -> None:
    # The double of this text is that of 1/255, but it is a little less.
    eps = "0.0039215686274509803"
    assert float(eps) * 255 == 1
    images = torch.zeros(1, 1, 1, 1)
    assert float(whole(eps).settled(torch.ones_like(images), images)) == 0
    assert float(whole("1/255").settled(torch.ones_like(images), images)) > 0


def test_two_threats_of_different_pixels_are_two() -> None:
    assert whole("8/255") != Threat(Eps.parse("8/255"))
    assert Threat(Eps.parse("8/255")).pixels is PixelValues.FLOAT
