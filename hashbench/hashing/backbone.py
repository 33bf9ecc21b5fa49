"""The input of a backbone's builder, and its result."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import nn

from hashbench.data.images import ImageSet

# Images that are read at a time where all of them are.
_PART = 500


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
        """Measure a train set, part by part: mean and deviation are exact up to their rounding."""
        count, channels, height, width = train.images.shape
        sums, squares = [0] * channels, [0] * channels
        for start in range(0, count, _PART):
            part = train.images[start : start + _PART]
            for channel in range(channels):
                pixels = part[:, channel]
                sums[channel] += int(pixels.sum(dtype=np.int64))
                # 255 * 255 still fits 16 bits.
                squares[channel] += int(np.square(pixels, dtype=np.uint16).sum(dtype=np.int64))
        number = count * height * width
        # Python's integers neither round nor overflow, so a constant channel has deviation 0.
        spreads = [number * of - by * by for of, by in zip(squares, sums, strict=True)]
        return cls(
            channels=channels,
            height=height,
            width=width,
            mean=tuple(value / (255 * number) for value in sums),
            # A constant channel is left unscaled.
            std=tuple(
                math.sqrt(value / (255 * number) ** 2) if value else 1.0 for value in spreads
            ),
        )


@dataclass(frozen=True)
class BackboneNet:
    """A network and what the hash layer on top needs to know.

    Attributes:
        module: maps normalised images (B, C, H, W) to features (B, features).
        features: their number.
        mean, std: the normalisation that it was, or will be, trained with; `[0, 1]` pixels. Three
            values for grey images of one channel repeat that channel: `module` then sees three.
        hash_std: the hash layer starts from a normal distribution of this deviation and bias 0;
            `None` leaves torch's own start, uniform in `+-1/sqrt(features)`.
    """

    module: nn.Module
    features: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    hash_std: float | None = None
