"""Evasion and collision by an attacker who is told distances alone, and asks so many times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from hashbench.attacking import (
    AttackedModel,
    Goal,
    QueryRandom,
    Threat,
    anchor_codes,
    check_cosines,
    cosine_search,
    match_threshold,
)
from hashbench.plugins import Access, Aim, Attack, Draws, Knowledge, attack


@dataclass(frozen=True)
class _ByDistance(Attack):
    """What both share: parameters and their checks."""

    queries: int = 300
    band: int = 17
    first_share: float = 1 / 12

    def __post_init__(self) -> None:
        check_cosines(self.queries, self.band, self.first_share)

    @override
    def passes(self) -> int:
        """The queries; none goes backward."""
        return self.queries

    def searched(
        self,
        score: Callable[[Tensor], Tensor],
        images: Tensor,
        threat: Threat,
        rng: QueryRandom,
        clean_score: Tensor,
        enough: int,
    ) -> Tensor:
        """The best images that the queries find, after the one that was spent before."""
        return cosine_search(
            score,
            images,
            threat,
            rng,
            clean_score=clean_score,
            enough=enough,
            candidates=self.queries - 1,
            band=self.band,
            first_share=self.first_share,
        )


@attack(
    "evade-by-distance",
    access=Access.DISTANCES,
    knowledge=(),
    draws=Draws.SINGLE,
)
@dataclass(frozen=True)
class EvadeByDistance(_ByDistance):
    """Try sums of low frequencies, and keep those that lead farther from the clean code.

    All that is seen is how many bits the code is from that of the clean image, which stays unknown.
    The search is `cosine_search`; an image stops as soon as it is beyond the threshold of a match:
    of a model without one, an eighth of its bits.

    Attributes:
        queries: images whose distance is asked for, the clean one included.
        band: frequencies along each axis that the signs are made of.
        first_share: share of their coefficients that are drawn anew at first.
    """

    @override
    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,  # knows nothing
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        if self.queries == 0:
            return images
        distance = model.distances_from(images)
        nearest = images.new_zeros(len(images)).long()
        beyond = match_threshold(model) + 1
        return self.searched(
            lambda point: -distance(point), images, threat, rng, nearest, enough=-beyond
        )


@attack(
    "collide-by-distance",
    access=Access.DISTANCES,
    knowledge=(Knowledge.TRAINING,),
    aim=Aim.TARGETED,
    draws=Draws.SINGLE,
)
@dataclass(frozen=True)
class CollideByDistance(_ByDistance):
    """Try sums of low frequencies, and keep those that lead nearer to the target's code.

    The code is drawn for each query from the training images that have the target's labels, as by
    `p2p`; all that is seen is how many bits the image's own code is from it. The search is that of
    `evade-by-distance`, and an image stops as soon as it is within the threshold of a match. A
    query without a target stays as it is.

    Attributes:
        queries: images whose distance is asked for, the clean one included.
        band: frequencies along each axis that the signs are made of.
        first_share: share of their coefficients that are drawn anew at first.
    """

    @override
    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        if self.queries == 0:
            return images
        codes = anchor_codes(goal, 1, rng)
        aimless = (codes == 0).all(dim=1)

        def score(point: Tensor) -> Tensor:
            return model.distances(point, codes).masked_fill(aimless, 0)

        return self.searched(
            score, images, threat, rng, score(images), enough=match_threshold(model)
        )
