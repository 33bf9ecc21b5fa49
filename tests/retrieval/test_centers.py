"""Center codes against the formulas, item by item and in whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashbench.retrieval import center_codes


def uniform_center(label: Any, codes: Any, labels: Any) -> Any:
    """``sign(mean of the relevant - mean of the others)``, both means over one denominator."""
    relevant = (labels * label).sum(axis=1) > 0
    near, far = codes[relevant].astype(int), codes[~relevant].astype(int)
    return np.sign(len(far) * near.sum(axis=0) - len(near) * far.sum(axis=0))


def cosine_difference(label: Any, codes: Any, labels: Any) -> Any:
    """Weighted mean of the relevant codes minus the mean of the others, in floats."""
    norm = np.linalg.norm(label) * np.linalg.norm(labels, axis=1)
    weight = np.divide((labels * label).sum(axis=1), norm, out=np.zeros(len(norm)), where=norm > 0)
    near = weight @ codes / weight.sum() if weight.any() else 0.0
    far = codes[weight == 0].mean(axis=0) if (weight == 0).any() else 0.0
    return near - far


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    items=st.integers(1, 40),
    bits=st.integers(1, 12),
    classes=st.integers(1, 10),
    density=st.sampled_from([0.0, 0.1, 0.3, 0.7, 1.0]),
)
def test_both_weightings_follow_their_formula(
    seed: int, items: int, bits: int, classes: int, density: float
) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.choice([-1, 1], (items, bits))
    labels = (rng.random((items, classes)) < density).astype(int)
    wanted = (rng.random((6, classes)) < 0.4).astype(int)
    uniform = center_codes(wanted, codes, labels)
    cosine = center_codes(wanted, codes, labels, weighting="cosine")
    assert uniform.dtype == cosine.dtype == np.int8
    for row, label in enumerate(wanted):
        np.testing.assert_array_equal(uniform[row], uniform_center(label, codes, labels))
        difference = cosine_difference(label, codes, labels)
        tied = np.abs(difference) < 1e-12
        np.testing.assert_array_equal(cosine[row], np.where(tied, 0, np.sign(difference)))


def test_with_one_label_each_the_weightings_agree(make_problem: Callable[..., Any]) -> None:
    problem = make_problem(np.random.default_rng(0), items=300, bits=16)
    labels = np.eye(5, dtype=int)[np.random.default_rng(1).integers(0, 5, 300)]
    wanted = np.eye(5, dtype=int)
    np.testing.assert_array_equal(
        center_codes(wanted, problem.database_codes, labels),
        center_codes(wanted, problem.database_codes, labels, weighting="cosine"),
    )


def test_ties_between_different_numbers_of_labels_stay_zero() -> None:
    # Weights 1 and 1/sqrt(2) within each group cancel exactly, whatever the floats do.
    labels = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 0], [1, 1, 1], [1, 1, 1]])
    codes = np.array([[1], [-1]] * 3)
    assert center_codes([[1, 0, 0]], codes, labels, weighting="cosine").tolist() == [[0]]


def test_degenerate_rows() -> None:
    codes = np.array([[1, 1], [1, -1], [1, 1]])
    labels = np.array([[1, 0], [1, 0], [1, 0]])
    no_label, no_other = [0, 0], [1, 0]
    # Without relevant codes, or without others, CgAT's center is zero; SAAT's is what is left.
    assert center_codes([no_label, no_other], codes, labels).tolist() == [[0, 0], [0, 0]]
    assert center_codes([no_label, no_other], codes, labels, weighting="cosine").tolist() == [
        [-1, -1],
        [1, 1],
    ]


@pytest.mark.parametrize("weighting", ["uniform", "cosine"])
def test_order_and_repetition_play_no_part(
    make_problem: Callable[..., Any], weighting: str
) -> None:
    problem = make_problem(np.random.default_rng(3), items=90, bits=14)
    codes, labels = problem.database_codes, problem.database_labels
    order = np.random.default_rng(4).permutation(90)
    first = center_codes(problem.query_labels, codes, labels, weighting=weighting)
    moved = center_codes(problem.query_labels, codes[order], labels[order], weighting=weighting)
    twice = center_codes(
        problem.query_labels, np.tile(codes, (2, 1)), np.tile(labels, (2, 1)), weighting=weighting
    )
    np.testing.assert_array_equal(first, moved)
    np.testing.assert_array_equal(first, twice)
