"""Input diversity: gradients of randomly resized and padded images (Xie et al., CVPR 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from hashbench.attacking.descent import BatchLoss, gradient_of
from hashbench.attacking.randomness import QueryRandom


class InputDiversity:
    """The gradient through a random resizing and padding, drawn per query and step.

    With probability p an image is shrunk by `shrunk`, else it is left alone. The paper enlarges 299
    pixels to 299 up to 329 on a canvas of 330, for networks that take any size; here, as in SAAT,
    the canvas is the image's own size, which every backbone takes, and the image is shrunk to the
    same share of it. Bilinear as in SAAT; the paper's nearest neighbour gives pixels that it skips
    no gradient.
    """

    def __init__(self, probability: float, ratio: float, rng: QueryRandom) -> None:
        """Keep what the draws need.

        Args:
            probability: p, above 0.
            ratio: the least share of a side that an image is shrunk to, in `(0, 1]`.
            rng: one stream per query; four uniform numbers a step.
        """
        self._probability = probability
        self._ratio = ratio
        self._rng = rng

    def __call__(self, loss: BatchLoss, point: Tensor, step: int) -> Tensor:
        """Return the gradient with respect to the images as they are before the resizing."""
        draws = self._rng.uniform((4,))
        chosen = (draws[:, 0] < self._probability).view(-1, 1, 1, 1)

        def through(images: Tensor, at: int) -> Tensor:
            return loss(torch.where(chosen, shrunk(images, draws[:, 1:], self._ratio), images), at)

        return gradient_of(through, point, step)


def shrunk(images: Tensor, draws: Tensor, ratio: float) -> Tensor:
    """Each image resized (bilinear) and put on a black canvas of its old size.

    A side of s pixels gets a length from `floor(ratio * s)` to `s - 1`, all equally likely; both
    sides use one draw, so a square stays one. A side whose `floor(ratio * s)` is s is kept. Every
    place on the canvas is equally likely (both programs leave out the last one).

    Args:
        images: (B, C, H, W).
        draws: (B, 3) numbers in `[0, 1)`: for the size, the row and the column.
        ratio: in `(0, 1]`.
    """
    height, width = images.shape[2:]
    size, row, column = draws.double().unbind(dim=1)
    rows = _placing(height, size, row, ratio).to(images.dtype).unsqueeze(1)
    columns = _placing(width, size, column, ratio).to(images.dtype).unsqueeze(1)
    return rows @ images @ columns.mT


def _placing(side: int, size_draw: Tensor, place_draw: Tensor, ratio: float) -> Tensor:
    """Resizing and placing along one side as a matrix, (B, side, side): bilinear is separable.

    Row i holds the weights of the source pixels in pixel i of the canvas. Pixel centers lie at
    halves, as in `torch.nn.functional.interpolate` with `align_corners=False`. In an image that is
    not enlarged they lie between source pixels, and those beside it a pixel or more away from any,
    so no edge needs care.
    """
    least = max(1, int(ratio * side))
    sizes = (least + (size_draw * (side - least)).floor()).view(-1, 1)
    offsets = (place_draw.view(-1, 1) * (side - sizes + 1)).floor()
    pixels = torch.arange(side, dtype=torch.float64, device=size_draw.device)
    places = pixels - offsets
    sources = (places + 0.5) * side / sizes - 0.5
    return (1 - (sources.unsqueeze(2) - pixels).abs()).clamp(min=0)
