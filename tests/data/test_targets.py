"""Targets of targeted attacks: apart from the query, seeded, and each query's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from hashbench.data.targets import draw_targets

Rows = NDArray[np.uint8]


def label_rows(most: int) -> st.SearchStrategy[Rows]:
    return arrays(np.uint8, st.tuples(st.integers(1, most), st.just(4)), elements=st.integers(0, 1))


@settings(deadline=None, max_examples=200)
@given(query=label_rows(8), train=label_rows(12))
def test_a_target_is_a_train_row_that_shares_no_label(query: Rows, train: Rows) -> None:
    targets = draw_targets(query, train)
    assert targets.shape == query.shape
    assert targets.dtype == np.uint8
    rows = {tuple(row) for row in train if row.any()}
    for own, target in zip(query, targets, strict=True):
        apart = {row for row in rows if not np.dot(own, row)}
        assert tuple(target) in apart if apart else not target.any()


@settings(deadline=None, max_examples=50)
@given(query=label_rows(8), train=label_rows(12), cut=st.integers(1, 8))
def test_a_target_depends_on_its_query_and_the_distinct_rows_alone(
    query: Rows, train: Rows, cut: int
) -> None:
    whole = draw_targets(query, train)
    assert np.array_equal(draw_targets(query[:cut], train), whole[:cut])
    twice = np.concatenate([train[::-1], train])
    assert np.array_equal(draw_targets(query, twice), whole)


def test_targets_are_uniform_over_the_rows_that_are_allowed() -> None:
    query = np.tile(np.array([[1, 0, 0, 0]], np.uint8), (3000, 1))
    train = np.eye(4, dtype=np.uint8)
    counts = draw_targets(query, train).sum(axis=0, dtype=np.int64)
    assert counts[0] == 0
    # 1000 each is expected; 5 standard deviations of a binomial are 129.
    assert counts[1:] == pytest.approx([1000] * 3, abs=129)
