"""What a backbone is given and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from hashbench.data.images import ImageSet


@dataclass(frozen=True)
class InputSpec:
    """The images that a backbone will see.

    Attributes:
        channels, height, width: their shape.
        mean, std: per channel over the train set, in `[0, 1]` pixels.
    """

    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, train: ImageSet) -> InputSpec:
        """Measure a train set."""
        pixels = train.images.astype(np.float64) / 255
        _, channels, height, width = train.images.shape
        return cls(
            channels=channels,
            height=height,
            width=width,
            mean=tuple(float(value) for value in pixels.mean(axis=(0, 2, 3))),
            # A constant channel is left unscaled; rounding makes its deviation 1e-17, not 0.
            std=tuple(
                float(value) if value > 1e-9 else 1.0 for value in pixels.std(axis=(0, 2, 3))
            ),
        )


@dataclass(frozen=True)
class BackboneNet:
    """A network and what the hash layer on top needs to know.

    Attributes:
        module: maps normalised images (B, C, H, W) to features (B, features).
        features: their number.
        mean, std: the normalisation that it was, or will be, trained with; `[0, 1]` pixels.
    """

    module: nn.Module
    features: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
