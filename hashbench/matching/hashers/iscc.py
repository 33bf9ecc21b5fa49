"""The image code of ISO 24138 (ISCC), by the reference implementation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.matching.contract import Hasher
from hashbench.matching.libraries import check_threshold, library, need
from hashbench.matching.pictures import STEPS
from hashbench.matching.resized import Filter, picture_of, resized, smooth_resized
from hashbench.plugins.base import hasher

SIDE: Final = 32
BLOCK: Final = 8
BITS: Final = (64, 128, 192, 256)
BLOCKS: Final = ((0, 0), (0, 8), (8, 0), (8, 8))
"""Row and column where each 64 bits' coefficients begin, in the order of the code."""

_PACKAGE: Final = "iscc_core"

TOLERANCE: Final = 16
PASSES: Final = 16


@hasher("iscc", cite="ISO 24138, 2024")
@dataclass(frozen=True)
class Iscc(Hasher):
    """ISCC's image code: signs of cosine coefficients against their median, of a picture trimmed.

    By `iscc_core.code_content_image.soft_hash_image_v0`, the reference implementation of ISO 24138.
    What comes before it is what `iscc-sdk` 0.9.7 does by default: near-uniform borders are cut off,
    then the picture becomes grey and 32 x 32 (bicubic) by Pillow. The sdk turns a picture by its
    EXIF and lays transparent ones on white before that: here a picture is in color and upright
    already. The replica computes the same; its gradient takes the borders as they are.

    Attributes:
        bits: 64, as the standard's default, to 256.
        threshold: the distance up to which two pictures match: an eighth of 64 bits, as the
            reference implementation names none. A longer code wants a larger one.
        trim: whether borders are cut off.
    """

    packages: ClassVar[tuple[str, ...]] = ("iscc-core", "pillow")

    bits: int = 64
    threshold: int = 8
    trim: bool = True

    def __post_init__(self) -> None:
        """Refuse other lengths, and a missing package.

        Raises:
            UsageError: a parameter is out of range, or iscc-core is not installed.
        """
        if self.bits not in BITS:
            raise UsageError(f"bits is {self.bits}, expected one of {', '.join(map(str, BITS))}")
        check_threshold(self.threshold, self.bits)
        need(_PACKAGE, "iscc", self.card.name)

    @override
    def verdict(self, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
        top, bottom, left, right = border(picture) if self.trim else _whole(picture)
        small = resized(picture[top:bottom, left:right], 1, SIDE, SIDE, Filter.BICUBIC)
        reference = library(_PACKAGE, "iscc", self.card.name).code_content_image
        digest = reference.soft_hash_image_v0(small.ravel().tolist(), bits=self.bits)
        return np.unpackbits(np.frombuffer(digest, dtype=np.uint8)).astype(np.bool_)

    @override
    def replica(self, height: int, width: int) -> nn.Module | None:
        return _Replica(self.bits, trim=self.trim)


class _Replica(nn.Module):
    """Each coefficient less the median of its block: above 0 where the bit is 1."""

    def __init__(self, bits: int, *, trim: bool) -> None:
        super().__init__()
        self.blocks = BLOCKS[: bits // BLOCK**2]
        self.trim = trim

    @override
    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([self._values(image) for image in images])

    def _values(self, image: Tensor) -> Tensor:
        picture = picture_of(image)
        top, bottom, left, right = border(picture) if self.trim else _whole(picture)
        small = smooth_resized(image[:, top:bottom, left:right], 1, SIDE, SIDE, Filter.BICUBIC)[0]
        steps = small.double() * STEPS
        steps = steps + (steps.round() - steps).detach()  # whole: float32 held 255ths
        coefficients = cosines(cosines(steps).T).T
        values = []
        for row, column in self.blocks:
            block = coefficients[row : row + BLOCK, column : column + BLOCK].reshape(-1)
            middle = block.sort().values[BLOCK**2 // 2 - 1 : BLOCK**2 // 2 + 1]
            values.append(block - (middle[0] + middle[1]) / 2)
        return torch.cat(values)


def cosines(rows: Tensor) -> Tensor:
    """Return the cosine transform of each row, (N, n), n a power of 2.

    These are the steps of iscc-core's `alg_dct` in their order, so that every rounding is the same.
    """
    count = rows.shape[1]
    if count == 1:
        return rows
    half = count // 2
    front, back = rows[:, :half], rows[:, half:].flip(1)
    scale = [math.cos((at + 0.5) * math.pi / count) * 2.0 for at in range(half)]
    even = cosines(front + back)
    odd = cosines((front - back) / torch.tensor(scale, dtype=rows.dtype))
    odd = torch.cat([odd[:, :-1] + odd[:, 1:], odd[:, -1:]], dim=1)
    return torch.stack([even, odd], dim=2).reshape(rows.shape)


def border(picture: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """What is left of a picture without its near-uniform borders, as iscc-sdk 0.9.7 cuts them.

    In each pass the upper left pixel is the color of the border, and a pixel belongs to the content
    if any channel differs from it by more than 16 steps. A pass that would cut one side alone must
    cut a flat band, in which none differs by more than 8. Passes go on until nothing is cut.

    Args:
        picture: (H, W, 3).

    Returns:
        The rows from `top` to before `bottom`, the columns from `left` to before `right`.
    """
    top, bottom, left, right = _whole(picture)
    for _ in range(PASSES):
        part = picture[top:bottom, left:right]
        found = _content(part, TOLERANCE)
        if found is None or found == _whole(part):
            break
        sides = sum(one != two for one, two in zip(found, _whole(part), strict=True))
        if sides == 1 and _content(part, TOLERANCE // 2) != found:
            break
        bottom, right = top + found[1], left + found[3]
        top, left = top + found[0], left + found[2]
    return top, bottom, left, right


def _content(picture: NDArray[np.uint8], tolerance: int) -> tuple[int, int, int, int] | None:
    """The box of the pixels that differ from the upper left one; `None` where none does."""
    differs = (np.abs(picture.astype(np.int16) - picture[0, 0]) > tolerance).any(axis=2)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if not len(rows):
        return None
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _whole(picture: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    return 0, picture.shape[0], 0, picture.shape[1]
