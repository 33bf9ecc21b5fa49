"""Codes of classes that lie as near to each other as the classes' images look alike.

Made from the train images and labels alone, before anything is trained. Hadamard rows are equally
far from each other; a network that has to tell a shirt from a coat by half of all bits spends its
margin there. Codes by similarity leave look-alikes nearer, and what looks different farther apart.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.data.images import Pixels
from hashbench.errors import UsageError

CELL: Final = 4
"""Pixels of a side that are averaged, in images of up to `GRID` times as many."""

GRID: Final = 8
"""Cells of a side, at most: larger images have larger cells."""

RIDGE: Final = 0.01
"""What is added to the covariance's diagonal, in squares of `[0, 1]` pixels."""

STRENGTH: Final = 0.5
"""By how much the target of two classes departs from the simplex's, at most."""

BALANCE: Final = 0.05
"""Weight of the squared column means beside the squared errors of the Gram matrix."""

FLIPS: Final = 6_000
"""Single signs that a start turns, at least."""

STARTS: Final = 20
"""Random sign matrices that are improved, at most."""

_WORK: Final = 2_000_000_000
"""Signs that are looked at, over all flips and starts, at most; some seconds."""

_AT_ONCE: Final = 500
"""Images that are read together."""

_STEPS: Final = 1 << 16
"""Targets are rounded to such parts of a bit, so that the search reckons in whole numbers."""


def similarity_codes(
    images: Pixels, labels: NDArray[np.uint8], bits: int, generator: torch.Generator
) -> Tensor:
    """One code per class, near to each other where the classes' train images are alike.

    Args:
        images: the train set, uint8 (N, C, H, W); read once, some hundred at a time.
        labels: (N, classes) of 0 and 1; an image of several labels counts for each of them.
        bits: code length K, any from 1 on.
        generator: for the random starts.

    Returns:
        (classes, K) float32 of +1 and -1. Where there are more classes than codes, some share one.

    Raises:
        UsageError: there are not as many labels as images.
    """
    target = target_gram(class_distances(images, labels))
    return torch.from_numpy(sign_matrix(target, bits, generator)).float()


def class_distances(images: Pixels, labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mahalanobis distances between the classes' mean images, float64 (classes, classes).

    Images are averaged over cells of 4 x 4 pixels (larger ones, where more than 8 x 8 cells would
    be made); the covariance is that within the classes, pooled over them, plus `RIDGE` times the
    identity. NaN for a class that no image has.

    Args:
        images: uint8 (N, C, H, W).
        labels: (N, classes) of 0 and 1.

    Raises:
        UsageError: there are not as many labels as images.
    """
    if len(images) != len(labels):
        raise UsageError(f"there are {len(images)} images, but labels of {len(labels)}")
    channels, height, width = images.shape[1:]
    rows, columns = _edges(height), _edges(width)
    size = channels * len(rows) * len(columns)
    classes = labels.shape[1]
    sums, squares = np.zeros((classes, size)), np.zeros((size, size))
    for start in range(0, len(images), _AT_ONCE):
        part = labels[start : start + _AT_ONCE].astype(np.float64)
        cells = _cells(images[start : start + _AT_ONCE], rows, columns)
        sums += part.T @ cells
        squares += (cells * part.sum(axis=1, keepdims=True)).T @ cells
    counts = labels.sum(axis=0, dtype=np.float64)
    means = sums / np.maximum(counts, 1)[:, None]
    within = squares - (means * counts[:, None]).T @ means
    covariance = within / max(1.0, counts.sum()) + RIDGE * np.eye(size)
    white = np.linalg.solve(np.linalg.cholesky(covariance), means.T).T
    lengths = np.square(white).sum(axis=1)
    apart = lengths[:, None] + lengths - 2 * white @ white.T
    distances: NDArray[np.float64] = np.sqrt(np.maximum(apart, 0))
    np.fill_diagonal(distances, 0)
    distances[counts == 0] = distances[:, counts == 0] = np.nan
    return distances


def target_gram(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """The products of codes, divided by K, that fit classes so far apart: (classes, classes).

    `-1 / (classes - 1)`, the simplex's, plus `STRENGTH` times `s / max |s|`, where s is
    `exp(-2 D / median D)` less its mean; on the diagonal 1. A class of unknown distance has the
    simplex's; so have all where all are equally far. Mean and median are those of known pairs.

    Args:
        distances: D, symmetric; NaN where it is not known.
    """
    classes = len(distances)
    if classes == 1:
        return np.ones((1, 1))
    known = ~np.isnan(distances) & ~np.eye(classes, dtype=bool)
    gram = np.full((classes, classes), -1 / (classes - 1))
    if known.any() and (middle := float(np.median(distances[known]))) > 0:
        alike = np.exp(-2 * distances / middle)
        alike = np.where(known, alike - alike[known].mean(), 0.0)
        largest = float(np.abs(alike).max())
        if largest > _EQUAL:
            gram += STRENGTH * alike / largest
    np.fill_diagonal(gram, 1)
    wanted: NDArray[np.float64] = np.clip(gram, -1, 1)
    return wanted


_EQUAL: Final = 1e-9
"""Similarities that differ by less differ by rounding: they are not blown up."""


def sign_matrix(
    target: NDArray[np.float64], bits: int, generator: torch.Generator
) -> NDArray[np.int8]:
    """Signs whose products are near a target: the best that a search by single flips comes to.

    `mismatch` is made small from random starts: always the flip that lowers it most, or raises it
    least, among signs that were not flipped a moment ago (tabu search, Glover 1989). The best
    matrix on the way counts. It reckons in whole numbers, the target rounded to 2^-16 of a bit.

    Args:
        target: symmetric (classes, classes), 1 on the diagonal.
        bits: K.
        generator: for the starts.

    Returns:
        int8 (classes, K) of +1 and -1.
    """
    classes = len(target)
    size = classes * bits
    flips = max(1, min(max(FLIPS, size), _WORK // size))
    starts = max(1, min(STARTS, _WORK // (size * flips)))
    drawn = torch.randint(2, (starts, classes, bits), generator=generator)
    search = _Search(target, 2.0 * drawn.numpy() - 1)
    for _ in range(flips):
        search.flip()
    return search.best()


def mismatch(
    signs: NDArray[np.float64] | NDArray[np.int8], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`||W W' / K - T||^2 + BALANCE * sum of squared column means`, for each of many W.

    Args:
        signs: W, (..., classes, K).
        target: T, (classes, classes).
    """
    values = signs.astype(np.float64)
    gram = values @ np.swapaxes(values, -1, -2) / values.shape[-1]
    errors = np.square(gram - target).sum(axis=(-1, -2))
    found: NDArray[np.float64] = errors + BALANCE * np.square(values.mean(axis=-2)).sum(axis=-1)
    return found


class _Search:
    """Some sign matrices at once, each improved by single flips."""

    def __init__(self, target: NDArray[np.float64], signs: NDArray[np.float64]) -> None:
        starts, classes, bits = signs.shape
        self._target = target
        self._signs = signs
        self._at = np.arange(starts)
        # Errors of the Gram matrix, times K, and their products with the signs: whole numbers. The
        # diagonal has no error.
        rounded = np.round(target * bits * _STEPS)
        self._errors = signs @ np.swapaxes(signs, 1, 2) * _STEPS - rounded
        self._errors[:, np.arange(classes), np.arange(classes)] = 0
        self._pulls = self._errors @ signs
        self._columns = signs.sum(axis=1)
        self._balance = BALANCE * (bits / classes) ** 2 * _STEPS
        self._free_at = np.zeros((starts, classes * bits), dtype=np.int64)
        self._wait = min(20, classes * bits // 4)
        self._time = 0
        self._change = np.zeros(starts)
        self._least = np.zeros(starts)
        self._best = signs.copy()

    def flip(self) -> None:
        """Turn one sign of each matrix."""
        signs, at = self._signs, self._at
        starts, classes, bits = signs.shape
        # Of the mismatch, times K^2 2^16: by the products, by the column's sum.
        gains = -8 * signs * self._pulls + 8 * (classes - 1) * _STEPS
        gains += self._balance * 4 * (1 - self._columns[:, None, :] * signs)
        flat = gains.reshape(starts, -1)
        flat[self._free_at > self._time] = np.inf
        chosen = flat.argmin(axis=1)
        self._change += flat[at, chosen]
        rows, columns = np.divmod(chosen, bits)
        old = signs[at, rows, columns].copy()
        # The products of the row that changes, with all others.
        step = -2 * _STEPS * old[:, None] * signs[at, :, columns]
        step[at, rows] = 0
        self._pulls += step[:, :, None] * signs[at, rows][:, None, :]
        self._pulls[at, :, columns] -= 2 * old[:, None] * (self._errors[at, rows] + step)
        self._pulls[at, rows] += (step[:, None, :] @ signs)[:, 0]
        self._errors[at, rows] += step
        self._errors[at, :, rows] += step
        self._columns[at, columns] -= 2 * old
        signs[at, rows, columns] = -old
        self._time += 1
        self._free_at[at, chosen] = self._time + self._wait
        better = self._change < self._least
        if better.any():
            self._least[better] = self._change[better]
            self._best[better] = signs[better]

    def best(self) -> NDArray[np.int8]:
        """The matrix of the least mismatch that was seen; the first of several."""
        found = mismatch(self._best, self._target)
        chosen: NDArray[np.int8] = self._best[int(found.argmin())].astype(np.int8)
        return chosen


def _edges(side: int) -> NDArray[np.int64]:
    """Where cells begin along a side."""
    return np.arange(0, side, max(CELL, -(-side // GRID)))


def _cells(
    pixels: NDArray[np.uint8], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean of each cell in `[0, 1]`, float64 (B, C * cells)."""
    height, width = pixels.shape[2:]
    sums = np.add.reduceat(pixels.astype(np.float64), rows, axis=2)
    sums = np.add.reduceat(sums, columns, axis=3)
    areas = np.outer(np.diff(rows, append=height), np.diff(columns, append=width))
    found: NDArray[np.float64] = (sums / (255 * areas)).reshape(len(pixels), -1)
    return found
