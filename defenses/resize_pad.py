"""Random resizing and padding of the input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from hashbench.defending import InputTransformation
from hashbench.errors import UsageError
from hashbench.hashing import CounterRandom
from hashbench.plugins import defense


@defense("resize-pad", cite="Xie et al., ICLR 2018")
@dataclass(frozen=True)
class ResizePad(InputTransformation):
    """Shrink every image by a random factor and put it at a random place among zeros.

    Each image draws anew in each pass: the height uniformly from `ceil(lower * H)` to H, the width
    in proportion, rounded up, then the place, uniformly over all that fit. Nearest neighbour, as in
    the released code. Xie et al. enlarge (299 to 310-331 of 331 pixels); a network of fixed input
    size cannot, so that here the image shrinks and keeps the size as a whole. It is differentiable:
    attacks go through it and average their loss over `draws` passes (EOT).

    Attributes:
        lower: least height as a share of the image's, above 0, at most 1.
        draws: passes that an attack averages over, each of them counted.
    """

    lower: float = 0.8
    draws: int = 10

    differentiable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.lower <= 1:
            raise UsageError(f"lower must be above 0 and at most 1, found {self.lower}")
        if self.draws < 1:
            raise UsageError(f"draws must be 1 or more, found {self.draws}")

    @override
    def transform(self, images: Tensor) -> Tensor:
        count, _, height, width = images.shape
        # Of a seed that the process-wide generator gives, and the same on every device.
        size, top, left = CounterRandom.drawn_from(None, images.device).uniform((3, count))[0]
        # The margin keeps 0.8 * 35, which is 28.000000000000004, at 28.
        least = max(1, math.ceil(self.lower * height - 1e-9))
        rows = least + (size * (height - least + 1)).long()
        columns = -(-rows * width // height)
        down = _placed(rows, (top * (height - rows + 1)).long(), height).to(images)
        across = _placed(columns, (left * (width - columns + 1)).long(), width).to(images)
        # Both steps are linear in each axis. Each sum has one term, so that values are exact.
        return down.unsqueeze(1) @ images @ across.unsqueeze(1).mT


def _placed(sizes: Tensor, starts: Tensor, full: int) -> Tensor:
    """(B, full, full): row i of an image's matrix picks the source pixel of output pixel i.

    All zero where output pixel i lies outside the `sizes` pixels from `starts` on.
    """
    pixels = torch.arange(full, device=starts.device)
    inside = pixels - starts[:, None]
    sizes = sizes[:, None]
    source = inside * full // sizes
    found = (inside >= 0) & (inside < sizes)
    return (source[:, :, None] == pixels) & found[:, :, None]
