"""Replicas: forward to the bit what a library computes, backward the linear map that it rounds.

A fixed hash rounds: pixels to 8 bits, grey values, each pass of a reduction. A gradient knows none
of that, so it is taken of the same map without any rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from typing_extensions import override

STEPS: Final = 255
"""Steps of 8 bits between black and white."""

Exact = Callable[[NDArray[np.uint8]], NDArray[np.floating[Any]]]
"""(B, H, W, 3) uint8 -> (B, M, N), as the library computes it."""


class Followed(nn.Module):
    """Maps images (B, 3, H, W) in `[0, 1]` to (B, M, N), float32 or float64 as the library does.

    The forward pass rounds each pixel to whole 255ths, of two equally near to the larger one, and
    runs on the CPU. Gradients are those of `rows @ (255 colors . image) @ columns^T`.
    """

    rows: Tensor
    columns: Tensor
    colors: Tensor

    def __init__(
        self,
        exact: Exact,
        rows: NDArray[np.float64],
        columns: NDArray[np.float64],
        colors: tuple[float, float, float],
    ) -> None:
        """Keep the two sides of the map.

        Args:
            exact: what the library computes.
            rows: (M, H), what happens along the columns of pixels.
            columns: (N, W), what happens along the rows of pixels.
            colors: what red, green and blue weigh; together 1.
        """
        super().__init__()
        self._exact = exact
        for name, matrix in (("rows", rows), ("columns", columns), ("colors", np.array(colors))):
            self.register_buffer(name, torch.tensor(matrix, dtype=torch.float32), persistent=False)

    @override
    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = _Following.apply(
            images, self._exact, self.rows, self.columns, STEPS * self.colors
        )
        return out


class _Following(torch.autograd.Function):
    """Forward `exact`, backward the linear map."""

    @staticmethod
    @override
    def forward(
        ctx: Any, images: Tensor, exact: Exact, rows: Tensor, columns: Tensor, colors: Tensor
    ) -> Tensor:
        ctx.save_for_backward(rows, columns, colors)
        ctx.number = images.dtype
        levels = torch.empty(images.shape, dtype=torch.uint8, device=images.device)
        # One image at a time stays in a processor's cache; a batch is several times slower.
        for level, image in zip(levels, images.detach(), strict=True):
            level.copy_((image * STEPS + 0.5).floor_().clamp_(0, STEPS))
        values = exact(levels.cpu().numpy().transpose(0, 2, 3, 1))
        return torch.from_numpy(np.ascontiguousarray(values)).to(images.device)

    @staticmethod
    @override
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        rows, columns, colors = ctx.saved_tensors
        grey = rows.T @ grads[0].to(rows.dtype) @ columns
        images = grey[:, None] * colors[:, None, None]
        return images.to(ctx.number), None, None, None, None
