"""What is proven of the nearest items, against every completion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from hashbench.certifying import certified_nearest
from hashbench.errors import UsageError
from support.worst_rankings import Case, cases, random_case


def nearest_codes(case: Case, code: list[int]) -> set[tuple[int, ...]]:
    """The codes at the least distance."""
    distances = (case.codes != np.array(code)).sum(axis=1)
    return {tuple(other) for other in case.codes[distances == distances.min()].tolist()}


def check(case: Case) -> None:
    found = certified_nearest(*case.arguments())
    rankings = [case.ranked(code) for code in case.completions()]
    assert found.relevant.tolist() == [
        all(hit for ranked in rankings for distance, hit in ranked if distance == ranked[0][0])
    ]
    sets = [nearest_codes(case, code) for code in case.completions()]
    stays = all(codes == sets[0] for codes in sets) and len(sets[0]) == 1
    assert found.kept.tolist() == [stays]


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases(free=6))
def test_it_is_what_every_completion_says(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("seed", range(60))
def test_it_is_what_every_completion_says_of_clustered_codes(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two codes far apart, so that often no completion reaches the other one.
    monkeypatch.setattr("hashbench.certifying.nearest._BLOCK_PAIRS", 3)
    rng = np.random.default_rng(seed)
    centers = rng.choice([-1, 1], (2, 16))
    own = rng.integers(0, 2, 10)
    codes = centers[own] * np.where(rng.random((10, 16)) < 0.05, -1, 1)
    row = centers[0].copy()
    row[rng.permutation(16)[: rng.integers(0, 8)]] = 0
    check(Case(row, [1, 0], codes, np.eye(2, dtype=int)[own]))


def test_it_needs_no_enumeration() -> None:
    # 60 uncertain bits: the relevant item leads by more proven bits than the others can win.
    relevant, other = np.ones(128, int), np.ones(128, int)
    other[:59], other[60:] = -1, -1
    row = np.ones((1, 128), int)
    row[:, :60] = 0
    arguments: Any = (row, [[1, 0]], np.array([relevant, other]), np.eye(2, dtype=int))
    assert certified_nearest(*arguments).relevant.tolist() == [True]
    assert certified_nearest(*arguments).kept.tolist() == [True]
    row[:, :70] = 0
    assert certified_nearest(*arguments).relevant.tolist() == [False]


def test_several_items_of_one_code_are_one_answer_but_count_each() -> None:
    found = certified_nearest([[1, 0]], [[1, 0]], [[1, 1], [1, 1]], [[1, 0], [0, 1]])
    assert found.kept.tolist() == [True]
    assert found.relevant.tolist() == [False]


def test_threads_change_nothing() -> None:
    rng = np.random.default_rng(0)
    case = random_case(rng, items=40, bits=12, free=5)
    rows = np.repeat(case.arguments()[0], 9, axis=0)
    labels = rng.integers(0, 2, (9, len(case.query_labels)))
    once = certified_nearest(rows, labels, case.codes, case.labels)
    several = certified_nearest(rows, labels, case.codes, case.labels, threads=4)
    assert once.relevant.tolist() == several.relevant.tolist()
    assert once.kept.tolist() == several.kept.tolist()


def test_other_values_are_refused() -> None:
    with pytest.raises(UsageError, match="bits: expected only"):
        certified_nearest([[3]], [[1]], [[1]], [[1]])
