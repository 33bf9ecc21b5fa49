"""Chance, ceiling and degenerate queries: what follows from the labels alone."""

from __future__ import annotations

import numpy as np
import pytest

from hashbench.retrieval import DegenerateQueries, ceiling, chance_level, degenerate_queries

QUERIES = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
DATABASE = [[1, 1, 0], [1, 0, 0], [1, 1, 0]]


def test_degenerate_queries_are_counted() -> None:
    assert degenerate_queries(QUERIES, DATABASE) == DegenerateQueries(
        queries=3, without_relevant=1, only_relevant=1
    )


def test_chance_of_a_hand_counted_protocol() -> None:
    # Two of three items are relevant: orders RRx, RxR, xRR.
    second = (1 + (1 + 2 / 3) / 2 + (1 / 2 + 2 / 3) / 2) / 3
    assert chance_level(QUERIES, DATABASE) == pytest.approx((1 + second + 0) / 3, abs=1e-15)
    # A list of one: a hit with chance 2/3.
    assert chance_level(QUERIES, DATABASE, top_k=1) == pytest.approx((1 + 2 / 3) / 3, abs=1e-15)
    relevant = chance_level(QUERIES, DATABASE, top_k=1, normalize="relevant")
    assert relevant == pytest.approx((1 / 3 + 2 / 3 / 2) / 3, abs=1e-15)


def test_ceiling_of_a_hand_counted_protocol() -> None:
    assert ceiling(QUERIES, DATABASE) == pytest.approx(2 / 3)
    assert ceiling(QUERIES, DATABASE, top_k=1) == pytest.approx(2 / 3)
    assert ceiling(QUERIES, DATABASE, top_k=1, normalize="capped") == pytest.approx(2 / 3)
    relevant = ceiling(QUERIES, DATABASE, top_k=1, normalize="relevant")
    assert relevant == pytest.approx((1 / 3 + 1 / 2) / 3)


def test_chance_of_a_large_protocol_is_close_to_the_relevant_share() -> None:
    labels = np.zeros((100_000, 1), dtype=np.uint8)
    labels[:30_000] = 1
    assert chance_level([[1]], labels) == pytest.approx(0.3, abs=1e-3)
    assert chance_level([[1]], labels) > 0.3
