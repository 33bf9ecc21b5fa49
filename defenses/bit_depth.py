"""Fewer bits per pixel."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from hashbench.defending import InputTransformation
from hashbench.errors import UsageError
from hashbench.plugins import defense


@defense(
    "bit-depth",
    cite="Guo et al., ICLR 2018; Xu et al., NDSS 2018",
    presets={"squeeze-1": {"bits": 1}, "squeeze-4": {"bits": 4}, "squeeze-5": {"bits": 5}},
)
@dataclass(frozen=True)
class BitDepth(InputTransformation):
    """Round every pixel to one of `2**bits` levels; attacked by BPDA.

    `round(x * (2**bits - 1)) / (2**bits - 1)`, feature squeezing (Xu et al., NDSS 2018; presets
    `squeeze-1`, for MNIST, `squeeze-4` and `squeeze-5`). Backward the identity.

    Attributes:
        bits: 1 to 8; 3 in Guo et al., ICLR 2018.
    """

    bits: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 8:
            raise UsageError(f"bits must be from 1 to 8, found {self.bits}")

    @override
    def transform(self, images: Tensor) -> Tensor:
        top: int = 2**self.bits - 1
        return (images * top).round() / top
