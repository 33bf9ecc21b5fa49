"""Images by what they hold, whatever they are called: which queries the database holds too."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from hashbench.data.images import Pixels

_PART: Final = 500
"""Images that are read together."""


def pixel_digests(images: Pixels) -> Iterator[bytes]:
    """The SHA-256 of each image's pixels; a part of the images is in memory at a time.

    Args:
        images: uint8 (N, C, H, W).
    """
    for start in range(0, len(images), _PART):
        for image in images[start : start + _PART]:
            yield hashlib.sha256(np.ascontiguousarray(image).data).digest()


def queries_in_database(query: Iterable[bytes], database: Iterable[bytes]) -> dict[int, int]:
    """The queries that are in the database, each with the first place there.

    Args:
        query: what each query holds, such as a digest of its pixels or of its file; kept.
        database: the same of the database's images; not kept.

    Returns:
        Row of the query to row of the database.
    """
    rows: dict[bytes, list[int]] = {}
    for row, content in enumerate(query):
        rows.setdefault(content, []).append(row)
    found: dict[int, int] = {}
    for place, content in enumerate(database):
        for row in rows.pop(content, ()):
            found[row] = place
    return found
