"""The loss of certified training, restated by loops."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray


def restated(
    lower: NDArray[Any],
    upper: NDArray[Any],
    labels: NDArray[Any],
    codes: NDArray[Any],
    mix: float,
    scale: float,
) -> float:
    """The loss of certified training, image by image, class by class, bit by bit."""
    total = 0.0
    classes, bits = codes.shape
    for lo, hi, row in zip(lower, upper, labels, strict=True):
        own = [c for c in range(classes) if row[c]]
        if not own:
            continue
        target = [sum(codes[c][k] for c in own) / len(own) for k in range(bits)]
        term = 0.0
        for k in range(bits):
            end = lo[k] if target[k] > 0 else hi[k]
            term += math.log1p(math.exp(-target[k] * end)) / bits
        scores = []
        for c in range(classes):
            score = 0.0
            for k in range(bits):
                lead = codes[c][k] - target[k]
                ends = (math.tanh(lo[k]) * lead, math.tanh(hi[k]) * lead)
                score += scale / 2 * (min(ends) if c in own else max(ends))
            scores.append(score)
        partition = math.log(sum(math.exp(score) for score in scores))
        entropy = sum(partition - scores[c] for c in own) / len(own)
        total += (1 - mix) * term + mix * entropy
    return total / len(lower)
