"""Random search by an attacker who sees only ranked lists, and knows no label."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from hashbench.attacking import (
    AttackedModel,
    Goal,
    QueryRandom,
    Threat,
    check_search,
    square_search,
)
from hashbench.errors import UsageError
from hashbench.plugins import Access, Attack, Draws, attack


@attack(
    "ranked-search",
    cite="Li et al., QAIR, CVPR 2021; Andriushchenko et al., Square Attack, ECCV 2020",
    access=Access.RANKING,
    knowledge=(),
    draws=Draws.MEAN_SCORE,
)
@dataclass(frozen=True)
class RankedSearch(Attack):
    """Try random square patches, and keep those that push the clean list's images down and out.

    All that is seen is the ranked list, as of a search engine. As in QAIR, what the clean query
    finds is taken for relevant, the more so the higher it stands, and the attack lowers what the
    perturbed query still finds of it: see `ListOverlap`. (QAIR estimates gradients, and steals a
    model to start from; this one searches like `random-search`.)

    Attributes:
        queries: images whose list is asked for, the clean one included.
        length: of the lists.
        first_share: area of the first squares, as a share of the image's.
    """

    queries: int = 500
    length: int = 1000
    first_share: float = 0.8

    def __post_init__(self) -> None:
        check_search(self.queries, self.first_share)
        if self.length < 1:
            raise UsageError(f"length must be 1 or more, found {self.length}")

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

        def lists(point: Tensor) -> list[Tensor]:
            return [model.ranked(point, self.length) for _ in range(model.draws)]

        def score(found: list[Tensor]) -> Tensor:
            return torch.stack([overlap(drawn) for drawn in found]).sum(dim=0)

        clean = lists(images)
        overlap = ListOverlap(clean[0])

        return square_search(
            lambda point: score(lists(point)),
            images,
            threat,
            rng,
            clean_score=score(clean),
            candidates=self.queries - 1,
            first_share=self.first_share,
        )

    @override
    def passes(self) -> int:
        """The queries; none goes backward."""
        return self.queries


class ListOverlap:
    """How much of a first list a second one holds: `sum over both of (L - r) (L - r')`.

    r and r' are an item's ranks, from 0, in the first and the second list of length L: an item
    counts the more, the surer it is relevant and the sooner it is shown. Whole numbers, so that
    equal lists always tie and a batch's cut leaves no trace.
    """

    def __init__(self, first: Tensor) -> None:
        """Keep the first lists.

        Args:
            first: int64 (B, L), positions in the database, no position twice in a row.
        """
        self._weights = _falling(first)
        self._table = torch.zeros(
            len(first), int(first.max()) + 2, dtype=torch.int64, device=first.device
        )
        self._table.scatter_(1, first, self._weights.expand_as(first))

    def __call__(self, second: Tensor) -> Tensor:
        """The overlap, int64 (B,).

        Args:
            second: int64 (B, L), likewise.
        """
        # The last column is for all positions beyond those of the first lists; its weight is 0.
        known = self._table.gather(1, second.clamp(max=self._table.shape[1] - 1))
        return (known * self._weights).sum(dim=1)


def _falling(lists: Tensor) -> Tensor:
    return torch.arange(lists.shape[1], 0, -1, device=lists.device)
