"""Average precision against oracles that walk or enumerate the orders inside the ties."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashbench.retrieval import Normalize, Ties, average_precision, average_precisions
from hashbench.retrieval.harmonic import harmonic_difference
from hashbench.retrieval.ties import Tie, best_cut, expected_cut, worst_cut

Brute = Callable[[Any, int | None, str, str], list[float]]


@st.composite
def cases(draw: st.DrawFn, items: int = 12) -> tuple[dict[str, Any], int | None]:
    """Problems with forced ties, with empty, full and mixed relevance, and a list length."""
    count = draw(st.integers(1, items))
    bits, classes = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    queries = draw(st.integers(1, 2))
    signs = st.sampled_from([-1, 1])
    labels = draw(
        st.sampled_from([st.just(0), st.just(1), st.integers(0, 1), st.sampled_from([0, 0, 0, 1])])
    )

    def table(rows: int, columns: int, values: st.SearchStrategy[int]) -> Any:
        row = st.lists(values, min_size=columns, max_size=columns)
        return np.array(draw(st.lists(row, min_size=rows, max_size=rows)))

    problem = {
        "query_codes": table(queries, bits, signs),
        "database_codes": table(count, bits, signs),
        "query_labels": table(queries, classes, st.integers(0, 1)),
        "database_labels": table(count, classes, labels),
    }
    return problem, draw(st.none() | st.integers(1, count + 2))


def check_all_rules(problem: Any, top_k: int | None, brute: Brute) -> None:
    for normalize in Normalize:
        scores = average_precisions(*problem, top_k=top_k, ties=list(Ties), normalize=normalize)
        for ties in Ties:
            wanted = brute(problem, top_k, ties, normalize)
            np.testing.assert_allclose(scores[ties], wanted, rtol=0, atol=1e-12)
        for lower, upper in (
            (Ties.WORST, Ties.EXPECTED),
            (Ties.EXPECTED, Ties.BEST),
            (Ties.WORST, Ties.STABLE),
            (Ties.STABLE, Ties.BEST),
        ):
            assert (scores[lower] <= scores[upper] + 1e-15).all()


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_every_rule_agrees_with_exact_fractions(
    case: tuple[dict[str, Any], int | None], brute: Brute, problem_type: type[Any]
) -> None:
    check_all_rules(problem_type(**case[0]), case[1], brute)


@pytest.mark.slow
@settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_every_rule_agrees_with_exact_fractions_5000_times(
    case: tuple[dict[str, Any], int | None], brute: Brute, problem_type: type[Any]
) -> None:
    check_all_rules(problem_type(**case[0]), case[1], brute)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases(items=7))
def test_expected_best_and_worst_are_those_of_all_orders(
    case: tuple[dict[str, Any], int | None],
    problem_type: type[Any],
    all_orders: Callable[[Sequence[int]], Iterator[list[int]]],
    score_list: Callable[[Sequence[int], int, str], Fraction],
) -> None:
    problem, top_k = problem_type(**case[0]), case[1]
    for normalize in Normalize:
        got = average_precisions(*problem, top_k=top_k, normalize=normalize)
        for query, (distances, relevant) in enumerate(problem.rows()):
            length = len(distances) if top_k is None else min(top_k, len(distances))
            values = [
                score_list([relevant[item] for item in order], length, normalize)
                for order in all_orders(distances)
            ]
            mean = sum(values, Fraction(0)) / len(values)
            assert got[Ties.EXPECTED][query] == pytest.approx(float(mean), abs=1e-12)
            assert got[Ties.BEST][query] == pytest.approx(float(max(values)), abs=1e-12)
            assert got[Ties.WORST][query] == pytest.approx(float(min(values)), abs=1e-12)


def test_best_is_not_always_the_relevant_item_first() -> None:
    # One hit at rank 1 is a perfect list of two; a second hit at rank 10 would lower its mean.
    query = np.ones((1, 3), dtype=int)
    database = np.ones((11, 3), dtype=int)
    database[1:9, 0] = -1
    database[9:, :2] = -1
    labels = np.zeros((11, 1), dtype=int)
    labels[[0, 10]] = 1
    scores = average_precisions(query, database, [[1]], labels, top_k=10)
    assert scores[Ties.BEST].tolist() == [1.0]
    assert scores[Ties.WORST].tolist() == pytest.approx([(1 + 2 / 10) / 2])
    assert scores[Ties.EXPECTED].tolist() == pytest.approx([(1 + 0.6) / 2])


@pytest.mark.parametrize("bits", [1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 300, 512])
def test_every_code_length(bits: int, make_problem: Callable[..., Any], brute: Brute) -> None:
    problem = make_problem(np.random.default_rng(bits), queries=3, items=40, bits=bits)
    for ties in Ties:
        for top_k in (None, 9):
            got = average_precision(*problem, ties=ties, top_k=top_k)
            np.testing.assert_allclose(got, brute(problem, top_k, ties, "retrieved"), atol=1e-12)


@pytest.mark.parametrize("classes", [1, 8, 21, 64, 65, 257, 2000])
def test_every_number_of_classes(
    classes: int, make_problem: Callable[..., Any], brute: Brute
) -> None:
    problem = make_problem(
        np.random.default_rng(classes), items=50, classes=classes, density=min(0.5, 3 / classes)
    )
    got = average_precision(*problem, top_k=20)
    np.testing.assert_allclose(got, brute(problem, 20, "expected", "retrieved"), atol=1e-12)


def exact_cut(before: int, hits: int, n: int, r: int, m: int, so_far: Fraction) -> Fraction:
    """The mean over the hypergeometric number of hits inside, term by term."""
    score = Fraction(0)
    for x in range(max(0, m - n + r), min(r, m) + 1):
        chance = Fraction(math.comb(r, x) * math.comb(n - r, m - x), math.comb(n, m))
        inner = Fraction(0)
        for place in range(1, m + 1):
            others = Fraction((x - 1) * (place - 1), m - 1) if m > 1 else Fraction(0)
            inner += Fraction(x, m) * (hits + 1 + others) / (before + place)
        if hits + x:
            score += chance * (so_far + inner) / (hits + x)
    return score


@pytest.mark.parametrize(
    ("before", "hits", "n", "r", "m"),
    [(0, 0, 90, 40, 30), (500, 3, 120, 2, 60), (17, 17, 200, 199, 100), (3, 0, 80, 80, 11)],
)
def test_long_straddling_ties(before: int, hits: int, n: int, r: int, m: int) -> None:
    tie = Tie(*(np.array([value], dtype=np.int64) for value in (before, hits, n, r, m)))
    so_far = Fraction(hits, 3)
    got = expected_cut(tie, np.array([float(so_far)]))
    assert got[0] == pytest.approx(float(exact_cut(before, hits, n, r, m, so_far)), abs=1e-13)
    assert worst_cut(tie, np.array([float(so_far)]))[0] <= got[0]
    assert best_cut(tie, np.array([float(so_far)]))[0] >= got[0]


def test_a_cut_through_a_million_tied_items_stays_exact() -> None:
    # All hits alike and nothing before: by symmetry the mean over the count has a simple value,
    # E[AP] = 1/m sum_j (1 + (j - 1) E[(x - 1) / (m - 1)]) / j with x the hits inside.
    n, r, m = 1_000_000, 400_000, 5_000
    tie = Tie(*(np.array([value], dtype=np.int64) for value in (0, 0, n, r, m)))
    harmonic = math.fsum(1 / j for j in range(1, m + 1))
    ratio = (m * r / n - 1) / (m - 1)
    wanted = (harmonic + ratio * (m - harmonic)) / m
    assert expected_cut(tie, np.zeros(1))[0] == pytest.approx(wanted, abs=1e-12)


def test_harmonic_differences_keep_their_digits() -> None:
    for start in (0, 1, 40, 63, 64, 65, 1000, 10**7, 10**9):
        for step in (0, 1, 2, 30, 1000):
            exact = sum((Fraction(1, start + i) for i in range(1, step + 1)), Fraction(0))
            got = harmonic_difference(np.array(start), np.array(start + step))
            assert float(got) == pytest.approx(float(exact), rel=2e-15, abs=0)


def test_two_relevant_items_at_the_end_of_a_long_list() -> None:
    # Differences of tabled harmonic numbers would be off by 1e-8 here.
    items = 4_000_000
    codes = np.ones((items, 1), dtype=np.int8)
    codes[-2:] = -1
    labels = np.zeros((items, 1), dtype=np.uint8)
    labels[-2:] = 1
    score = average_precision([[1]], codes, [[1]], labels)[0]
    wanted = (1 / (items - 1) + 2 / items) / 2
    assert score == pytest.approx(wanted, abs=1e-16)
