"""The per-query worst case over many candidates, as an attacker can tell it: by what he knows."""

from __future__ import annotations

import torch
from torch import Tensor

from hashbench.attacking.smooth_precision import KnownRanking


class WorstCase:
    """Per query the image with the lowest average precision so far, against the known codes.

    At a model that draws, with the lowest mean of it over the draws.

    Attributes:
        images: the best candidates so far, (B, C, H, W).
        scores: their average precision, float64 (B,); infinite before the first candidate.
    """

    def __init__(self, ranking: KnownRanking, images: Tensor, floor_codes: Tensor) -> None:
        """Start with no candidate.

        Args:
            ranking: the queries and what they rank.
            images: the clean images, which stand until something is considered.
            floor_codes: (B, K) of +1 and -1; a query that scores no more than its floor code does
                is finished.
        """
        self._ranking = ranking
        self._floors = ranking.average_precision(floor_codes)
        self.images = images.clone()
        self.scores = torch.full_like(self._floors, float("inf"))

    def consider(self, queries: Tensor, images: Tensor, codes: Tensor) -> None:
        """Keep each candidate that scores lower than what its query had; the first of equals stays.

        Args:
            queries: positions of n queries, int64 (n,).
            images: a candidate each, (n, C, H, W).
            codes: the candidates' codes, (n, K) of +1 and -1, or (draws, n, K).
        """
        drawn = codes.unsqueeze(0) if codes.dim() == 2 else codes
        scores = self._ranking.of(queries).expected_precision(drawn)
        lower = scores < self.scores[queries]
        self.images[queries[lower]] = images[lower]
        self.scores[queries[lower]] = scores[lower]

    def unfinished(self) -> Tensor:
        """Positions of the queries that are not at their floor yet, int64 (n,), rising."""
        return torch.nonzero(self.scores > self._floors).squeeze(1)
