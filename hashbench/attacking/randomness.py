"""Random numbers for attacks: one stream per query, so that no batch size changes a draw."""

from __future__ import annotations

from hashbench.hashing.counter_random import CounterRandom


class QueryRandom(CounterRandom):
    """Draws tensors whose first axis is the queries of one batch.

    Row i comes from query i's own seed alone, whatever the batch and the device; see
    `CounterRandom`.
    """
