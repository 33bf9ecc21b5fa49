"""What must not change a score, and the values that known codes must reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hashbench.retrieval import (
    Normalize,
    Ties,
    average_precision,
    average_precisions,
    ceiling,
    chance_level,
    mean_average_precision,
)

LENGTHS = [None, 1, 7, 33]
UNORDERED = [Ties.EXPECTED, Ties.BEST, Ties.WORST]


@pytest.fixture(params=range(5))
def problem(request: pytest.FixtureRequest, make_problem: Callable[..., Any]) -> Any:
    return make_problem(np.random.default_rng(request.param), queries=9, items=80, bits=11)


@pytest.mark.parametrize("top_k", LENGTHS)
def test_the_order_of_the_database_plays_no_part(problem: Any, top_k: int | None) -> None:
    query_codes, codes, query_labels, labels = problem
    order = np.random.default_rng(0).permutation(codes.shape[0])
    for ties in UNORDERED:
        before = average_precision(*problem, top_k=top_k, ties=ties)
        after = average_precision(
            query_codes, codes[order], query_labels, labels[order], top_k=top_k, ties=ties
        )
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("ties", list(Ties))
def test_names_and_signs_of_bits_play_no_part(problem: Any, ties: Ties) -> None:
    query_codes, codes, query_labels, labels = problem
    before = average_precision(*problem, top_k=20, ties=ties)
    flip = np.ones(codes.shape[1], dtype=np.int8)
    flip[3] = -1
    flipped = average_precision(
        query_codes * flip, codes * flip, query_labels, labels, top_k=20, ties=ties
    )
    order = np.random.default_rng(1).permutation(codes.shape[1])
    moved = average_precision(
        query_codes[:, order], codes[:, order], query_labels, labels, top_k=20, ties=ties
    )
    np.testing.assert_array_equal(before, flipped)
    np.testing.assert_array_equal(before, moved)


@pytest.mark.parametrize("ties", list(Ties))
def test_repeating_every_bit_plays_no_part(problem: Any, ties: Ties) -> None:
    query_codes, codes, query_labels, labels = problem
    twice = average_precision(
        np.tile(query_codes, 2), np.tile(codes, 2), query_labels, labels, top_k=30, ties=ties
    )
    np.testing.assert_array_equal(average_precision(*problem, top_k=30, ties=ties), twice)


def test_names_of_classes_and_order_of_queries_play_no_part(problem: Any) -> None:
    query_codes, codes, query_labels, labels = problem
    rng = np.random.default_rng(2)
    classes, rows = rng.permutation(labels.shape[1]), rng.permutation(query_codes.shape[0])
    moved = average_precision(
        query_codes[rows], codes, query_labels[rows][:, classes], labels[:, classes]
    )
    np.testing.assert_array_equal(average_precision(*problem)[rows], moved)


@pytest.mark.parametrize("normalize", list(Normalize))
@pytest.mark.parametrize("top_k", LENGTHS)
def test_a_constant_hash_scores_exactly_chance(
    problem: Any, top_k: int | None, normalize: Normalize
) -> None:
    query_codes, codes, query_labels, labels = problem
    score = mean_average_precision(
        np.ones_like(query_codes),
        np.ones_like(codes),
        query_labels,
        labels,
        top_k=top_k,
        normalize=normalize,
    )
    assert score == chance_level(query_labels, labels, top_k=top_k, normalize=normalize)


def test_chance_is_the_mean_over_random_orders(make_problem: Callable[..., Any]) -> None:
    _, codes, query_labels, labels = make_problem(np.random.default_rng(0), items=80)
    rng = np.random.default_rng(3)
    constant = np.ones((query_labels.shape[0], 1)), np.ones((codes.shape[0], 1))
    scores = []
    for _ in range(800):
        moved = labels[rng.permutation(labels.shape[0])]
        scores.append(
            mean_average_precision(*constant, query_labels, moved, ties="stable", top_k=25)
        )
    error = np.std(scores) / np.sqrt(len(scores))
    assert abs(np.mean(scores) - chance_level(query_labels, labels, top_k=25)) < 5 * error
    assert error < 0.01


@pytest.mark.parametrize("normalize", list(Normalize))
@pytest.mark.parametrize("top_k", LENGTHS)
def test_a_perfect_code_reaches_the_ceiling(top_k: int | None, normalize: Normalize) -> None:
    # One label a query, one bit a class: relevant items agree in that bit alone.
    classes = np.repeat(np.arange(4), 12)
    labels = np.eye(4, dtype=int)[classes]
    codes = 2 * labels - 1
    queries = np.vstack([np.eye(4, dtype=int), np.zeros((1, 4), dtype=int)])
    score = mean_average_precision(
        2 * queries - 1, codes, queries, labels, top_k=top_k, normalize=normalize
    )
    assert score == ceiling(queries, labels, top_k=top_k, normalize=normalize)
    if normalize is not Normalize.RELEVANT or top_k is None:
        assert score == 0.8


def test_no_code_beats_the_ceiling(problem: Any) -> None:
    for normalize in Normalize:
        for top_k in LENGTHS:
            best = average_precision(*problem, top_k=top_k, ties="best", normalize=normalize)
            limit = ceiling(*list(problem)[2:], top_k=top_k, normalize=normalize)
            assert best.mean() <= limit + 1e-15


def test_without_ties_every_rule_gives_one_value() -> None:
    # Item i differs from the query in i bits.
    codes = np.where(np.arange(40)[None, :] < np.arange(41)[:, None], -1, 1)
    labels = (np.random.default_rng(0).random((41, 3)) < 0.3).astype(int)
    for normalize in Normalize:
        for top_k in LENGTHS:
            scores = average_precisions(
                np.ones((1, 40)),
                codes,
                [[1, 0, 1]],
                labels,
                ties=list(Ties),
                top_k=top_k,
                normalize=normalize,
            )
            for ties in Ties:
                assert scores[ties] == pytest.approx(scores[Ties.STABLE], abs=1e-15)


def test_the_three_divisors_agree_on_the_whole_list(problem: Any) -> None:
    first, *others = (average_precision(*problem, normalize=normalize) for normalize in Normalize)
    for other in others:
        np.testing.assert_allclose(first, other, rtol=0, atol=1e-15)


def test_moving_a_relevant_item_nearer_never_lowers_the_whole_list(problem: Any) -> None:
    query_codes, codes, query_labels, labels = problem
    before = average_precision(*problem)
    for query, (code, label) in enumerate(zip(query_codes, query_labels, strict=True)):
        relevant = np.flatnonzero((label * labels).sum(axis=1))
        if relevant.size == 0:
            continue
        moved = codes.copy()
        moved[relevant[0]] = code
        after = average_precision(code[None], moved, label[None], labels)
        assert after[0] >= before[query] - 1e-15


def test_scores_stay_in_the_unit_interval(problem: Any) -> None:
    for ties in Ties:
        for normalize in Normalize:
            for top_k in LENGTHS:
                scores = average_precision(*problem, ties=ties, normalize=normalize, top_k=top_k)
                assert scores.dtype == np.float64
                assert ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.parametrize(
    "kind", ["int8", "int16", "int32", "int64", "float16", "float32", "float64"]
)
def test_every_type_of_array_gives_the_same_scores(problem: Any, kind: str) -> None:
    other = average_precision(*(part.astype(kind) for part in problem))
    np.testing.assert_array_equal(average_precision(*problem), other)


@pytest.mark.parametrize("kind", ["int8", "int64", "float16", "bfloat16", "float32", "float64"])
def test_tensors_give_the_same_scores(problem: Any, kind: str) -> None:
    torch = pytest.importorskip("torch")
    parts = [torch.from_numpy(part).to(getattr(torch, kind)) for part in problem]
    if parts[0].is_floating_point():
        parts[0].requires_grad_()
    np.testing.assert_array_equal(average_precision(*problem), average_precision(*parts))


def test_views_give_the_same_scores(problem: Any) -> None:
    strided = [np.repeat(np.asfortranarray(part), 2, axis=0)[::2] for part in problem]
    booleans = [strided[0], strided[1], strided[2] == 1, strided[3] == 1]
    np.testing.assert_array_equal(average_precision(*problem), average_precision(*booleans))
