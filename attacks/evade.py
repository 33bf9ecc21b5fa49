"""Evade: turn just so many bits that a picture no longer matches itself."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from hashbench.attacking import BitDescent, Goal, QueryRandom
from hashbench.plugins import Draws, Norm, attack


@attack(
    "evade",
    cite="Struppek et al., Learning to Break Deep Perceptual Hashing, FAccT 2022",
    knowledge=(),
    draws=Draws.EXPECTED_LOSS,
    norms=(Norm.LINF, Norm.L2),
)
@dataclass(frozen=True)
class Evade(BitDescent):
    """Turn the cheapest bits until the code is beyond the threshold of a match.

    A match is a distance of at most T; of a model without a threshold, T is an eighth of its bits.
    Only the `T + 1 + spare` smallest margins are lowered at each point, since the others cost
    budget for nothing. Unlike in Struppek et al., the loss is of these bits alone, the steps are
    sign steps in a ball, and a query stops as soon as it is beyond T.
    """

    @override
    def left(self, goal: Goal, rng: QueryRandom) -> None:
        return None

    @override
    def needed(self, bits: int, threshold: int) -> int:
        return threshold + 1
