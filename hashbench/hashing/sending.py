"""Tensors on their way to a device: nothing is waited for that nobody asked."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The same values on a device.

    To a GPU they go from pinned memory while this process goes on; whatever is computed there with
    them later comes after them by itself. A copy from pageable memory would first wait until all
    work of the GPU is done.

    Args:
        tensor: of any device; one that lies there already is returned as it is.
        device: where it is wanted.
    """
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
