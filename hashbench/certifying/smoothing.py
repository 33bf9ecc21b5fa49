"""Bits certified by smoothing: of any model, up to an l2 radius, with a stated confidence.

What is certified is not the model but its smoothed hash, another model made of it: bit k of the
smoothed code is the value that bit k of the model has for most of the images around the one that is
asked for, under Gaussian noise of deviation sigma. Nobody can compute it exactly. It is estimated
from draws, and so is the radius inside which it does not turn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

from hashbench.certifying.confidence import ROUNDING, least_probability
from hashbench.certifying.noise import ESTIMATION, SELECTION, votes
from hashbench.eps import Eps
from hashbench.errors import UsageError
from hashbench.hashing.encode import ENCODE_BATCH
from hashbench.hashing.halving import in_halves
from hashbench.hashing.model import HashModel
from hashbench.retrieval.checks import as_count

_LEAST_SIGMA: Final = 1e-4
"""Noise is added in float32, whose steps are 6e-8 below 1: of less, the shape would be lost."""

_MOST_SIGMA: Final = 1e4
"""With more, the image would be lost in the sum."""

_HALF_STEP: Final = 2.0**-25
"""By how much rounding to float32 moves a pixel at most."""


@dataclass(frozen=True)
class Smoothing:
    """What a model is smoothed with, and how well that is to be known.

    Attributes:
        sigma: the standard deviation of the noise on each pixel value, in `[0, 1]` pixels. With the
            defaults and 32 bits no radius is above 2.31 sigma.
        draws: n, noisy images that estimate a bit's probability. A radius grows with it, slowly.
        selection: n0, other noisy images, that say which value of a bit is tested.
        alpha: with at most this probability some bit of an image has too large a radius.
    """

    sigma: float
    draws: int = 1000
    selection: int = 100
    alpha: float = 0.001

    def __post_init__(self) -> None:
        """Refuse what is none.

        Raises:
            UsageError: a value outside of its range; says which one and what it may be.
        """
        if not _LEAST_SIGMA <= _number(self.sigma) <= _MOST_SIGMA:
            raise UsageError(
                f"sigma is {self.sigma!r}, but the deviation of the noise must be a number from "
                f"{_LEAST_SIGMA:g} to {_MOST_SIGMA:g}, where pixels are from 0 to 1"
            )
        for name in ("draws", "selection"):
            as_count(getattr(self, name), name)
        if not 0 < _number(self.alpha) < 1:
            raise UsageError(
                f"alpha is {self.alpha!r}, but the probability of an error must lie between 0 and "
                "1, such as 0.001"
            )


@dataclass(frozen=True)
class SmoothedBits:
    """Codes of the smoothed hash, and how far each bit holds.

    Attributes:
        codes: int8 (B, K), +1 and -1: the value of the majority in the selection round. Where a bit
            is not abstained, it is that of the smoothed hash (with the confidence below).
        radius: float64 (B, K): the bit is the same for every image at an l2 distance below this,
            over all pixel values in `[0, 1]` units; 0 where it is abstained.
        abstained: bool (B, K), where the draws do not tell which value has the majority.
        agreeing: int64 (B, K), draws of the estimation round that gave the bit of `codes`.
        values: d = C * H * W, pixel values of an image.
        smoothing: what was asked for.
    """

    codes: NDArray[np.int8]
    radius: NDArray[np.float64]
    abstained: NDArray[np.bool_]
    agreeing: NDArray[np.int64]
    values: int
    smoothing: Smoothing

    @property
    def abstentions(self) -> float:
        """The share of all bits that are abstained; 0 of no bits."""
        return float(self.abstained.mean()) if self.abstained.size else 0.0

    def at(self, radius: float) -> NDArray[np.int8]:
        """The bits that hold for every image at an l2 distance of at most `radius`.

        Radii may be chosen after the fact and as many as one likes: all of them rest on the same
        bounds of the same probabilities.

        Args:
            radius: 0 or more, over all pixel values in `[0, 1]` units.

        Returns:
            int8 (B, K), +1 and -1, and 0 for a bit that is uncertain there, as
            `hashbench.certifying.certified_precision` takes them.

        Raises:
            UsageError: it is no number from 0 on.
        """
        if not 0 <= _number(radius) < math.inf:
            raise UsageError(
                f"radius is {radius!r}, but an l2 radius must be a finite number, 0 or more"
            )
        bits: NDArray[np.int8] = np.where(self.radius > radius, self.codes, 0).astype(np.int8)
        return bits

    def at_linf(self, eps: Eps) -> NDArray[np.int8]:
        """The bits that hold for every image of the L-infinity ball of a threat.

        Its corners are `eps * sqrt(d)` away in l2, and half a step of float32 more in each value,
        to which images are rounded. That is far: at 8/255 and 28 x 28 pixels 0.88, at 3 x 224 x 224
        pixels 12.2.

        Args:
            eps: the radius of the ball.

        Returns:
            As `at`.
        """
        if eps.fraction == 0:
            return self.at(0.0)
        return self.at((float(eps) + _HALF_STEP) * math.sqrt(self.values))


def linf_radius(radius: NDArray[np.float64], values: int) -> NDArray[np.float64]:
    """The L-infinity radius that an l2 radius stands for: `radius / sqrt(d)`.

    The largest ball of that norm inside of the other, so this is what the l2 radius says and not
    what is true: a bit usually holds further.

    Args:
        radius: l2 radii, of any shape.
        values: d, pixel values of an image.

    Examples:
        >>> linf_radius(np.array([0.5, 1.0]), 28 * 28).round(4).tolist()
        [0.0179, 0.0357]
    """
    found: NDArray[np.float64] = np.asarray(radius) / math.sqrt(values)
    return found


def smoothed_bits(
    model: HashModel,
    images: Tensor,
    smoothing: Smoothing,
    seeds: Sequence[int],
    *,
    at_once: int = ENCODE_BATCH,
) -> SmoothedBits:
    """The code of the smoothed hash for each image, and an l2 radius for each of its bits.

    The smoothed hash is another model than the one it is made of: its code of a clean image may be
    another, and so is its clean mAP. A certificate of it says nothing of the plain model's codes.

    `p_k(x)`, the probability that bit k of `x` plus noise is as in the code, is such that
    `Phi^-1(p_k(x))` changes by at most `1 / sigma` for each unit of l2 distance, for any model. So
    bit k has the majority inside of `sigma * Phi^-1(p_k(x))`. p_k is bounded from below by
    Clopper-Pearson on fresh draws at a level of `alpha / K`, so that all K bits of an image, and
    every radius that is read from them, are right together with a probability of at least
    `1 - alpha`. This is for each image on its own: of B images `alpha * B` may be wrong on the
    average. Who wants all of them right together asks for `alpha / B`; who tries several sigma for
    an image and keeps the best divides by their number too. It is the probability over the draws,
    so it is for images that were chosen without knowledge of the seeds.

    Two things are taken for granted, as everywhere in the literature: that the words of the
    generator are as good as random, and that what rounding to float32 does to an image plus noise
    does not tell a model which image it was. A model that is built to look at the last bits can
    abuse it (Voracek and Hein, Sound Randomized Smoothing in Floating-Point Arithmetics, ICLR 2023,
    https://arxiv.org/abs/2207.07209).

    Noise is not cut to `[0, 1]`, since an image plus noise must be Gaussian where the model begins.
    A model may cut what it is given, as one behind JPEG does: that is its own first step, and the
    proof holds for any.

    Source: Cohen, Rosenfeld and Kolter, Certified Adversarial Robustness via Randomized Smoothing,
    ICML 2019, https://arxiv.org/abs/1902.02918, applied to each bit as a classifier of two classes;
    the distance over which it changes: Salman et al., NeurIPS 2019,
    https://arxiv.org/abs/1906.04584, lemma 2. Of ours: the bits of a code together.

    Args:
        model: any, wrapped, pretrained or black-box: nothing but its codes is asked. It must give
            an image its code whatever else is in the batch. One that draws at random (`draws` above
            1) draws anew for each noisy image, which are then encoded one by one, and is certified
            with its draws.
        images: float (B, C, H, W) in `[0, 1]`, on any device.
        smoothing: the noise, the number of draws, the confidence.
        seeds: one for each image. Results depend on the image and its seed alone: neither on the
            order of the images nor on `at_once`, but for what the batch does to the rounding inside
            of the model.
        at_once: noisy images of one pass, which memory is needed for; fewer where it runs out.

    Raises:
        UsageError: images of another shape or range, another number of seeds.
        UncertifiableError: the model's outputs under noise are no numbers.
    """
    chosen = majority_codes(model, images, smoothing, seeds, at_once=at_once)
    positive = _votes(model, images, smoothing, seeds, ESTIMATION, at_once)
    agreeing = np.where(chosen > 0, positive, smoothing.draws - positive)
    probability = least_probability(agreeing, smoothing.draws, smoothing.alpha / model.bits)
    abstained = probability <= 0.5
    quantile = ndtri(np.where(abstained, 0.5, probability)) * (1 - ROUNDING)
    return SmoothedBits(
        chosen,
        smoothing.sigma * quantile,
        abstained,
        agreeing,
        math.prod(images.shape[1:]),
        smoothing,
    )


def majority_codes(
    model: HashModel,
    images: Tensor,
    smoothing: Smoothing,
    seeds: Sequence[int],
    *,
    at_once: int = ENCODE_BATCH,
) -> NDArray[np.int8]:
    """The codes of `smoothed_bits` alone, from its `selection` draws: of a database, say.

    A database is not attacked and its codes are what is stored, so that no confidence is asked of
    them. A tie counts as +1.

    Args:
        model: as for `smoothed_bits`, as are the others.
        images: float (B, C, H, W) in `[0, 1]`, on any device.
        smoothing: `draws` and `alpha` do not matter.
        seeds: one for each image.
        at_once: noisy images of one pass.

    Returns:
        int8 (B, K), +1 and -1.

    Raises:
        UsageError: as `smoothed_bits`.
        UncertifiableError: as `smoothed_bits`.
    """
    _check(images, seeds, at_once)
    positive = _votes(model, images, smoothing, seeds, SELECTION, at_once)
    codes: NDArray[np.int8] = np.where(2 * positive >= smoothing.selection, 1, -1).astype(np.int8)
    return codes


def _votes(
    model: HashModel,
    images: Tensor,
    smoothing: Smoothing,
    seeds: Sequence[int],
    purpose: str,
    at_once: int,
) -> NDArray[np.int64]:
    draws = smoothing.draws if purpose == ESTIMATION else smoothing.selection
    return in_halves(at_once, partial(votes, model, images, smoothing.sigma, draws, seeds, purpose))


def _check(images: Tensor, seeds: Sequence[int], at_once: int) -> None:
    as_count(at_once, "at_once")
    if not isinstance(images, Tensor):
        raise UsageError(f"images: expected a tensor of torch, found {type(images).__name__}")
    if images.ndim != 4 or not images.is_floating_point():
        raise UsageError(
            "images: expected floats in [0, 1] of shape (B, C, H, W), found "
            f"{str(images.dtype).removeprefix('torch.')} of shape {tuple(images.shape)}"
        )
    if not isinstance(seeds, Sequence):
        raise UsageError(
            f"seeds: expected a list of whole numbers, one for each image, found {seeds!r}"
        )
    if len(seeds) != len(images):
        raise UsageError(
            f"seeds: expected one for each of {len(images)} images, found {len(seeds)}"
        )
    for seed in seeds:
        if not isinstance(seed, Integral):
            raise UsageError(f"seeds: expected whole numbers, found {seed!r}")
    for part in images.split(ENCODE_BATCH):
        if part.numel() and not bool(((part >= 0) & (part <= 1)).all()):
            raise UsageError("images: expected values in [0, 1], found one outside of it, or NaN")


def _number(value: object) -> float:
    """A number as a float; NaN, which is in no range, for anything else."""
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
