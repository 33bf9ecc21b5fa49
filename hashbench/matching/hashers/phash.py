"""The hash `phash`: by cosines, as the package imagehash has it. Needs `[perceptual]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import fftpack
from torch import Tensor, nn
from typing_extensions import override

from hashbench.matching import pillow_resize
from hashbench.matching.contract import Proof
from hashbench.matching.followed import Followed
from hashbench.matching.imagehashes import COLORS, ImageHash, small_greys
from hashbench.matching.proofs.phash_proof import PhashProof
from hashbench.plugins import hasher

SIDE = 32
"""Rows and columns of the small picture."""

LOW = 8
"""Rows and columns of the low frequencies, the constant one included."""


@hasher(
    "phash", cite="Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010"
)
@dataclass(frozen=True)
class PerceptualHash(ImageHash):
    """pHash as imagehash has it, 64 bits: low cosines of 32 x 32 greys, compared with their median.

    Needs pip install 'hashbench[perceptual]'.

    Attributes:
        threshold: the distance up to which two pictures match; beyond 10, Krawetz says, it is
            another picture.
    """

    packages: ClassVar[tuple[str, ...]] = (*ImageHash.packages, "scipy")
    function: ClassVar[str] = "phash"

    @override
    def replica(self, height: int, width: int) -> nn.Module:
        return _Replica(height, width)

    @override
    def proof(self, height: int, width: int) -> Proof:
        return PhashProof(self.verdict)


def cosines() -> NDArray[np.float64]:
    """Return the cosine transform of 32 values, as scipy scales it, and its 8 low rows."""
    matrix: NDArray[np.float64] = fftpack.dct(np.eye(SIDE), axis=0)[:LOW]
    return matrix


def frequencies(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return what the library compares with its median.

    By the same calls, picture by picture: where frequencies tie, their rounding decides.

    Args:
        pictures: (B, H, W, 3), red, green and blue.

    Returns:
        (B, 8, 8).
    """
    return np.stack(
        [
            fftpack.dct(fftpack.dct(greys, axis=0), axis=1)[:LOW, :LOW]
            for greys in small_greys(pictures, SIDE, SIDE)
        ]
    )


class _Replica(nn.Module):
    """Frequencies less their median, the mean of the two in the middle."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        down = cosines() @ pillow_resize.shares(height, SIDE)
        across = cosines() @ pillow_resize.shares(width, SIDE)
        self._frequencies = Followed(frequencies, down, across, COLORS)

    @override
    def forward(self, images: Tensor) -> Tensor:
        values = self._frequencies(images).flatten(1)
        middle = values.sort(dim=1).values[:, LOW**2 // 2 - 1 : LOW**2 // 2 + 1]
        out: Tensor = (values - middle.mean(dim=1, keepdim=True)).to(images.dtype)
        return out
