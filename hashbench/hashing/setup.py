"""What a loss is given when a training begins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LossSetup:
    """The train set as a loss sees it.

    Attributes:
        labels: (N, classes) float32 of 0 and 1.
        bits: code length K.
        generator: for what the loss draws, such as random centers. Seeded by the cell's seed alone,
            so a defense that starts from the base model gets the same centers as the base model.
    """

    labels: Tensor
    bits: int
    generator: torch.Generator
