"""Smoothing of any hash, black boxes too: a radius inside which its smoothed code still matches.

What is proven is not the hash that people run but another one made of it: each bit is the one that
most pictures around this one have, under Gaussian noise. Who can change the hash can run that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from hashbench.certifying import SmoothedBits, Smoothing, smoothed_bits
from hashbench.matching.contract import Hasher
from hashbench.matching.models import VerdictModel
from hashbench.matching.pictures import Picture

AT_ONCE: Final = 64
"""Noisy pictures that are in memory together; nothing depends on how many they are."""


def smoothed_codes(
    hasher: Hasher, pictures: Sequence[Picture], smoothing: Smoothing, seeds: Sequence[int]
) -> SmoothedBits:
    """The smoothed codes of some pictures, and how far each bit holds in l2.

    The noisy picture is rounded and cut to 8 bits, and judged by the library. That is the first
    step of the hash that is smoothed, so the proof holds for real values and for files alike.

    Args:
        hasher: the hash; nothing but its verdict is asked.
        pictures: of one size.
        smoothing: the noise, the number of draws, the confidence.
        seeds: one for each picture.

    Raises:
        UsageError: pictures of several sizes, or another number of seeds.
        PluginError: a verdict is no code.
    """
    images = torch.from_numpy(np.stack([picture.image() for picture in pictures]))
    return smoothed_bits(VerdictModel(hasher), images, smoothing, seeds, at_once=AT_ONCE)


def matching_radius(bits: SmoothedBits, threshold: int) -> NDArray[np.float64]:
    """The l2 radius inside which each smoothed code differs in at most `threshold` bits.

    More than T bits can turn only where the T + 1 that hold least do not hold any more. All bits
    of a picture are right together with the confidence of the smoothing, so this needs none more.

    Args:
        bits: of `smoothed_codes`.
        threshold: T, below the number of bits.

    Returns:
        (B,), over all pixel values in `[0, 1]` units; a picture closer than this still matches.
    """
    radius: NDArray[np.float64] = np.sort(bits.radius, axis=1)[:, threshold]
    return radius
