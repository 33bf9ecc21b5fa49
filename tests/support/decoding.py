"""What tests of several files ask of the decoder."""

from __future__ import annotations

from PIL import Image

from hashbench.data.cache.decode import decoded
from hashbench.data.cache.transform import Transform


def decode(content: bytes, transform: Transform) -> Image.Image:
    """An image as it is decoded, once the memory that was held for it is given back."""
    with decoded(content, transform) as image:
        return image
