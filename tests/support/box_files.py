"""Files of a box for tests of proofs: its corners, random ones, and those that maps want."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def towards(pattern: NDArray[np.float64], lowest: Picture, highest: Picture) -> Picture:
    """Each pixel at the end of the box that a map's signs, (H, W), want."""
    return np.where(pattern[:, :, None] > 0, highest, lowest).astype(np.uint8)


def files_of_the_box(
    lowest: Picture,
    highest: Picture,
    down: NDArray[np.float64],
    across: NDArray[np.float64],
    wanted: NDArray[np.float64],
    rng: np.random.Generator,
    tries: int,
) -> Iterator[Picture]:
    """Corners, random files, and those that move parts of the values `down @ x @ across.T`.

    Args:
        lowest: (H, W, 3).
        highest: (H, W, 3).
        down: (values, H).
        across: (values, W).
        wanted: (values, values), where each value should go, and how urgently.
        rng: draws.
        tries: files of each random kind.
    """
    yield lowest
    yield highest
    yield towards(down.T @ wanted @ across, lowest, highest)
    yield towards(-down.T @ wanted @ across, lowest, highest)
    for _ in range(tries):
        yield rng.integers(lowest, highest, endpoint=True, dtype=np.uint8)
        part = wanted * (rng.random(wanted.shape) < rng.random())
        part *= rng.exponential(size=wanted.shape)
        pattern = down.T @ part @ across
        yield towards(pattern, lowest, highest)
        yield towards(pattern + 0.1 * np.abs(pattern).max(), lowest, highest)


def most_found(
    verdict: Callable[[Picture], NDArray[np.bool_]], clean: Picture, files: Iterator[Picture]
) -> int:
    """How many bits any of the files turns."""
    code = verdict(clean)
    return max(int((verdict(file) != code).sum()) for file in files)
