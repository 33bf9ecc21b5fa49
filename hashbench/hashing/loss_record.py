"""The losses of a training: kept on its device, and read every so many steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

READ_EVERY: Final = 64
"""Steps between two readings: one waits until the device has made them all."""


class NotFiniteError(Exception):
    """A loss is NaN or infinite.

    Attributes:
        step: in which step, counted from 1.
        value: the loss.
    """

    def __init__(self, step: int, value: float) -> None:
        """Of this step."""
        super().__init__(step, value)
        self.step = step
        self.value = value


class LossRecord:
    """The losses of all steps so far; those of the last few may not have been read yet."""

    def __init__(self, losses: Sequence[float], device: torch.device) -> None:
        """Go on from the losses of earlier steps.

        Args:
            losses: of the steps that are done.
            device: where the next ones are computed.
        """
        self._read = list(losses)
        self._waiting = torch.zeros(READ_EVERY, dtype=torch.float64, device=device)
        self._count = 0

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return len(self._read) + self._count

    def add(self, loss: Tensor) -> None:
        """Note the loss of the next step, a tensor of one number; every `READ_EVERY` it is read.

        Raises:
            NotFiniteError: one of the last steps gave no number.
        """
        self._waiting[self._count].copy_(loss.detach().reshape(()))
        self._count += 1
        if self._count == READ_EVERY:
            self.losses()

    def losses(self) -> list[float]:
        """The losses of all steps, in order, once the device has made them.

        Raises:
            NotFiniteError: one is not finite; the first of them.
        """
        found, self._count = self._waiting[: self._count].cpu().tolist(), 0
        for value in found:
            self._read.append(value)
            if not math.isfinite(value):
                raise NotFiniteError(len(self._read), value)
        return self._read
