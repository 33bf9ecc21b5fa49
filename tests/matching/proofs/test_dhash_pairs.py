"""Single bits of dHash: those that are held turn in no file; the others soon do."""

from __future__ import annotations

from fractions import Fraction

import imagehash
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hashbench.matching.pictures import PARTS, STEPS, Picture
from hashbench.matching.pillow_resize import grey, weights
from hashbench.matching.proofs import dhash_pairs
from hashbench.matching.proofs.dhash_attack import least_turning_eps, turned_file
from hashbench.matching.proofs.dhash_proof import DhashProof
from hashbench.matching.proofs.pillow_bounds import grey_bounds
from hashbench.matching.proofs.radius import proven_eps


def dhash(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray(imagehash.dhash(Image.fromarray(picture)).hash).ravel()


def smooth(seed: int, side: int) -> Picture:
    """Waves with a little noise, in real values."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side] / side
    waves = np.sin(rows * rng.uniform(2, 9) + 1) * np.cos(columns * rng.uniform(2, 9) + 2)
    steps = 128 + 100 * waves[:, :, None] + rng.normal(0, 4, (side, side, 3))
    values = ((steps.clip(0, 255) + 0.5) * PARTS).clip(0, 65_535).astype(np.uint16)
    return Picture(f"waves {seed}", values)


def turned_though_held(picture: Picture, eps: Fraction) -> bool:
    """Whether the attack turns a bit that is said to be held."""
    lowest, highest = picture.box(eps)
    code = dhash(picture.saved)
    held = dhash_pairs.held_bits(grey_bounds(lowest, highest), code.reshape(8, 8))
    file = turned_file(picture, dhash, eps)
    return file is not None and bool((held.ravel() & (dhash(file) != code)).any())


@pytest.mark.parametrize("seed", range(6))
def test_no_held_bit_turns_and_the_least_eps_is_found(seed: int) -> None:
    picture = smooth(seed, 64)
    proven = proven_eps(picture, DhashProof(), 0)
    attacked = least_turning_eps(picture, dhash, proven)
    assert attacked is not None
    assert proven < attacked
    for parts in (1, 4, 16, 40):
        assert not turned_though_held(picture, attacked + Fraction(parts, 64 * STEPS))


def test_the_file_that_turns_a_bit_lies_in_the_box() -> None:
    picture = smooth(0, 64)
    file = turned_file(picture, dhash, Fraction(1, STEPS))
    assert file is not None
    lowest, highest = picture.box(Fraction(1, STEPS))
    assert (lowest <= file).all()
    assert (file <= highest).all()
    assert (dhash(file) != dhash(picture.saved)).any()


def test_a_quarter_of_a_step_too_little_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    rightly = dhash_pairs._Pairs.largest

    def fewer(self: dhash_pairs._Pairs, right: float, left: float) -> NDArray[np.float64]:
        # A quarter of a step less of what each row reaches.
        found: NDArray[np.float64] = rightly(self, right, left) - 0.25
        return found

    monkeypatch.setattr(dhash_pairs._Pairs, "largest", fewer)
    assert any(
        turned_though_held(smooth(seed, 64), Fraction(parts, 64 * STEPS))
        for seed in range(6)
        for parts in (16, 32, 64, 96)
    )


def test_pairs_hold_those_that_pillow_makes() -> None:
    # Of any weights, what a row of pixels reaches is at most what is stated.
    rng = np.random.default_rng(0)
    h = weights(31, 9)
    for _ in range(20):
        clean = rng.integers(0, 256, (6, 31, 3), dtype=np.uint8)
        wide = clean.astype(np.int64)
        lowest = (wide - rng.integers(0, 3, wide.shape)).clip(0, 255).astype(np.uint8)
        highest = (wide + rng.integers(0, 3, wide.shape)).clip(0, 255).astype(np.uint8)
        pairs = dhash_pairs._Pairs.of(grey_bounds(lowest, highest), h.astype(np.float64))
        assert pairs is not None
        for _ in range(10):
            file = rng.integers(lowest, highest, endpoint=True, dtype=np.uint8)
            sums = grey(file).astype(np.int64) @ h.T
            values = ((sums + (1 << 21)) >> 22).clip(0, 255)
            for right, left in rng.normal(size=(4, 2)):
                reached = right * values[:, 1:] + left * values[:, :-1]
                assert (reached <= pairs.largest(right, left) + 1e-9).all()
