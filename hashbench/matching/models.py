"""Fixed hashes as models that attacks are aimed at: the differentiable copy, and the library."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from hashbench.hashing.model import HashModel
from hashbench.matching.contract import Hasher
from hashbench.matching.pictures import STEPS
from hashbench.matching.verdicts import verdict_of


class FixedModel(HashModel):
    """A hash without backbone, hash layer or weights, for images (B, 3, H, W) in `[0, 1]`."""

    mixed = False

    def __init__(self, hasher: Hasher) -> None:
        """Take the length of the code and the threshold of a hash."""
        nn.Module.__init__(self)
        self.bits = hasher.bits
        self.threshold = hasher.threshold
        # Says on which device the model is; nothing is computed with it.
        self.register_buffer("place", torch.zeros(1), persistent=False)


class ReplicaModel(FixedModel):
    """A hash's replica. It sees what would be saved: the image in 8 bits.

    The logits are the replica's values over each image's own mean of their sizes, so that
    `tanh` is neither flat nor saturated; that mean carries no gradient. A value of exactly 0, a bit
    of 0, lies just below 0 here, where 0 would count as a bit of 1.
    """

    def __init__(self, hasher: Hasher, replica: nn.Module) -> None:
        """Wrap a replica.

        Args:
            hasher: the hash.
            replica: what its `replica` gives for the size of the images.
        """
        super().__init__(hasher)
        self.replica = replica

    @override
    def logits(self, images: Tensor) -> Tensor:
        values: Tensor = self.replica(rounded(images))
        with torch.no_grad():
            tiny = torch.finfo(values.dtype).tiny
            size = values.abs().mean(dim=1, keepdim=True).clamp_(min=tiny)
            below = torch.where(values == 0, -(2.0**-20), 0.0)
        return values / size + below


class VerdictModel(FixedModel):
    """The library itself on the image in 8 bits: codes, and no gradient."""

    differentiable = False

    def __init__(self, hasher: Hasher) -> None:
        """Ask the `verdict` of a hash."""
        super().__init__(hasher)
        self.hasher = hasher

    @override
    def logits(self, images: Tensor) -> Tensor:
        """+1 for a bit of 1, -1 for a bit of 0: (B, K)."""
        codes = np.stack([verdict_of(self.hasher, picture) for picture in in_8_bits(images)])
        signs = np.where(codes, np.float32(1), np.float32(-1))
        return torch.from_numpy(signs).to(images.device)


def rounded(images: Tensor) -> Tensor:
    """The nearest whole 255ths, half up; the gradient goes through as if nothing were rounded."""
    found: Tensor = _Rounded.apply(images)
    return found


def in_8_bits(images: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The same as files: (B, C, H, W) -> uint8 (B, H, W, C), rounded half up, cut to `[0, 1]`."""
    levels = _levels(images.detach()).clamp_(0, STEPS).to(torch.uint8)
    return np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy())


def _levels(images: Tensor) -> Tensor:
    return images.mul(STEPS).add_(0.5).floor_()


class _Rounded(torch.autograd.Function):
    """Rounds forward, and does nothing to the gradient."""

    @staticmethod
    @override
    def forward(ctx: Any, images: Tensor) -> Tensor:
        return _levels(images).div_(STEPS)

    @staticmethod
    @override
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient
