"""Bits of a code that no image of a box can turn."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.certifying.bounds import logit_bounds
from hashbench.certifying.box import image_box
from hashbench.certifying.refusals import refuse_broken_weights, refuse_rounded_products
from hashbench.eps import Eps
from hashbench.errors import TrainingError, UncertifiableError
from hashbench.hashing.encode import BlockEncoder
from hashbench.hashing.halving import in_halves
from hashbench.hashing.model import HashModel

UNCERTAIN: Final = 0
"""In the place of a bit that some image of the box may turn."""

_VALUES: Final = 2**21
"""Pixels that are bounded at a time: a network's widest layers take some hundred bytes for each."""


@torch.no_grad()
def certified_bits(model: HashModel, images: Tensor, eps: Eps) -> NDArray[np.int8]:
    """The code of each image, int8 (B, K): +1 and -1 where it is proven, 0 where it is uncertain.

    Proven is what the model computes in its own floats, with its rounding in any order of its sums:
    the bounds are computed in float64 and leave room for it (`Arithmetic`). At eps 0 there is one
    image and nothing to bound: all bits are those of its code.

    Args:
        model: in eval mode.
        images: (B, C, H, W) in `[0, 1]`, on the model's device; any number of them, they are taken
            in parts.
        eps: the radius of the ball, of L-infinity or L2 (a little more in L2, see `image_box`).

    Raises:
        UncertifiableError: a layer is not known, the model draws or transforms its images, or its
            weights are not finite; names it.
    """
    refuse_broken_weights(model)
    refuse_rounded_products(images.device)
    codes = _codes(model, images)
    if not len(images):
        return codes
    if eps.fraction == 0:
        # Whether a model has a certificate does not depend on eps.
        _proven(model, images[:1], eps)
        return codes
    size = max(1, min(len(images), _VALUES // max(1, images[0].numel())))
    proven = in_halves(size, partial(_all_proven, model, images, eps))
    if bool(((proven != codes) & (proven != UNCERTAIN)).any()):
        raise UncertifiableError(
            "a code of its own is not what its bounds allow: something changes its logits"
        )
    return proven


def _all_proven(model: HashModel, images: Tensor, eps: Eps, size: int) -> NDArray[np.int8]:
    return np.concatenate([_proven(model, part, eps) for part in images.split(size)])


def _proven(model: HashModel, images: Tensor, eps: Eps) -> NDArray[np.int8]:
    # In L-infinity the threat's box: its ends are rounded to float32 as the attacker's are.
    box = image_box(images, eps)
    # A first look in float32 is many times faster. Deep networks that were not trained for it have
    # bounds that say nothing, and so it stays the only one for their images.
    quick = logit_bounds(model, box, finite=False)
    hopeful = ((quick.lower >= 0) | (quick.upper < 0)).any(dim=1)
    bits = np.zeros((len(images), model.bits), np.int8)
    if bool(hopeful.any()):
        part = box.moved(lambda entries: entries[hopeful])
        bounds = logit_bounds(model, part, rounding=True)
        # A logit of 0 counts as +1.
        proven = (bounds.lower >= 0).to(torch.int8) - (bounds.upper < 0).to(torch.int8)
        bits[hopeful.cpu().numpy()] = proven.cpu().numpy()
    return bits


def _codes(model: HashModel, images: Tensor) -> NDArray[np.int8]:
    """The codes as a run stores them, from blocks of the same images."""
    encoder = BlockEncoder(model, len(images))
    try:
        encoder.add(images)
        return encoder.encoded().codes
    except TrainingError as error:
        raise UncertifiableError(f"its codes are not known: {error}") from None
