"""Attacked images of one cell, and what is left of each in whole pixels of 8 bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hashbench.attacking.threat import LEVELS
from hashbench.data.protocol import Protocol
from hashbench.eps import Norm
from hashbench.results.cell import Cell

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class AttackedImages:
    """The first attacked queries of one cell.

    Attributes:
        cell: what they are of.
        protocol: its card.
        classes: the names of the label columns.
        labels: uint8 (n, classes) of 0 and 1.
        targets: likewise, what a targeted attack leads to; `None` for other attacks.
        clean: uint8 (n, C, H, W), the queries as the data set has them.
        images: float32 (n, C, H, W) in `[0, 1]`, what the model saw.
        rounded: uint8 (n, C, H, W), each pixel the nearest of 256; of two that are equally near the
            even one.
        clean_codes, codes: int8 (n, K), as they are stored.
        codes_here, rounded_codes: int8 (n, K), of `images` and of `rounded`, computed here in one
            way, so that nothing but the rounding is between them.
        precisions: average precision as the protocol says, (n,) each: `clean`, `float`, `rounded`.
        toward_targets: the same by what the targets are relevant to; empty for other attacks.
    """

    cell: Cell
    protocol: Protocol
    classes: tuple[str, ...]
    labels: Bytes
    targets: Bytes | None
    clean: Bytes
    images: NDArray[np.float32]
    rounded: Bytes
    clean_codes: Codes
    codes: Codes
    codes_here: Codes
    rounded_codes: Codes
    precisions: Mapping[str, Floats]
    toward_targets: Mapping[str, Floats]

    def __len__(self) -> int:
        """N."""
        return len(self.images)

    @property
    def bits(self) -> int:
        """K, the length of a code."""
        return int(self.codes.shape[1])

    @cached_property
    def flipped(self) -> NDArray[np.int64]:
        """Bits of code that the attack changes, (n,)."""
        return _differing(self.codes, self.clean_codes)

    @cached_property
    def flipped_rounded(self) -> NDArray[np.int64]:
        """Bits of code in which the rounded image differs from the clean one, (n,)."""
        return _differing(self.rounded_codes, self.clean_codes)

    @cached_property
    def changed(self) -> NDArray[np.int64]:
        """Bits of code that the rounding changes, (n,)."""
        return _differing(self.rounded_codes, self.codes_here)

    @property
    def elsewhere(self) -> int:
        """How many images have another code here than the stored one: see `codes_here`."""
        return int(np.count_nonzero(_differing(self.codes_here, self.codes)))

    @cached_property
    def linf(self) -> Floats:
        """Largest change of a pixel, (n,), in `[0, 1]`: in float32, as it was scored."""
        clean = self.clean.astype(np.float32) / np.float32(LEVELS)
        change = np.abs(self.images - clean).reshape(len(self), -1)
        found: Floats = change.max(axis=1).astype(np.float64)
        return found

    @cached_property
    def l2(self) -> Floats:
        """Euclidean length of the change, (n,)."""
        return _length(self.images.astype(np.float64) - self.clean / LEVELS)

    @cached_property
    def steps(self) -> NDArray[np.int64]:
        """Largest change of a pixel of the rounded image in whole levels, (n,), 0 to 255."""
        moved = np.abs(self.rounded.astype(np.int64) - self.clean)
        found: NDArray[np.int64] = moved.reshape(len(self), -1).max(axis=1)
        return found

    @property
    def rounded_l2(self) -> Floats:
        """Euclidean length of the rounded image's change, (n,)."""
        return _length((self.rounded.astype(np.float64) - self.clean) / LEVELS)

    @cached_property
    def outside(self) -> NDArray[np.bool_]:
        """Which rounded images lie outside of the cell's ball, (n,).

        In L-infinity by up to half a level, and none does where the radius is a whole number of
        255ths. In L2 by up to half a level in every pixel.
        """
        most = self.cell.radius.fraction * LEVELS
        if self.cell.radius.norm is Norm.L2:
            # Both sides are whole numbers, so nothing is rounded.
            lengths = np.square(self.rounded.astype(np.int64) - self.clean)
            inside = int(most**2)
            return np.asarray(lengths.reshape(len(self), -1).sum(axis=1) > inside)
        found: NDArray[np.bool_] = self.steps > int(most)
        return found


def _differing(one: Codes, other: Codes) -> NDArray[np.int64]:
    found: NDArray[np.int64] = (one != other).sum(axis=1, dtype=np.int64)
    return found


def _length(change: Floats) -> Floats:
    found: Floats = np.sqrt(np.square(change).reshape(len(change), -1).sum(axis=1))
    return found


def in_whole_pixels(images: NDArray[np.float32]) -> Bytes:
    """Images in `[0, 1]` as uint8, each pixel the nearest of 256; the even one of two."""
    # A float32 times 255 is exact in a double.
    levels: Bytes = np.rint(images.astype(np.float64) * LEVELS).astype(np.uint8)
    return levels
