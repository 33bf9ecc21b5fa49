"""What Pillow computes where a picture becomes grey and small, exactly: whole numbers alone.

Grey as by `Image.convert("L")`; smaller or larger as by `Image.resize` with `LANCZOS` on 8 bits:
one pass along the rows and one along the columns. Each multiplies by whole numbers, adds one half,
drops the fraction and cuts to 0..255. Source: Pillow, `src/libImaging/Resample.c` and `Convert.c`.

Which pass comes first has changed: up to Pillow 12.1 the one along the rows; Pillow 13 begins with
the columns where the height shrinks much more than the width. A pixel may differ by that. So it is
asked of the Pillow that is installed.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from hashbench.errors import UsageError

GREY: Final = (19595, 38470, 7471)
"""What red, green and blue weigh, in 65,536ths."""

GREY_BITS: Final = 16

BITS: Final = 22
"""The weights of a pass are whole multiples of `2 ** -BITS`."""

LOBES: Final = 3
"""Half the width of the Lanczos kernel, in pixels of the coarser picture."""

_TRIES: Final = 64
"""How many pictures of noise are resized before an order counts as unimportant."""


def grey(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the grey values of pictures.

    Args:
        pictures: (..., H, W, 3), red, green and blue.

    Returns:
        (..., H, W).
    """
    red, green, blue = (pictures[..., channel].astype(np.uint32) for channel in range(3))
    weighed: NDArray[np.uint32] = red * GREY[0] + green * GREY[1] + blue * GREY[2]
    return ((weighed + (1 << (GREY_BITS - 1))) >> GREY_BITS).astype(np.uint8)


def reduced(greys: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return grey values at another size.

    Args:
        greys: (..., H, W).
        height: rows wanted.
        width: columns wanted.

    Returns:
        (..., height, width).

    Raises:
        UsageError: the installed Pillow computes something else.
    """
    first = columns_first(*greys.shape[-2:], height, width)
    return _reduced(greys, height, width, columns=first)


@lru_cache(maxsize=256)
def columns_first(old_height: int, old_width: int, height: int, width: int) -> bool:
    """Return whether the installed Pillow begins with the pass along the columns.

    It resizes pictures of noise until one order alone explains what comes out. Where an axis stays
    as it is, or has one pixel, both orders are the same.

    Args:
        old_height: rows of the picture.
        old_width: its columns.
        height: rows wanted.
        width: columns wanted.

    Raises:
        UsageError: the installed Pillow computes something else.
    """
    if 1 in (old_height, old_width) or old_height == height or old_width == width:
        return False
    generator = np.random.default_rng(0)
    for _ in range(_TRIES):
        noise = generator.integers(0, 2, (old_height, old_width), dtype=np.uint8) * np.uint8(255)
        image = Image.fromarray(noise).resize((width, height), Image.Resampling.LANCZOS)
        found = np.asarray(image)
        orders = [
            columns
            for columns in (False, True)
            if np.array_equal(found, _reduced(noise, height, width, columns=columns))
        ]
        if not orders:
            raise UsageError(
                f"Pillow {PIL.__version__} resizes pictures otherwise than hashbench knows: "
                "install pillow 13.0 or an older one"
            )
        if len(orders) == 1:
            return orders[0]
    return False


@lru_cache(maxsize=64)
def weights(side: int, wanted: int) -> NDArray[np.int64]:
    """Return one pass along an axis as a matrix.

    Args:
        side: pixels along the axis, at least 1.
        wanted: pixels wanted along it, at least 1.

    Returns:
        (wanted, side), to read only, in units of `2 ** -BITS`. Some are negative; a row sums to
        `2 ** BITS` up to the rounding of each weight.
    """
    scale = side / wanted
    stretch = max(scale, 1.0)
    matrix = np.zeros((wanted, side), dtype=np.int64)
    for index, row in enumerate(matrix):
        center = (index + 0.5) * scale
        first = max(int(center - LOBES * stretch + 0.5), 0)
        end = min(int(center + LOBES * stretch + 0.5), side)
        kernel = [_lanczos((x - center + 0.5) * (1.0 / stretch)) for x in range(first, end)]
        # One after the other, as Pillow adds them: Python's `sum` is more exact.
        total = 0.0
        for weight in kernel:
            total += weight
        for x, weight in enumerate(kernel, start=first):
            share = weight / total * (1 << BITS)
            row[x] = int(share + math.copysign(0.5, share))
    matrix.setflags(write=False)
    return matrix


def shares(side: int, wanted: int) -> NDArray[np.float64]:
    """Return `weights` as numbers whose rows sum to 1, about; the arguments are the same."""
    matrix: NDArray[np.float64] = weights(side, wanted).astype(np.float64)
    matrix /= 1 << BITS
    return matrix


def _reduced(
    greys: NDArray[np.uint8], height: int, width: int, *, columns: bool
) -> NDArray[np.uint8]:
    """Both passes, in one order or the other."""
    down = weights(greys.shape[-2], height).astype(np.float64)
    across = weights(greys.shape[-1], width).astype(np.float64).T
    values = greys.astype(np.float64)
    if columns:
        small = _rounded(_rounded(down @ values) @ across)
    else:
        small = _rounded(down @ _rounded(values @ across))
    return small.astype(np.uint8)


def _rounded(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """A pass's sums as whole steps of 8 bits; float64 holds these whole numbers exactly."""
    steps: NDArray[np.float64] = np.floor((sums + 2.0 ** (BITS - 1)) / 2.0**BITS).clip(0, 255)
    return steps


def _lanczos(x: float) -> float:
    """The kernel, 0 outside of `[-LOBES, LOBES)`."""
    return _sinc(x) * _sinc(x / LOBES) if -LOBES <= x < LOBES else 0.0


def _sinc(x: float) -> float:
    """`sin(pi x) / (pi x)`; by the C library's sine, which is Pillow's too."""
    angle = x * math.pi
    return math.sin(angle) / angle if x else 1.0
