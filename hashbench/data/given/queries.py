"""Refuses splits of which the database holds the queries, by their pixels."""

from __future__ import annotations

from typing import Final

from hashbench.data.contents import pixel_digests, queries_in_database
from hashbench.data.images import Pixels
from hashbench.errors import UsageError

_TOLERATED: Final = 20
"""One query in so many may be in the database: published splits of photographs hold a few images
twice. More of them say that the two were not split."""


def tolerated_queries_in_database(query: Pixels, database: Pixels) -> int:
    """How many queries the database holds too; the train set may hold any.

    Args:
        query: uint8 (N, C, H, W).
        database: uint8 (M, C, H, W).

    Raises:
        UsageError: more than one query in twenty has the pixels of an image of the database; names
            the first such query, and how many of them there are.
    """
    found = queries_in_database(pixel_digests(query), pixel_digests(database))
    if _TOLERATED * len(found) <= len(query):
        return len(found)
    first = min(found)
    others = f" ({len(found):,} queries are in it)" if len(found) > 1 else ""
    raise UsageError(
        f"the query image {first} is the database image {found[first]} too{others}: a query must "
        "not find itself; leave such images out of one of the two"
    )
