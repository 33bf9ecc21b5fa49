"""What is left of attacks in whole pixels, in closed form, on a linear hash.

A bit of `sign(Wx + b)` is turned by the corner of the ball of radius r where
`|w . x + b| < r * ||w||_1`. In whole pixels the corner is that of the radius
`floor(255 eps) / 255`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hashbench.attacking import Attacker, AttackOutcome, Eps, Known, Threat, run_attack
from hashbench.attacking.harness import attacked_together
from hashbench.data import PixelValues
from hashbench.hashing import HashModel
from hashbench.hashing.encode import encode
from hashbench.plugins import Attack

Build = Callable[..., Attack]
Linear = Callable[..., HashModel]

ONE_BIT: dict[str, dict[str, object]] = {
    "pgd-hamming": {"steps": 25, "step_size": "1/50"},
    "mainstay": {"steps": 25, "step_size": "1/50"},
    "sdha": {"steps": 50},
}
BITS, SIDE, QUERIES = 3, 6, 9


class Case:
    """Bits on disjoint parts of the image, whose thresholds are some whole and a half levels."""

    def __init__(self, linear_hash: Linear, bits: int = 1) -> None:
        rng = np.random.default_rng(5)
        weight = np.zeros((bits, SIDE * SIDE))
        part_of = rng.permutation(np.arange(SIDE * SIDE) % bits)
        for bit in range(bits):
            part = np.flatnonzero(part_of == bit)
            values = rng.uniform(0.5, 1, len(part)) * rng.choice([-1, 1], len(part))
            weight[bit, part] = 12 * values / np.abs(values).sum()
        self.pixels: NDArray[np.uint8] = rng.integers(
            70, 186, (QUERIES, 1, SIDE, SIDE), dtype=np.uint8
        )
        self.bias = -weight.sum(axis=1) / 2 + 1.0
        self.weight = weight
        self.model = linear_hash(
            torch.from_numpy(weight).float().reshape(bits, 1, SIDE, SIDE),
            torch.from_numpy(self.bias).float(),
        )

    @property
    def logits(self) -> NDArray[np.float64]:
        found: NDArray[np.float64] = (
            self.pixels.reshape(QUERIES, -1) / 255 @ self.weight.T + self.bias
        )
        return found

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """In levels, (Q, K)."""
        found: NDArray[np.float64] = 255 * np.abs(self.logits) / np.abs(self.weight).sum(axis=1)
        return found

    def attacker(self) -> Attacker:
        codes = np.where(self.logits >= 0, 1, -1).astype(np.int8)
        labels = np.eye(QUERIES, QUERIES + 1, dtype=np.uint8)
        last = np.eye(1, QUERIES + 1, QUERIES, dtype=np.uint8).repeat(QUERIES, axis=0)
        rows = np.concatenate([labels, last])
        return Attacker(Known.of(labels, codes, np.concatenate([codes, -codes]), rows))

    def attacked(
        self, attack: Attack, eps: str, pixels: PixelValues = PixelValues.EIGHT_BIT
    ) -> AttackOutcome:
        return run_attack(
            attack,
            self.model,
            self.pixels,
            self.attacker(),
            Threat(Eps.parse(eps), pixels),
            range(QUERIES),
            batch=4,
        )


@pytest.mark.parametrize("name", list(ONE_BIT))
def test_a_bit_flips_where_the_corner_of_the_grids_ball_turns_it(
    name: str, attack_named: Build, linear_hash: Linear
) -> None:
    case = Case(linear_hash)
    attack = attack_named(name, **ONE_BIT[name])
    threshold = case.thresholds[:, 0]
    seen = set()
    for levels in sorted({math.floor(t) for t in threshold} | {math.ceil(t) for t in threshold}):
        if np.abs(threshold / levels - 1).min() < 1e-3:
            continue  # float32 would decide
        for more in (Fraction(1, 10), Fraction(9, 10)):
            eps = (levels + more) / 255
            outcome = case.attacked(attack, str(eps))
            flipped = (outcome.codes != encode(case.model, case.pixels).codes)[:, 0]
            assert np.array_equal(flipped, threshold < levels), (levels, more)
            seen |= set(flipped.tolist())
            # To float32's rounding: the change is the difference of two float32 from 0 to 1.
            assert outcome.linf == pytest.approx(levels / 255, abs=2**-23)
            assert outcome.l2 == pytest.approx(levels / 255 * SIDE, abs=SIDE * 2**-23)
    assert seen == {True, False}


@pytest.mark.parametrize("name", ["noise", *ONE_BIT, "random-search", "smooth-ap"])
def test_below_a_255th_the_attacked_queries_are_the_clean_ones(
    name: str, attack_named: Build, linear_hash: Linear
) -> None:
    case = Case(linear_hash, BITS)
    for eps in ("0", "1/510", "0.0039"):
        outcome = case.attacked(attack_named(name), eps)
        assert np.array_equal(outcome.codes, encode(case.model, case.pixels).codes)
        assert not outcome.linf.any()
        assert not outcome.l2.any()


def test_what_is_on_the_grid_already_stays_where_it_is(
    attack_named: Build, linear_hash: Linear
) -> None:
    # Signed steps of 2/255 from the clean image, in a ball of 16/255: whole levels all the way, but
    # for float32: 10 sums of numbers below 1, each rounded by 2**-25 at most, and the ball's edge.
    case = Case(linear_hash, BITS)
    attack = attack_named("pgd-hamming", steps=10, step_size="2/255", random_start=False)
    told = (attack, case.model, case.pixels, case.attacker())
    free, whole = (
        attacked_together(*told, Threat(Eps.parse("16/255"), pixels), range(QUERIES))
        for pixels in (PixelValues.FLOAT, PixelValues.EIGHT_BIT)
    )
    assert float((free - whole).abs().max()) <= 11 * 2**-25
    assert np.array_equal(
        case.attacked(attack, "16/255").codes,
        case.attacked(attack, "16/255", PixelValues.FLOAT).codes,
    )
