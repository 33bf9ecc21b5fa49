"""Random numbers for attacks: one generator per query, so that no batch size changes a draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class QueryRandom:
    """Draws tensors whose first axis is the queries of one batch.

    Row i comes from query i's own generator alone. Numbers are drawn on the CPU and moved, so every
    device sees the same ones.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        """Start one generator per query.

        Args:
            seeds: one seed per query of the batch; torch's generator takes the low 32 bits of it.
            device: where drawn tensors are put.
        """
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._device = torch.device(device)

    def __len__(self) -> int:
        return len(self._generators)

    def uniform(self, shape: Sequence[int], low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform numbers in `[low, high)`, float32, of shape (B, *shape)."""
        unit = self._draw(lambda generator: torch.rand(tuple(shape), generator=generator))
        return low + (high - low) * unit

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Standard normal numbers, float32, of shape (B, *shape)."""
        return self._draw(lambda generator: torch.randn(tuple(shape), generator=generator))

    def integers(self, shape: Sequence[int], high: int) -> Tensor:
        """Whole numbers from 0 to `high - 1`, int64, of shape (B, *shape)."""
        return self._draw(lambda generator: torch.randint(high, tuple(shape), generator=generator))

    def _draw(self, one: Callable[[torch.Generator], Tensor]) -> Tensor:
        return torch.stack([one(generator) for generator in self._generators]).to(self._device)
