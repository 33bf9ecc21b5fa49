"""Queries that are in the database, found by their pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

import numpy as np

from hashbench.data.images import Pixels
from hashbench.errors import UsageError

_PART: Final = 500
"""Images that are read together."""

_TOLERATED: Final = 20
"""One query in so many may be in the database: published splits of photographs hold a few images
twice. More of them say that the two were not split."""


def refuse_queries_in_database(query: Pixels, database: Pixels) -> None:
    """Refuse splits that share more than one query in twenty; the train set may hold any.

    Args:
        query: uint8 (N, C, H, W).
        database: uint8 (M, C, H, W). Of both, 32 bytes an image of the queries and a part of the
            images are held.

    Raises:
        UsageError: more than one query in twenty has the pixels of an image of the database; names
            the first such query, and how many of them there are.
    """
    rows: dict[bytes, list[int]] = {}
    for row, content in enumerate(_contents(query)):
        rows.setdefault(content, []).append(row)
    found: dict[int, int] = {}
    for place, content in enumerate(_contents(database)):
        for row in rows.pop(content, ()):
            found[row] = place
    if _TOLERATED * len(found) <= len(query):
        return
    first = min(found)
    others = f" ({len(found):,} queries are in it)" if len(found) > 1 else ""
    raise UsageError(
        f"the query image {first} is the database image {found[first]} too{others}: a query must "
        "not find itself; leave such images out of one of the two"
    )


def _contents(images: Pixels) -> Iterator[bytes]:
    for start in range(0, len(images), _PART):
        for image in images[start : start + _PART]:
            yield hashlib.sha256(np.ascontiguousarray(image).data).digest()
