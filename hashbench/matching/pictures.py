"""Pictures, and the 8-bit files that an attacker may make of one. Numpy; reads no file.

A radius below one step of 8 bits means something only where a picture is known more finely than
its file. So it is where it was brought to another size: its real values are then kept in 256ths of
a step. The attacker changes these by at most `eps`, and saves; saving rounds. A radius of whole
steps is then exactly the ball of that radius around the saved clean file; one between them lets the
attacker move those pixels further whose real value lies close enough to the next one.

A picture that comes as it is, of whole steps, stays within `floor(255 eps)` steps of itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hashbench.errors import UsageError

STEPS: Final = 255
"""Steps of 8 bits between black and white."""

PARTS: Final = 256
"""In how many parts of a step a real value is kept."""


@dataclass(frozen=True)
class Picture:
    """One picture in color.

    Attributes:
        name: its file's path below the folder it comes from, with `/` between its parts.
        values: (H, W, 3). uint8: whole steps. uint16: real values; `v` stands for
            `(v + 1/2) / 256 - 1/2` steps, cut to 0..255, which is no half step, so that rounding is
            never in doubt; its file's pixel is `v // 256`.
    """

    name: str
    values: NDArray[np.uint8] | NDArray[np.uint16]

    def __post_init__(self) -> None:
        """Refuse what is no picture.

        Raises:
            UsageError: another shape or type, or no pixel.
        """
        shape, kind = self.values.shape, self.values.dtype
        if len(shape) != 3 or shape[2] != 3 or 0 in shape or kind not in (np.uint8, np.uint16):
            raise UsageError(
                f"picture '{self.name}': expected uint8 or uint16 of shape (H, W, 3), found {kind} "
                f"{shape}"
            )

    @property
    def is_real(self) -> bool:
        """Whether it is known more finely than its file."""
        return self.values.dtype == np.uint16

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.values.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.values.shape[1])

    @cached_property
    def saved(self) -> NDArray[np.uint8]:
        """The clean 8-bit file, (H, W, 3)."""
        whole = self.values >> 8 if self.is_real else self.values
        file: NDArray[np.uint8] = whole.astype(np.uint8)
        file.setflags(write=False)  # what a hash writes into it would be hashed from then on
        return file

    def image(self) -> NDArray[np.float32]:
        """What an attack starts from: (3, H, W) in `[0, 1]`, the real values."""
        steps = self.values.astype(np.float64)
        if self.is_real:
            steps = ((steps + 0.5) / PARTS - 0.5).clip(0, STEPS)
        image: NDArray[np.float32] = (steps / STEPS).astype(np.float32).transpose(2, 0, 1)
        return np.ascontiguousarray(image)

    def box(self, eps: Fraction) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The least and the largest value that each pixel of a file may have at a radius.

        Counted exactly; the clean file lies in it, and a larger radius has no smaller box.

        Args:
            eps: in `[0, 1]` pixels.

        Returns:
            Two pictures, (H, W, 3) uint8.
        """
        radius = eps * STEPS
        if not self.is_real:
            steps = math.floor(radius)
            whole = self.values.astype(np.int64)
            return _levels(whole - steps), _levels(whole + steps)
        # floor(x -+ radius + 1/2), x counted in 512ths of a step, over one denominator. One table
        # of all 65,536 values: pictures have more pixels.
        numerator, denominator = radius.numerator, radius.denominator
        values = np.arange(PARTS * (STEPS + 1), dtype=object) * 2 + 1 - PARTS
        halves = np.clip(values, 0, 2 * PARTS * STEPS) * denominator + PARTS * denominator
        down = (halves - 2 * PARTS * numerator) // (2 * PARTS * denominator)
        up = (halves + 2 * PARTS * numerator) // (2 * PARTS * denominator)
        return _levels(down)[self.values], _levels(up)[self.values]


def _levels(steps: NDArray[np.int64] | NDArray[np.object_]) -> NDArray[np.uint8]:
    """Whole steps cut to what 8 bits hold."""
    return np.clip(steps, 0, STEPS).astype(np.uint8)
