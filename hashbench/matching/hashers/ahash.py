"""The hash `ahash`: the average hash, by the package imagehash. Needs `[perceptual]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from typing_extensions import override

from hashbench.matching.contract import Proof
from hashbench.matching.imagehashes import ImageHash, reduction
from hashbench.matching.proofs.ahash_proof import AhashProof
from hashbench.plugins import hasher

SIDE = 8
"""Rows and columns of the small picture."""


@hasher("ahash", cite="Krawetz, Looks Like It, The Hacker Factor Blog 2011")
@dataclass(frozen=True)
class AverageHash(ImageHash):
    """The average hash, 64 bits: a picture of 8 x 8 greys, each compared with their mean.

    Needs pip install 'hashbench[perceptual]'.

    Attributes:
        threshold: the distance up to which two pictures match; beyond 10, Krawetz says, it is
            another picture.
    """

    function: ClassVar[str] = "average_hash"

    @override
    def replica(self, height: int, width: int) -> nn.Module:
        return _Replica(height, width)

    @override
    def proof(self, height: int, width: int) -> Proof:
        return AhashProof()


class _Replica(nn.Module):
    """Greys less their mean; float32 holds both exactly."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self._greys = reduction(height, width, SIDE, SIDE)

    @override
    def forward(self, images: Tensor) -> Tensor:
        greys = self._greys(images).flatten(1).to(images.dtype)
        out: Tensor = greys - greys.mean(dim=1, keepdim=True)
        return out
