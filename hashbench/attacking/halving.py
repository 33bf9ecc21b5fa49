"""Queries part by part, in halves where memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hashbench.hashing.halving import Retry, out_of_memory

MadeT = TypeVar("MadeT")


def part_by_part(
    count: int, size: int, make: Callable[[slice], MadeT], keep: Callable[[MadeT], None]
) -> None:
    """Make something of one part of the queries after the other.

    Where memory runs out in `make`, the same part is made again with half the size, which then
    stays, and with the same draws from the process-wide generators; so `make` must leave no other
    trace when it raises. What was made is let go before the next part is begun.

    Args:
        count: number of queries.
        size: queries of a part, 1 or more.
        make: makes something of a slice of the queries, which may reach beyond the last.
        keep: is given what was made, in order; an error of its own is nobody's to repair.

    Raises:
        MemoryError, RuntimeError: memory runs out for a single query.
    """
    start = 0
    while start < count:
        retry = Retry()
        try:
            made = make(slice(start, start + size))
        except (MemoryError, RuntimeError) as error:
            if size == 1 or not out_of_memory(error):
                raise
        else:
            start += size
            keep(made)
            del made
            continue
        size //= 2
        retry.begin()
