"""A network's last good state: what a training that has gone wrong goes back to."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


class LastGood:
    """What a network was like at the end of an epoch, to be put back."""

    def __init__(self, tensors: Iterable[Tensor], epoch: int) -> None:
        """Remember it as it is.

        Args:
            tensors: its parameters and buffers.
            epoch: how many epochs it was trained for.
        """
        self._tensors = list(tensors)
        self._values = [tensor.detach().clone() for tensor in self._tensors]
        self.epoch = epoch

    def keep(self, epoch: int) -> None:
        """Remember it as it is now, unless a number of it is NaN or infinite."""
        finite = [tensor.detach().isfinite().all() for tensor in self._tensors]
        if finite and not bool(torch.stack(finite).all()):
            return
        for value, tensor in zip(self._values, self._tensors, strict=True):
            value.copy_(tensor.detach())
        self.epoch = epoch

    @torch.no_grad()
    def put_back(self) -> str:
        """Make it what it was; returns when that was, in words."""
        for value, tensor in zip(self._values, self._tensors, strict=True):
            tensor.copy_(value)
        return f"after epoch {self.epoch}" if self.epoch else "before the training"
