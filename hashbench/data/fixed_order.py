"""A shuffled order that is the same on every machine, whatever the version of numpy.

Numpy's random numbers may change from one version to the next, SHA-256 never does: items are sorted
by the SHA-256 of a fixed text and their number.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def fixed_order(salt: str, count: int) -> NDArray[np.int64]:
    """The numbers from 0 to `count - 1`, in the order of `SHA-256(f"{salt} {number}")`."""
    digests = [hashlib.sha256(f"{salt} {number}".encode()).digest() for number in range(count)]
    return np.array(sorted(range(count), key=digests.__getitem__), dtype=np.int64)
