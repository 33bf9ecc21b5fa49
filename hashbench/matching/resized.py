"""Pictures at the size that a hash looks at: by Pillow in 8 bits forward, smooth backward.

A hash of a library begins with Pillow's `convert` and `resize`. Its replica does the same forward,
by Pillow itself, so that both see the same pixels; backward goes the gradient of the same change of
size without rounding, as torch computes it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from typing_extensions import override

from hashbench.matching.pictures import STEPS

GREY: Final = (0.299, 0.587, 0.114)
"""What red, green and blue weigh in Pillow's grey."""


class Filter(StrEnum):
    """How a picture is brought to another size: Pillow's names."""

    BILINEAR = "bilinear"
    BICUBIC = "bicubic"

    @property
    def pillow(self) -> Image.Resampling:
        """The same as Pillow calls it."""
        return Image.Resampling[self.name]


def resized(
    picture: NDArray[np.uint8], channels: int, height: int, width: int, by: Filter
) -> NDArray[np.uint8]:
    """Return a picture at another size, as Pillow makes it.

    Args:
        picture: (H, W, 3), red, green and blue.
        channels: 1 makes it grey first; 3 leaves it in color.
        height: rows wanted.
        width: columns wanted.
        by: the filter.

    Returns:
        (channels, height, width).
    """
    image = Image.fromarray(np.ascontiguousarray(picture))
    if channels == 1:
        image = image.convert("L")
    if image.size != (width, height):
        image = image.resize((width, height), by.pillow)
    found = np.asarray(image)
    return np.ascontiguousarray(found[None] if channels == 1 else found.transpose(2, 0, 1))


def smooth_resized(image: Tensor, channels: int, height: int, width: int, by: Filter) -> Tensor:
    """Return the same of one image (3, H, W), with a gradient: (channels, height, width).

    Forward it is what `resized` gives for the nearest picture of whole steps, in 255ths of `[0, 1]`
    as float32; backward the gradient of the same without rounding.
    """
    if not torch.is_grad_enabled() or not image.requires_grad:
        return _forward(image, channels, height, width, by)
    weights = torch.tensor(GREY, dtype=image.dtype, device=image.device)
    smooth = (image * weights.view(3, 1, 1)).sum(0, keepdim=True) if channels == 1 else image
    if smooth.shape[1:] != (height, width):
        smooth = F.interpolate(
            smooth[None], (height, width), mode=by.value, antialias=True, align_corners=False
        )[0]
    return through(smooth, _forward(image, channels, height, width, by))


def through(smooth: Tensor, exact: Tensor) -> Tensor:
    """Return `exact`, of the shape of `smooth`, which the gradient goes to."""
    found: Tensor = _Through.apply(smooth, exact)
    return found


def picture_of(image: Tensor) -> NDArray[np.uint8]:
    """The picture (H, W, 3) that an image (3, H, W) in `[0, 1]` is saved as."""
    steps = (image.detach() * STEPS + 0.5).floor().clamp(0, STEPS).to(torch.uint8)
    return np.ascontiguousarray(steps.permute(1, 2, 0).cpu().numpy())


def in_unit_range(picture: NDArray[np.uint8]) -> Tensor:
    """Whole steps as 255ths of `[0, 1]`, float32, of the same shape."""
    return torch.from_numpy((picture.astype(np.float64) / STEPS).astype(np.float32))


def _forward(image: Tensor, channels: int, height: int, width: int, by: Filter) -> Tensor:
    found = in_unit_range(resized(picture_of(image), channels, height, width, by))
    return found.to(image.device, image.dtype)


class _Through(torch.autograd.Function):
    """The second forward, the gradient to the first backward."""

    @staticmethod
    @override
    def forward(ctx: Any, smooth: Tensor, exact: Tensor) -> Tensor:
        return exact.clone()

    @staticmethod
    @override
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None
