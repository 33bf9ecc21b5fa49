"""Random search among low frequencies in an L-infinity ball: for scores that change in jumps."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hashbench.attacking.randomness import QueryRandom
from hashbench.attacking.square_search import Score
from hashbench.attacking.threat import Threat
from hashbench.eps import Norm
from hashbench.errors import UsageError


def check_cosines(queries: int, band: int, first_share: float) -> None:
    """Refuse what no search can be; attacks call it when they are built.

    Raises:
        UsageError: fewer than 0 queries, a band below 1, or a share not above 0 and at most 1.
    """
    if queries < 0:
        raise UsageError(f"queries must be 0 or more, found {queries}")
    if band < 1:
        raise UsageError(f"band must be 1 or more, found {band}")
    if not 0 < first_share <= 1:  # written so that NaN is refused too
        raise UsageError(f"first_share must be above 0, at most 1, found {first_share}")


def cosine_search(
    score: Score,
    images: Tensor,
    threat: Threat,
    rng: QueryRandom,
    *,
    clean_score: Tensor,
    enough: int,
    candidates: int,
    band: int,
    first_share: float,
) -> Tensor:
    """Search the ball's corners whose signs are those of a sum of a few low frequencies.

    A candidate is the image plus the radius where a sum of cosines (the basis of the DCT, of
    frequencies below `band` along each axis, the constant one too) is above 0, and minus the radius
    elsewhere, in every channel alike: hashes look at the brightness, and at its coarse structure.
    The first has coefficients that are uniform in `[-1, 1]`. Each later one is the best so far with
    some coefficients drawn anew, at least one; their expected share falls from `first_share` to
    none with the square of what is left of the search. A candidate takes over unless its score is
    worse. An image whose score is enough keeps its candidate, and where all are, the search ends.

    Args:
        score: what is to become small; called at most `candidates` times with a whole batch.
        images: the clean images (B, C, H, W) in `[0, 1]`.
        threat: the ball, of L-infinity.
        rng: one stream per query.
        clean_score: (B,), the score of `images`: no answer is worse.
        enough: a score that is at most this ends the search of an image.
        candidates: how many points are tried; 0 returns the images.
        band: frequencies along an axis; cut to the pixels there are.
        first_share: share of the coefficients that are drawn anew at first.

    Returns:
        The best point of each image, in the ball and the box.

    Raises:
        UsageError: the ball is not one of L-infinity.
    """
    if threat.norm is not Norm.LINF:
        raise UsageError(f"cosine_search tries corners of {Norm.LINF} balls, found {threat.eps}")
    down, across = (_cosines(side, band, images) for side in images.shape[2:])
    shape = (down.shape[1], across.shape[1])
    low, high = threat.bounds(images)
    best, best_score = images, clean_score
    coefficients = torch.zeros(len(images), *shape, device=images.device)
    for number in range(candidates):
        done = best_score <= enough
        if bool(done.all()):
            break
        drawn = rng.uniform((2, *shape))
        fresh = 2 * drawn[:, 0] - 1
        if number > 0:
            draws = drawn[:, 1]
            share = first_share * (1 - number / candidates) ** 2
            least = draws.amin(dim=(1, 2), keepdim=True).clamp(min=share)
            fresh = torch.where(draws <= least, fresh, coefficients)
        above = (down @ fresh.to(down.dtype) @ across.T > 0).unsqueeze(1)
        point = torch.where(above, high, low)
        found = score(point)
        taken = (found <= best_score) & ~done
        if not bool(taken.any()):
            continue
        best = torch.where(taken.view(-1, 1, 1, 1), point, best)
        coefficients = torch.where(taken.view(-1, 1, 1), fresh, coefficients)
        best_score = torch.where(taken, found, best_score)
    return best


def _cosines(side: int, band: int, like: Tensor) -> Tensor:
    """The frequencies below `band` along an axis, as columns, (side, frequencies), in float64.

    Doubles, so that the order of the sums, which depends on the batch, turns no sign.
    """
    places = (torch.arange(side, dtype=torch.float64, device=like.device) + 0.5) * (math.pi / side)
    frequencies = torch.arange(min(band, side), dtype=torch.float64, device=like.device)
    return torch.cos(places.unsqueeze(1) * frequencies)
