"""A hash in closed form: 16 blocks, and whether the mean green of each lies above the middle.

Its least radii are known exactly, so attacks and proofs can be held against them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from hashbench.plugins import Hasher, Proof, hasher

SIDE = 4


def sums(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Twice the sum of green above the middle, for each block: above 0 is a 1.

    Rows and columns beyond the last whole block count nothing.
    """
    height, width = (SIDE * (side // SIDE) for side in picture.shape[:2])
    whole = picture[:height, :width, 1].astype(np.int64)
    green = whole.reshape(SIDE, height // SIDE, SIDE, width // SIDE)
    found: NDArray[np.int64] = (2 * green - 255).sum(axis=(1, 3)).ravel()
    return found


class Blocks(nn.Module):
    """The same with a gradient."""

    middle: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("middle", torch.tensor(0.5))

    @override
    def forward(self, images: Tensor) -> Tensor:
        steps = torch.floor(images * 255 + 0.5) / 255
        rounded = images + (steps - images).detach()
        count, _, *sides = rounded.shape
        height, width = (SIDE * (side // SIDE) for side in sides)
        whole = rounded[:, 1, :height, :width]
        blocks = whole.reshape(count, SIDE, height // SIDE, SIDE, width // SIDE)
        return (blocks.mean(dim=(2, 4)) - self.middle).flatten(1)


class Exact(Proof):
    """Blocks turn one by one, so what any file can turn is known."""

    def __init__(self, share: float = 1.0) -> None:
        self.share = share

    @override
    def most_turned(
        self, clean: NDArray[np.uint8], lowest: NDArray[np.uint8], highest: NDArray[np.uint8]
    ) -> int:
        bits = sums(clean) > 0
        turned = np.where(bits, sums(lowest) <= 0, sums(highest) > 0)
        return int(turned.sum() * self.share)


@hasher("blocks")
@dataclass(frozen=True)
class BlockHash(Hasher):
    """Sixteen blocks against the middle of green."""

    threshold: int = 3

    @property
    @override
    def bits(self) -> int:
        return SIDE * SIDE

    @override
    def verdict(self, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return sums(picture) > 0

    @override
    def replica(self, height: int, width: int) -> nn.Module | None:
        return Blocks()

    @override
    def proof(self, height: int, width: int) -> Proof | None:
        return Exact()


@hasher("blocks-unsound")
@dataclass(frozen=True)
class UnsoundBlocks(BlockHash):
    """The same with a proof that claims too much."""

    @override
    def proof(self, height: int, width: int) -> Proof | None:
        return Exact(0.5)


@hasher("blocks-alone")
@dataclass(frozen=True)
class LoneBlocks(BlockHash):
    """The same without a replica and without a proof."""

    @override
    def replica(self, height: int, width: int) -> nn.Module | None:
        return None

    @override
    def proof(self, height: int, width: int) -> Proof | None:
        return None
