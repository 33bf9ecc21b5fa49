"""The cross-check of proofs and attacks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hashbench.certifying import certified_precision, violations
from hashbench.errors import UsageError
from hashbench.retrieval import Normalize, average_precision


@pytest.mark.parametrize("normalize", list(Normalize))
@pytest.mark.parametrize("budget", [0, 200, 1 << 14])
def test_no_completion_is_below_and_a_raised_proof_is_found(normalize: str, budget: int) -> None:
    rng = np.random.default_rng(1)
    codes = rng.choice(np.array([-1, 1]), (3_000, 16))
    rows = codes[:50].copy()
    rows[rng.random(rows.shape) < 0.5] = 0
    asked, labels = rng.integers(0, 2, (50, 4)), rng.integers(0, 2, (3_000, 4))
    certified = certified_precision(
        rows, asked, codes, labels, top_k=1_000, normalize=normalize, budget=budget
    )
    for _ in range(20):
        turned = np.where(rows == 0, rng.choice([-1, 1], rows.shape), rows)
        attacked = average_precision(
            turned, codes, asked, labels, top_k=1_000, ties="worst", normalize=normalize
        )
        assert violations(certified, attacked).tolist() == []
    # The completion that is named attains the bound, so anything above it is found out.
    found = certified.exact & (certified.average_precision > 0)
    attacked = average_precision(
        np.where(certified.codes == 0, 1, certified.codes),
        codes,
        asked,
        labels,
        top_k=1_000,
        ties="worst",
        normalize=normalize,
    )
    raised = replace(certified, average_precision=certified.average_precision + 1e-6 * found)
    assert violations(raised, attacked).tolist() == np.flatnonzero(found).tolist()
    if budget == 1 << 14:
        assert found.sum() > 40


def test_the_room_for_rounding_is_narrow() -> None:
    rng = np.random.default_rng(2)
    codes, labels = rng.choice(np.array([-1, 1]), (10_000, 32)), rng.integers(0, 2, (10_000, 3))
    certified = certified_precision(codes[:5], labels[:5], codes, labels)
    proven = certified.average_precision
    assert violations(certified, proven).tolist() == []
    assert violations(certified, proven - 1e-12).tolist() == []
    used = np.flatnonzero(labels[:5].any(axis=1))
    assert violations(certified, proven - 1e-9).tolist() == used.tolist()


def test_a_nan_is_no_proof_that_all_is_well() -> None:
    certified = certified_precision([[1, 1]] * 2, [[1]] * 2, [[1, 1]], [[1]])
    assert violations(certified, [1.0, float("nan")]).tolist() == [1]


def test_another_number_of_queries_is_refused() -> None:
    certified = certified_precision([[1, 1]] * 2, [[1]] * 2, [[1, 1]], [[1]])
    with pytest.raises(UsageError, match=r"attacked: expected the AP of each of 2 queries, found"):
        violations(certified, [1.0])
