"""Random search with square patches in an L-infinity ball: what attacks share that see a score.

Asks no model itself: the score does.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from hashbench.attacking.randomness import QueryRandom
from hashbench.attacking.threat import Threat
from hashbench.eps import Norm
from hashbench.errors import UsageError

Score = Callable[[Tensor], Tensor]
"""Images (B, C, H, W) -> one number per image (B,), to be made small; comparable, not smooth."""

_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""After so many patches their area is halved."""


def check_search(queries: int, first_share: float) -> None:
    """Refuse what no search can be; attacks call it when they are built.

    Raises:
        UsageError: fewer than 0 queries, or a share that is not above 0 and at most 1.
    """
    if queries < 0:
        raise UsageError(f"queries must be 0 or more, found {queries}")
    if not 0 < first_share <= 1:  # written so that NaN is refused too
        raise UsageError(f"first_share must be above 0, at most 1, found {first_share}")


def square_search(
    score: Score,
    images: Tensor,
    threat: Threat,
    rng: QueryRandom,
    *,
    clean_score: Tensor,
    candidates: int,
    first_share: float,
) -> Tensor:
    """Search the ball's corners, patch by patch (Square Attack, Andriushchenko et al., ECCV 2020).

    The first candidate are vertical stripes of `+-radius`. Each later one is the best point so
    far with a square at a random place set to the image `+-radius`, one sign per channel; squares
    shrink. A candidate takes over unless its score is worse: codes and lists change in jumps, and
    where scores tie, as in most steps, a point that stays put would try but its own neighbours.
    (The published search, on scores that hardly ever tie, keeps the old point then.)

    Args:
        score: what is to become small; called `candidates` times with a whole batch.
        images: the clean images (B, C, H, W) in `[0, 1]`.
        threat: the ball, of L-infinity.
        rng: one stream per query.
        clean_score: (B,), the score of `images`: no answer is worse.
        candidates: how many points are tried; 0 returns the images.
        first_share: area of the first squares, as a share of the image's.

    Returns:
        The last best point of each image, in the ball and the box.

    Raises:
        UsageError: the ball is not one of L-infinity.
    """
    if threat.norm is not Norm.LINF:
        raise UsageError(f"square_search tries corners of {Norm.LINF} balls, found {threat.eps}")
    channels, height, width = images.shape[1:]
    low, high = threat.bounds(images)
    best, best_score = images, clean_score
    if candidates == 0:
        return best
    stripes = rng.uniform((channels, 1, width)) < 0.5
    draws = rng.uniform((candidates - 1, 2 + channels))
    for number in range(candidates):
        if number == 0:
            point = torch.where(stripes, low, high)
        else:
            side = patch_side(number - 1, first_share, height, width)
            point = _with_patch(best, low, high, draws[:, number - 1], side)
        found = score(point)
        taken = found <= best_score
        best = torch.where(taken.view(-1, 1, 1, 1), point, best)
        best_score = torch.where(taken, found, best_score)
    return best


def patch_side(number: int, first_share: float, height: int, width: int) -> int:
    """Side of the patch that is tried as number `number`, from 0: `round(sqrt(p H W))`, least 1.

    p starts at `first_share` and is halved after 10, 50, 200, 500, 1000, 2000, 4000, 6000 and 8000
    patches. The paper stretches these to the length of a search; AutoAttack (Croce and Hein, ICML
    2020), as here, does not, so that a longer search goes on where a shorter one ends.
    """
    halvings = sum(number > patches for patches in _HALVINGS)
    return max(1, round(math.sqrt(first_share * 0.5**halvings * height * width)))


def _with_patch(best: Tensor, low: Tensor, high: Tensor, draws: Tensor, side: int) -> Tensor:
    """Each image with one square set to the ends of its ball.

    The square is cut to the image where that is narrower, and lies anywhere in it. Where it would
    change no pixel, it takes the opposite signs (the published search draws until it changes one).

    Args:
        best: (B, C, H, W).
        low: the least value of every pixel.
        high: the largest.
        draws: (B, 2 + C) in `[0, 1)`: row, column and the channels' signs.
        side: of the square.
    """
    height, width = best.shape[2:]
    rows = _span(draws[:, 0], min(side, height), height).unsqueeze(2)
    columns = _span(draws[:, 1], min(side, width), width).unsqueeze(1)
    inside = (rows & columns).unsqueeze(1)
    down = (draws[:, 2:] < 0.5).unsqueeze(2).unsqueeze(3)
    point = torch.where(inside, torch.where(down, low, high), best)
    same = (point == best).flatten(1).all(dim=1).view(-1, 1, 1, 1)
    return torch.where(same & inside, torch.where(down, high, low), point)


def _span(place: Tensor, length: int, side: int) -> Tensor:
    """Where a stretch of pixels lies along one side, bool (B, side); all places alike likely."""
    first = (place.double() * (side - length + 1)).floor().unsqueeze(1)
    pixels = torch.arange(side, device=place.device)
    return (pixels >= first) & (pixels < first + length)
