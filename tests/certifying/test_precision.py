"""The least AP over all completions against brute force, and that faults put in are caught."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashbench.certifying import branching, certified_precision, certified_precision_at
from hashbench.certifying.measures import AveragePrecision, harmonic_numbers
from hashbench.errors import UsageError
from hashbench.retrieval import Normalize, Tally, Ties, average_precision, pack_codes
from support.worst_rankings import Case, cases, least_precision, random_case

# Values in [0, 1] from sums of at most a dozen terms in float64, each with an error of a few 1e-15.
CLOSE = 1e-12
TIES = ["worst", "expected"]
OPTIONS: Any = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few bits at a time, so that small cases are searched too."""
    monkeypatch.setattr(branching, "_AT_ONCE", 1)
    monkeypatch.setattr(branching, "_STEP", 2)


def check_exact(
    case: Case, top_k: int | None = None, normalize: str = "relevant", ties: str = "worst"
) -> None:
    found = certified_precision(*case.arguments(), top_k=top_k, normalize=normalize, ties=ties)
    assert found.exact.tolist() == [True]
    assert found.uncertain.tolist() == [list(case.row).count(0)]
    brute = least_precision(case, top_k, normalize, ties)
    assert found.average_precision[0] == pytest.approx(brute, abs=CLOSE, rel=0)
    # The completion that is named is one, and has the value.
    code = found.codes[0]
    assert ((case.row == 0) | (code == case.row)).all()
    _, query_labels, codes, labels = case.arguments()
    options: Any = {"top_k": top_k, "ties": ties, "normalize": normalize}
    own = average_precision(found.codes, codes, query_labels, labels, **options)
    assert own.tolist() == found.average_precision.tolist()


def is_searched(case: Case, top_k: int | None, normalize: str, ties: str) -> bool:
    """Whether the measure itself is searched: not of a mean that a bound stands for."""
    cut = top_k is not None and top_k < len(case.codes)
    return not (ties == "expected" and normalize == "retrieved" and cut and 0 in case.row)


def check_sound(
    case: Case, top_k: int | None = None, normalize: str = "relevant", ties: str = "worst"
) -> None:
    """Every budget gives a lower bound, the larger ones no smaller ones."""
    brute, before = least_precision(case, top_k, normalize, ties), 0.0
    searched = is_searched(case, top_k, normalize, ties)
    for budget in (0, 1, 2, 4, 5, 9, 20, 50, 1 << 10):
        found = certified_precision(
            *case.arguments(), top_k=top_k, normalize=normalize, ties=ties, budget=budget
        )
        bound = float(found.average_precision[0])
        assert bound <= brute + CLOSE
        assert bound >= before - CLOSE
        assert searched or not found.exact[0] or brute == 0
        if found.exact[0] or (searched and budget >= 1 << list(case.row).count(0)):
            assert bound == pytest.approx(brute, abs=CLOSE, rel=0)
        before = bound


@pytest.mark.parametrize("ties", TIES)
@settings(max_examples=200, **OPTIONS)
@given(case=cases())
def test_with_up_to_8_uncertain_bits_it_is_the_least_of_all_completions(
    ties: str, case: Case
) -> None:
    check_exact(case, ties=ties)


@pytest.mark.slow
@pytest.mark.parametrize("ties", TIES)
@settings(max_examples=2000, **OPTIONS)
@given(case=cases())
def test_with_up_to_8_uncertain_bits_it_is_the_least_of_all_completions_2000_times(
    ties: str, case: Case
) -> None:
    check_exact(case, ties=ties)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("normalize", list(Normalize))
@settings(max_examples=150, **OPTIONS)
@given(case=cases(free=5), top_k=st.none() | st.integers(1, 10))
def test_every_list_length_and_normalisation(
    normalize: str, ties: str, case: Case, top_k: int | None
) -> None:
    if is_searched(case, top_k, normalize, ties):
        check_exact(case, top_k, normalize, ties)
    else:
        check_sound(case, top_k, normalize, ties)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("normalize", list(Normalize))
@pytest.mark.parametrize("seed", range(60))
def test_every_budget_gives_a_bound_and_more_gives_no_less(
    normalize: str, ties: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    case = random_case(rng)
    for top_k in (None, int(rng.integers(1, 14))):
        check_sound(case, top_k, normalize, ties)


@pytest.mark.slow
@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("normalize", list(Normalize))
@settings(max_examples=500, **OPTIONS)
@given(case=cases(free=6), top_k=st.none() | st.integers(1, 10))
def test_every_budget_gives_a_bound_500_times(
    normalize: str, ties: str, case: Case, top_k: int | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(branching, "_AT_ONCE", 1)
        patch.setattr(branching, "_STEP", 2)
        check_sound(case, top_k, normalize, ties)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("seed", range(40))
def test_a_search_that_closes_early_is_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    case = random_case(rng, items=30, bits=12, free=8)
    found = certified_precision(*case.arguments(), budget=100)
    if found.exact[0]:
        check_exact(case)
    assert found.average_precision[0] <= least_precision(case) + CLOSE


def half_of_the_completions(counts: Any) -> Any:
    def counted(*arguments: Any, bits: int, places: int) -> Any:
        found = counts(*arguments, bits=bits, places=places)
        half = max(1, found.shape[1] // 2)
        return np.concatenate([found[:, :half]] * (2 if bits else 1), axis=1)

    return counted


def the_larger_end(step: Any) -> Any:
    # The released mistake of CertPHash: the larger of two numbers of flips, where both can occur.
    def made(sides: Any, fixed: Any, free: Any) -> Any:
        right = step(sides, fixed, free)
        moves = [side.moves[free].max(axis=0, initial=0).astype(np.int64) for side in sides]
        return branching._Step(right.fixed, right.last, right.patterns, moves)

    return made


def relevant_as_near(step: Any) -> Any:
    def made(sides: Any, fixed: Any, free: Any) -> Any:
        right = step(sides, fixed, free)
        moves = [np.zeros_like(right.moves[0]), right.moves[1]]
        return branching._Step(right.fixed, right.last, right.patterns, moves)

    return made


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("counts_within", half_of_the_completions),
        ("_step", the_larger_end),
        ("_step", relevant_as_near),
    ],
)
def test_an_unsound_bound_put_in_on_purpose_is_caught(
    name: str, fault: Callable[[Any], Any], ties: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = [random_case(np.random.default_rng(seed)) for seed in range(60)]
    for case in drawn:
        check_sound(case, ties=ties)
    monkeypatch.setattr(branching, name, fault(getattr(branching, name)))
    caught = 0
    for case in drawn:
        try:
            check_sound(case, ties=ties)
        except AssertionError:
            caught += 1
    assert caught


@pytest.mark.usefixtures("small_steps")
def test_the_bound_of_the_other_divisors_would_be_unsound_for_retrieved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A late hit that falls out of the list raises the mean precision of those inside.
    drawn = [random_case(np.random.default_rng(seed), items=14) for seed in range(200)]
    for case in drawn[:50]:
        check_sound(case, 5, "retrieved")
    monkeypatch.setattr(AveragePrecision, "bounds", AveragePrecision.values)
    caught = 0
    for case in drawn:
        try:
            check_sound(case, 5, "retrieved")
        except AssertionError:
            caught += 1
    assert caught


@pytest.mark.parametrize("ties", [Ties.WORST, Ties.EXPECTED])
@pytest.mark.parametrize("normalize", list(Normalize))
@pytest.mark.parametrize("length", [1, 3, 50, 999, 4_000])
def test_the_values_of_a_search_are_those_of_retrieval_within_the_stated_rounding(
    normalize: Normalize, ties: Ties, length: int
) -> None:
    rng = np.random.default_rng(length)
    total = rng.integers(0, 200, (300, 40)) * (rng.random((300, 40)) < 0.5)
    total[:, -1] += 4_000 - total.sum(axis=1)
    hits = (total * rng.random(total.shape)).astype(np.int64)
    hits[:, 0] = np.minimum(total[:, 0], hits[:, 0] + 1)
    hits[:, -1] += 3_000 - hits.sum(axis=1)
    assert ((hits >= 0) & (hits <= total)).all(axis=1).sum() > 100
    rows = ((hits >= 0) & (hits <= total)).all(axis=1)
    tally = Tally(total[rows], hits[rows])
    measure = AveragePrecision(length, 4_000, 3_000, normalize, harmonic_numbers(4_000), ties)
    within = np.cumsum(tally.relevant, axis=1).T, np.cumsum(tally.total - tally.relevant, axis=1).T
    found = measure.values(*within)
    assert measure.rounding < 1e-10
    if measure.exact:
        assert found == pytest.approx(measure.of(tally), abs=measure.rounding, rel=0)
    else:
        assert (found <= measure.of(tally) + measure.rounding).all()
    # A ranking in which nothing is free is its own bound, or more than that.
    assert (measure.bounds(*within) <= found + 2 * measure.rounding).all()


def problem(rng: np.random.Generator, *, queries: int, items: int, bits: int) -> tuple[Any, ...]:
    rows = rng.choice(np.array([-1, 1], np.int8), (queries, bits))
    labels = rng.integers(0, 2, (queries, 3)), rng.integers(0, 2, (items, 3))
    return rows, labels[0], rng.choice(np.array([-1, 1], np.int8), (items, bits)), labels[1]


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("normalize", list(Normalize))
@pytest.mark.parametrize("top_k", [None, 1, 37, 500])
def test_without_an_uncertain_bit_it_is_average_precision_to_the_last_digit(
    normalize: str, ties: str, top_k: int | None
) -> None:
    rows, asked, codes, labels = problem(np.random.default_rng(3), queries=70, items=400, bits=24)
    options: Any = {"top_k": top_k, "ties": ties, "normalize": normalize}
    found = certified_precision(rows, asked, codes, labels, **options)
    wanted = average_precision(rows, codes, asked, labels, **options)
    assert found.average_precision.tolist() == wanted.tolist()
    assert found.exact.all()
    assert found.proven_bits.tolist() == [1.0] * 70


def test_budget_0_takes_relevant_items_as_far_and_others_as_near_or_knows_better() -> None:
    # Both items have the same uncertain bit: it moves them together, and changes nothing.
    found = certified_precision([[1, 0]], [[1]], [[1, 1], [-1, 1]], [[1], [0]], budget=0)
    assert found.average_precision[0] == pytest.approx(1, abs=CLOSE)
    # They differ in it: the irrelevant item may come first.
    found = certified_precision([[1, 0]], [[1]], [[1, 1], [1, -1]], [[1], [0]], budget=0)
    assert found.average_precision[0] == pytest.approx(0.5, abs=CLOSE)
    assert found.examined.tolist() == [0]
    assert found.codes.tolist() == [[1, 0]]


@pytest.mark.parametrize("seed", range(20))
def test_budget_0_is_never_below_the_plain_loose_bound(seed: int) -> None:
    case = random_case(np.random.default_rng(seed))
    row = np.array(case.row)
    proven, free = np.flatnonzero(row), int((row == 0).sum())
    # Two databases' worth of bits: relevant items get all uncertain bits wrong, others none.
    relevant = (case.labels @ np.array(case.query_labels)) > 0
    loose = np.ones((len(case.codes), len(row)), int)
    loose[:, : proven.size] = case.codes[:, proven] * row[proven]
    loose[relevant, proven.size :] = -1
    ones = np.ones((1, len(row)), int)
    plain = average_precision(
        ones, loose, [case.query_labels], case.labels, ties="worst", normalize="relevant"
    )
    found = certified_precision(*case.arguments(), budget=0)
    assert proven.size + free == row.size
    assert found.average_precision[0] >= plain[0] - CLOSE


def test_threads_order_and_packing_change_nothing() -> None:
    rng = np.random.default_rng(5)
    rows, asked, codes, labels = problem(rng, queries=30, items=200, bits=40)
    rows[rng.random(rows.shape) < 0.3] = 0
    once = certified_precision(rows, asked, codes, labels, budget=200)
    order = rng.permutation(len(codes))
    for other in (
        certified_precision(rows, asked, codes, labels, budget=200, threads=3),
        certified_precision(rows, asked, codes[order], labels[order], budget=200),
        certified_precision(rows, asked, pack_codes(codes), labels, budget=200),
    ):
        assert other.average_precision.tolist() == once.average_precision.tolist()
        assert other.codes.tolist() == once.codes.tolist()
        assert other.examined.tolist() == once.examined.tolist()


def test_more_than_64_bits_and_a_database_beyond_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    rows, asked, codes, labels = problem(rng, queries=4, items=60, bits=130)
    rows[:, rng.permutation(130)[:9]] = 0
    found = certified_precision(rows, asked, codes, labels)
    for query in range(4):
        case = Case(rows[query], asked[query].tolist(), codes, labels)
        assert found.average_precision[query] == pytest.approx(least_precision(case), abs=CLOSE)
    monkeypatch.setattr("hashbench.certifying.measures._TABLE_ITEMS", 10)
    again = certified_precision(rows, asked, codes, labels)
    assert again.average_precision == pytest.approx(found.average_precision, abs=CLOSE)


def test_a_query_without_relevant_items_scores_0() -> None:
    found = certified_precision([[1, 0], [0, 0]], [[0, 1], [0, 0]], [[1, 1]], [[1, 0]])
    assert found.average_precision.tolist() == [0.0, 0.0]
    assert found.exact.tolist() == [True, True]


def test_a_database_of_relevant_items_alone_scores_1() -> None:
    found = certified_precision([[1, 0], [0, 0]], [[1], [1]], [[1, 1], [-1, 1]], [[1], [1]])
    assert found.average_precision.tolist() == [1.0, 1.0]


def test_memory_does_not_grow_with_the_completions() -> None:
    rng = np.random.default_rng(7)
    rows, asked, codes, labels = problem(rng, queries=1, items=500, bits=64)

    def peak(uncertain: int) -> int:
        row = rows.copy()
        row[:, :uncertain] = 0
        tracemalloc.start()
        certified_precision(row, asked, codes, labels, budget=1 << 13)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    # A step has counts of 65 places for 2^11 completions at most, 8 bytes each, in some 12 arrays
    # at a time; a bit has less than 32 bytes for each of 500 codes; an open node 16 bytes.
    steps, codes_of_a_bit, nodes = 12 * 8 * 65 * (1 << 11), 32 * 500, 16 * (1 << 13)
    for uncertain in (11, 13, 20, 60):
        assert peak(uncertain) < steps + 60 * codes_of_a_bit + 2 * nodes


@settings(max_examples=100, **OPTIONS)
@given(case=cases(free=5), top_k=st.integers(1, 10))
def test_precision_of_the_first_items(case: Case, top_k: int) -> None:
    found = certified_precision_at(*case.arguments(), top_k=top_k)
    length = min(top_k, len(case.codes))
    least = min(
        sum(relevant for _, relevant in case.ranked(code)[:length]) / length
        for code in case.completions()
    )
    assert found.precision[0] == pytest.approx(least, abs=CLOSE)
    assert found.exact.all()
    bounded = certified_precision_at(*case.arguments(), top_k=top_k, budget=0)
    assert bounded.precision[0] <= least + CLOSE


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"bits": np.zeros((0, 2))}, "bits: expected at least one item"),
        ({"bits": [[1, 2]]}, r"bits: expected only -1, \+1, and 0 .* found 2 in row 0, column 1"),
        ({"bits": [[1.0, float("nan")]]}, "bits: expected only .* found nan"),
        ({"bits": [1, 0]}, "bits: expected two dimensions"),
        ({"bits": [[1, 0]] * 2}, "query_labels: expected one row for each of the 2 rows of bits"),
        ({"bits": [[1, 0, 1]]}, "database_codes: expected 3 bits"),
        ({"query_labels": [[2]]}, "query_labels: expected only 0 or 1"),
        ({"query_labels": [[1, 0]]}, "database_labels: expected 2 classes"),
        ({"database_codes": [[1, 0]]}, "database_codes: expected only -1 or"),
        ({"database_codes": np.zeros((0, 2)), "database_labels": np.zeros((0, 1))}, "empty"),
        ({"database_labels": [[1], [1]]}, "database_labels: expected one row for each of the 1"),
        ({"budget": -1}, "budget: expected a whole number of at least 0, found -1"),
        ({"top_k": 0}, "top_k: expected a whole number of at least 1, found 0"),
        ({"normalize": "all"}, "normalize: expected one of 'retrieved', 'relevant', 'capped'"),
        ({"threads": 0}, "threads: expected a whole number of at least 1, found 0"),
    ],
)
def test_what_is_wrong_is_said(changed: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {
        "bits": [[1, 0]],
        "query_labels": [[1]],
        "database_codes": [[1, 1]],
        "database_labels": [[1]],
    }
    with pytest.raises(UsageError, match=message):
        certified_precision(**given | changed)


@pytest.mark.parametrize("ties", ["best", "stable"])
def test_there_is_no_proof_of_other_orders_of_ties(ties: str) -> None:
    with pytest.raises(UsageError, match="ties: expected worst or expected"):
        certified_precision([[1]], [[1]], [[1]], [[1]], ties=ties)


def test_the_mean_of_two_orders_by_hand() -> None:
    # As -1 the uncertain bit brings the other item to the front, and there is no tie.
    found = certified_precision([[0, 1]], [[1]], [[1, 1], [-1, 1]], [[1], [0]], ties="expected")
    assert found.average_precision[0] == pytest.approx(0.5, abs=CLOSE)
    # Both items tie: the hit is first or second.
    found = certified_precision([[1, 1]], [[1]], [[1, 1], [1, 1]], [[1], [0]], ties="expected")
    assert found.average_precision[0] == pytest.approx((1 + 1 / 2) / 2, abs=CLOSE)
