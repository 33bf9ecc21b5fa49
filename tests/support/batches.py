"""Training batches from arrays of pixels and labels."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from hashbench.hashing import Batch


def batch_of(pixels: NDArray[np.uint8], labels: NDArray[np.uint8], index: Iterable[int]) -> Batch:
    """Some of the images, in this order."""
    chosen = torch.tensor(list(index))
    images = torch.from_numpy(pixels).float()[chosen] / 255
    return Batch(images, torch.from_numpy(labels).float()[chosen], chosen)
