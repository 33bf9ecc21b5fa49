"""What a loss is given when a training begins."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from hashbench.data.images import Pixels


@dataclass(frozen=True)
class LossSetup:
    """The train set as a loss sees it.

    Attributes:
        labels: (N, classes) float32 of 0 and 1.
        bits: code length K.
        generator: for what the loss draws, such as random centers. Seeded by the cell's seed alone,
            so a defense that starts from the base model gets the same centers as the base model.
        images: the train set's images, uint8 (N, C, H, W), read from the disk only where they are
            asked for; `None` where whoever trains hands none over.
    """

    labels: Tensor
    bits: int
    generator: torch.Generator
    images: Pixels | None = field(default=None, repr=False, compare=False)
