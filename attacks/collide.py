"""Collide: turn just so many bits that a picture matches another one."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from hashbench.attacking import BitDescent, Goal, QueryRandom, anchor_codes
from hashbench.plugins import Aim, Draws, Knowledge, Norm, attack


@attack(
    "collide",
    cite="Struppek et al., Learning to Break Deep Perceptual Hashing, FAccT 2022",
    knowledge=(Knowledge.TRAINING,),
    aim=Aim.TARGETED,
    draws=Draws.EXPECTED_LOSS,
    norms=(Norm.LINF, Norm.L2),
)
@dataclass(frozen=True)
class Collide(BitDescent):
    """Turn the cheapest wrong bits until the code matches that of a picture of the target.

    The code is drawn for each query from the training images that have the target's labels, as by
    `p2p`. A match is a distance of at most T; of a model without a threshold, T is an eighth of its
    bits. Of the margins towards the target's code the `K - T + spare` cheapest are lowered. A query
    without a target stays as it is.
    """

    @override
    def left(self, goal: Goal, rng: QueryRandom) -> Tensor:
        return -anchor_codes(goal, 1, rng)

    @override
    def needed(self, bits: int, threshold: int) -> int:
        return bits - threshold
