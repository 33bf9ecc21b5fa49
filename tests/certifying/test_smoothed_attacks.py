"""What smoothing certifies is held against attacks: sound radii pass, and too large ones do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from hashbench.benchmarks.strength.smoothing import LUCK, allowed, completed, contradictions
from hashbench.certifying import SmoothedBits, Smoothing, smoothed_bits
from hashbench.hashing.model import HashModel
from support.linear_hash import linear

QUERIES, BITS, VALUES = 40, 8, 12
RADIUS = 0.3


def scene() -> tuple[HashModel, Tensor]:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(BITS, VALUES, generator=generator)
    images = torch.rand(QUERIES, 1, 1, VALUES, generator=generator)
    return linear(weight, -0.5 * weight.sum(dim=1)), images


def attacked(model: HashModel, images: Tensor, radius: float) -> Tensor:
    """Normalised descent in the L2 ball on the farthest bit whose plane is well inside of it."""
    codes = model.codes(images).float()
    lengths = model.hash_layer.weight.norm(dim=1)
    distances = (model.logits(images) * codes / lengths).detach()
    aim = torch.where(distances < 0.75 * radius, distances, -1).argmax(dim=1)
    moved = images.clone()
    for _ in range(10):
        moved.requires_grad_(True)
        margins = model.logits(moved) * codes / lengths
        (gradient,) = torch.autograd.grad(margins[torch.arange(len(images)), aim].sum(), moved)
        step = gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        change = moved.detach() - radius * step - images
        size = change.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        moved = images + change * (radius / size).clamp(max=1)
    return moved.detach().clamp(0, 1)


def database() -> tuple[NDArray[np.uint8], NDArray[np.int8], NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (QUERIES, 3), dtype=np.uint8)
    codes = random.choice(np.array([-1, 1], np.int8), (200, BITS))
    return labels, codes, random.integers(0, 2, (200, 3), dtype=np.uint8)


@pytest.mark.parametrize(("share", "sound"), [(1.0, True), (3.0, False)])
def test_radii_that_are_too_large_are_found_out(share: float, sound: bool) -> None:
    model, images = scene()
    asked = Smoothing(0.3, draws=1000, alpha=0.001)
    bits = smoothed_bits(model, images, asked, range(QUERIES))
    bits = replace(bits, radius=share * bits.radius)
    told = smoothed_bits(model, attacked(model, images, RADIUS), asked, range(100, 100 + QUERIES))
    proof = bits.at(RADIUS + 1e-6)
    assert (proof != 0).any()
    found = contradictions(proof, told, database())
    assert (found.queries <= allowed(asked.alpha, QUERIES)) == sound
    if sound:
        assert found.bits == found.below == 0
    else:
        assert found.bits >= found.queries > 0
        assert found.queries >= found.below > 0, "no AP falls without a turned bit"


def test_abstained_bits_are_no_contradiction() -> None:
    told = SmoothedBits(
        np.array([[1, 1, -1, -1]], np.int8),
        np.zeros((1, 4)),
        np.array([[False, True, True, False]]),
        np.zeros((1, 4), np.int64),
        4,
        Smoothing(0.5),
    )
    proof = np.array([[-1, -1, 0, -1]], np.int8)
    assert completed(proof, told).tolist() == [[1, -1, -1, -1]]
    known = np.ones((1, 1), np.uint8), np.ones((2, 4), np.int8), np.ones((2, 1), np.uint8)
    found = contradictions(proof, told, known)
    assert (found.bits, found.queries) == (1, 1)
    assert found.words(proof) == (
        "1 of 3 certified bits turned, in 1 of 1 queries; 0 queries below what is certified"
    )


@given(alpha=st.sampled_from([1e-6, 0.001, 0.05, 0.5]), queries=st.integers(1, 1000))
def test_no_more_queries_are_allowed_than_luck_explains(alpha: float, queries: int) -> None:
    most = allowed(alpha, queries)
    chance = min(1.0, 2 * alpha)
    counts = np.arange(queries + 1)
    probabilities = stats.binom.pmf(counts, queries, chance)
    # Sums of up to 1,000 probabilities: right to some 1e-12.
    assert probabilities[counts > most].sum() <= LUCK + 1e-12
    if most:
        assert probabilities[counts > most - 1].sum() > LUCK - 1e-12
