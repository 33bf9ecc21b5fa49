"""The hash `dhash`: the difference hash, by the package imagehash. Needs `[perceptual]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from typing_extensions import override

from hashbench.matching.contract import Proof
from hashbench.matching.imagehashes import ImageHash, reduction
from hashbench.matching.proofs.dhash_proof import DhashProof
from hashbench.plugins import hasher

HEIGHT, WIDTH = 8, 9
"""Rows and columns of the small picture."""


@hasher("dhash", cite="Krawetz, Kind of Like That, The Hacker Factor Blog 2013")
@dataclass(frozen=True)
class DifferenceHash(ImageHash):
    """The difference hash, 64 bits: 8 x 9 greys, each compared with its neighbour to the left.

    Needs pip install 'hashbench[perceptual]'.

    Attributes:
        threshold: the distance up to which two pictures match; beyond 10, Krawetz says, it is
            another picture.
    """

    function: ClassVar[str] = "dhash"

    @override
    def replica(self, height: int, width: int) -> nn.Module:
        return _Replica(height, width)

    @override
    def proof(self, height: int, width: int) -> Proof:
        return DhashProof()


class _Replica(nn.Module):
    """Each grey less the one to its left."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self._greys = reduction(height, width, HEIGHT, WIDTH)

    @override
    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self._greys(images).diff(dim=2).flatten(1).to(images.dtype)
        return out
