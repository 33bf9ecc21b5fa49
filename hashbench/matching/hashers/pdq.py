"""The hash `pdq`: Facebook's, by the package pdqhash. Needs the extra `[perceptual]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from hashbench.matching.box_filter import COLORS, FREQUENCIES, cosines, reduction
from hashbench.matching.contract import Hasher, Proof
from hashbench.matching.followed import Followed
from hashbench.matching.libraries import check_threshold, library, need
from hashbench.matching.pdq_arithmetic import LEAST_SIDE, coefficients
from hashbench.matching.proofs.pdq_proof import PdqProof
from hashbench.plugins import hasher


@hasher("pdq", cite="Facebook, PDQ, ThreatExchange 2019")
@dataclass(frozen=True)
class Pdq(Hasher):
    """PDQ, 256 bits: low frequencies of a picture of 64 x 64, compared with their median.

    Needs pip install 'hashbench[perceptual]'. A picture with a side below 5 pixels has the code of
    zeros.

    Attributes:
        threshold: the distance up to which two pictures match; 31 is what its makers advise.
    """

    packages: ClassVar[tuple[str, ...]] = ("pdqhash",)

    threshold: int = 31

    def __post_init__(self) -> None:
        """Refuse what cannot work, before any work.

        Raises:
            UsageError: an impossible threshold, or pdqhash is not installed.
        """
        check_threshold(self.threshold, self.bits)
        need("pdqhash", "perceptual", self.card.name)

    @property
    @override
    def bits(self) -> int:
        return FREQUENCIES**2

    @override
    def verdict(self, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return the code; bit `16 i + j` is of the frequencies i + 1 (down) and j + 1 (across)."""
        # The library says its bits from the last to the first.
        return np.asarray(self._computed(picture)[0])[::-1].astype(np.bool_)

    def quality(self, picture: NDArray[np.uint8]) -> int:
        """Return how much a picture shows, of 0 to 100; below 50 its makers would not match it.

        Args:
            picture: (H, W, 3) uint8, red, green and blue.
        """
        return int(self._computed(picture)[1])

    def _computed(self, picture: NDArray[np.uint8]) -> Any:
        """The library's answer: bits and quality."""
        return library("pdqhash", "perceptual", self.card.name).compute(
            np.ascontiguousarray(picture)  # it reads the memory as it lies
        )

    @override
    def replica(self, height: int, width: int) -> nn.Module:
        return _Replica(height, width)

    @override
    def proof(self, height: int, width: int) -> Proof:
        return PdqProof(self.verdict)


class _Replica(nn.Module):
    """Frequencies less their lower median; a picture that is too small never gets above 0."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        down, across = cosines() @ reduction(height), cosines() @ reduction(width)
        self._frequencies = Followed(coefficients, down, across, COLORS)
        self._too_small = min(height, width) < LEAST_SIDE

    @override
    def forward(self, images: Tensor) -> Tensor:
        values = self._frequencies(images).flatten(1)
        if self._too_small:
            limit = values.amax(dim=1, keepdim=True)
        else:
            limit = values.median(dim=1, keepdim=True).values
        out: Tensor = (values - limit).to(images.dtype)
        return out
