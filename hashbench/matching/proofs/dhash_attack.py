"""A file that turns one bit of the difference hash, made in closed form: how near the proof is.

The proof lets each row of pixels choose its pair of whole numbers freely. So does this attack, from
pairs that are reached: in each row every pixel goes to the end of the box that some direction
wants. For a weight `m` the pair is taken that helps most, as in the proof; the file counts if the
library says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hashbench.matching.pictures import STEPS, Picture
from hashbench.matching.pillow_resize import columns_first, grey, weights
from hashbench.matching.proofs.dhash_pairs import HEIGHT, SHARES, UNIT, WIDTH
from hashbench.matching.proofs.pillow_bounds import Floats
from hashbench.matching.proofs.radius import MOST, PARTS

_ANGLES: Final = 24
"""Directions in which a row's pairs are sought."""

Verdict = Callable[[NDArray[np.uint8]], NDArray[np.bool_]]


def least_turning_eps(picture: Picture, verdict: Verdict, at_least: Fraction) -> Fraction | None:
    """Return a radius at which some file of a picture turns a bit of `dhash`.

    Args:
        picture: Pillow begins with its rows.
        verdict: the library's code.
        at_least: below it nothing turns, as is proven: the search begins there.

    Returns:
        In `(0, 64/255]` pixels, a multiple of 1/64 step; `None` if no file was found.
    """
    first = int(at_least * STEPS * PARTS) + 1
    for parts in _growing(first):
        if turned_file(picture, verdict, Fraction(parts, PARTS * STEPS)) is not None:
            return Fraction(parts, PARTS * STEPS)
    return None


def turned_file(picture: Picture, verdict: Verdict, eps: Fraction) -> NDArray[np.uint8] | None:
    """Return a file within a radius that turns a bit, if this attack finds one.

    Args:
        picture: Pillow begins with its rows.
        verdict: the library's code.
        eps: the radius, in `[0, 1]` pixels.
    """
    if columns_first(picture.height, picture.width, HEIGHT, WIDTH):
        return None
    lowest, highest = picture.box(eps)
    code = verdict(picture.saved)
    for file in _files(picture.saved, lowest, highest, code.reshape(HEIGHT, WIDTH - 1)):
        if (verdict(file) != code).any():
            return file
    return None


def _growing(first: int) -> Iterator[int]:
    """Radii to try: each of the first few, then in steps of a tenth."""
    parts = first
    while parts <= MOST * PARTS:
        yield parts
        parts += max(1, (parts - first) // 10)


def _files(
    clean: NDArray[np.uint8],
    lowest: NDArray[np.uint8],
    highest: NDArray[np.uint8],
    on: NDArray[np.bool_],
) -> Iterator[NDArray[np.uint8]]:
    """Files that turn a bit by the arithmetic of the two passes."""
    h = weights(clean.shape[1], WIDTH).astype(np.float64)
    v = weights(clean.shape[0], HEIGHT).astype(np.float64)
    own, low, high = (grey(x).astype(np.float64) for x in (clean, lowest, highest))
    angles = np.arange(_ANGLES) * 2 * np.pi / _ANGLES
    for column in range(WIDTH - 1):
        right, left = h[column + 1], h[column]
        patterns = np.cos(angles)[:, None] * right + np.sin(angles)[:, None] * left
        # (pairs, H): what each direction makes of each row, the clean row last.
        ends = [np.where(pattern > 0, high, low) for pattern in patterns]
        greys = [
            np.where(pattern == 0, own, end) for pattern, end in zip(patterns, ends, strict=True)
        ]
        rows = np.stack([*greys, own])
        pairs = _rounded(rows @ np.stack([right, left], axis=1))
        for row in range(HEIGHT):
            for chosen in _choices(pairs, v[row], rises=not on[row, column]):
                yield _file(chosen, patterns, clean, lowest, highest)


def _choices(pairs: Floats, v: Floats, *, rises: bool) -> Iterator[NDArray[np.int64]]:
    """For each row of pixels which of its pairs, where that turns a bit; (H,)."""
    for share in SHARES:
        toward = (share, share - 1) if rises else (share - 1, share)
        value = (pairs @ np.array(toward)) * v
        chosen = value.argmax(axis=0)
        sums = v @ np.take_along_axis(pairs, chosen[None, :, None], axis=0)[0]
        right, left = _rounded(sums)
        if (right > left) if rises else (right <= left):
            yield chosen


def _file(
    chosen: NDArray[np.int64],
    patterns: Floats,
    clean: NDArray[np.uint8],
    lowest: NDArray[np.uint8],
    highest: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """The file with each row's chosen pattern."""
    signs = np.vstack([np.sign(patterns), np.zeros((1, patterns.shape[1]))])[chosen][:, :, None]
    return np.where(signs > 0, highest, np.where(signs < 0, lowest, clean)).astype(np.uint8)


def _rounded(sums: Floats) -> Floats:
    """A pass's rounding and cutting."""
    steps: Floats = np.floor(sums / UNIT + 0.5).clip(0, STEPS)
    return steps
