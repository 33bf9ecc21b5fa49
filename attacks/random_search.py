"""Random search: a black-box attack that sees only codes of the model."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from hashbench.attacking import (
    AttackedModel,
    Goal,
    KnownRanking,
    QueryRandom,
    Threat,
    check_search,
    square_search,
)
from hashbench.plugins import Access, Attack, Draws, attack


@attack(
    "random-search",
    cite="Andriushchenko et al., Square Attack, ECCV 2020",
    access=Access.CODES,
    draws=Draws.MEAN_SCORE,
)
@dataclass(frozen=True)
class RandomSearch(Attack):
    """Try random square patches, and keep those that lower the code's average precision.

    The score is the exact average precision of the query's code against the training codes, with
    ties counted at their mean. No gradient is taken, so nothing that hides gradients helps.

    Attributes:
        queries: images whose code the model is asked for, the clean one included.
        first_share: area of the first squares, as a share of the image's.
    """

    queries: int = 500
    first_share: float = 0.8

    def __post_init__(self) -> None:
        check_search(self.queries, self.first_share)

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
        ranking = KnownRanking(goal.labels, goal.train_codes, goal.train_labels)

        def score(point: Tensor) -> Tensor:
            return ranking.expected_precision(model.drawn_codes(point))

        return square_search(
            score,
            images,
            threat,
            rng,
            clean_score=score(images),
            candidates=self.queries - 1,
            first_share=self.first_share,
        )

    @override
    def passes(self) -> int:
        """The queries; none goes backward."""
        return self.queries
