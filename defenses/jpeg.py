"""JPEG compression of the input."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from typing_extensions import override

from hashbench.defending import InputTransformation
from hashbench.errors import UsageError
from hashbench.plugins import defense

Pixels = NDArray[np.uint8]

_BLOCK = 8
# libjpeg's longest side; and pixels that Pillow decodes without a warning, with room to spare.
_LONGEST, _LARGEST = 65_500, 2**24


@defense("jpeg", cite="Dziugaite et al., 2016; Guo et al., ICLR 2018")
@dataclass(frozen=True)
class JPEG(InputTransformation):
    """Compress every image by JPEG and show the model what is left; attacked by BPDA.

    Rounded to 8 bits, then Pillow's codec on the CPU: colour with halved chroma (4:2:0), its
    default, grey images as luma alone. Backward the identity.

    Attributes:
        quality: 1 to 100; 75 in Guo et al., ICLR 2018.
    """

    quality: int = 75

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise UsageError(f"quality must be from 1 to 100, found {self.quality}")

    @override
    def transform(self, images: Tensor) -> Tensor:
        """Encode and decode; see `InputTransformation.transform`.

        Raises:
            UsageError: images of neither 1 nor 3 channels.
        """
        if images.shape[1] not in (1, 3):
            raise UsageError(f"jpeg takes images of 1 or 3 channels, found {images.shape[1]}")
        pixels = (images * 255).round().clamp(0, 255).to("cpu", torch.uint8).numpy()
        seen = self._grey(pixels[:, 0]) if len(pixels[0]) == 1 else self._colour(pixels)
        return (torch.from_numpy(seen).to(images.device) / 255).to(images.dtype)

    def _grey(self, pixels: Pixels) -> Pixels:
        """(B, H, W) -> (B, 1, H, W), many on one sheet: ten times as fast where they are small.

        Blocks of 8 x 8 know nothing of each other where there is no chroma, and the codec fills
        incomplete ones with the last row and column too.
        """
        count, height, width = pixels.shape
        margins = ((0, 0), (0, -height % _BLOCK), (0, -width % _BLOCK))
        blocks = np.pad(pixels, margins, mode="edge")
        full, wide = blocks.shape[1:]
        per_sheet = max(1, min(_LONGEST // full, _LARGEST // (full * wide)))
        sheets = [
            self._through(blocks[start : start + per_sheet].reshape(-1, wide))
            for start in range(0, count, per_sheet)
        ]
        seen = np.concatenate(sheets).reshape(count, full, wide)
        return np.ascontiguousarray(seen[:, None, :height, :width])

    def _colour(self, pixels: Pixels) -> Pixels:
        """(B, 3, H, W) -> the same, one by one: chroma is smoothed across blocks."""
        last = np.ascontiguousarray(np.moveaxis(pixels, 1, -1))
        return np.stack([np.moveaxis(self._through(image), -1, 0) for image in last])

    def _through(self, image: Pixels) -> Pixels:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=self.quality)
        with Image.open(stream, formats=("JPEG",)) as decoded:
            return np.asarray(decoded)
