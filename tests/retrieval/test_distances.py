"""Counts over all pairs against every pair looked at one by one."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hashbench.retrieval import Kernel, distance_histogram, distances, pair_distances


@pytest.fixture(params=[Kernel.NUMPY, Kernel.COMPILED])
def kernel(request: pytest.FixtureRequest) -> Kernel:
    if request.param is Kernel.COMPILED:
        pytest.importorskip("numba", reason="the extra 'fast' is not installed")
    return Kernel(request.param)


def codes_of(rng: np.random.Generator, rows: int, bits: int) -> Any:
    """Bits that lean to one side, so that near and equal codes are among them."""
    return rng.random((rows, bits)) < rng.choice([0.05, 0.5, 0.9])


def one_by_one(queries: Any, database: Any, groups: Any = None) -> list[int]:
    counts = [0] * (queries.shape[1] + 1)
    for i, query in enumerate(queries):
        for j, code in enumerate(database):
            if groups is None or groups[0][i] != groups[1][j]:
                counts[int((query != code).sum())] += 1
    return counts


@st.composite
def problems(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    """Few codes of any length, repeated ones among them, and their groups."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    bits = draw(st.sampled_from([1, 2, 7, 8, 9, 31, 40, 41, 63, 64, 65, 100, 256, 600]))
    queries, items = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    pool = codes_of(rng, 5, bits)
    sides = [
        pool[rng.integers(0, 5, rows)] ^ (codes_of(rng, rows, bits) & draw(st.booleans()))
        for rows in (queries, items)
    ]
    groups = [rng.integers(0, draw(st.integers(1, 6)), rows) for rows in (queries, items)]
    return sides[0], sides[1], groups


@given(problems())
def test_every_pair_is_counted_once(problem: tuple[Any, Any, Any]) -> None:
    queries, database, groups = problem
    assert distance_histogram(queries, database).tolist() == one_by_one(queries, database)
    assert distance_histogram(
        queries, database, query_groups=groups[0], database_groups=groups[1]
    ).tolist() == one_by_one(queries, database, groups)


@given(problems(), st.integers(1, 4), st.sampled_from([1, 3, 1 << 20]))
def test_blocks_threads_and_large_groups_count_alike(
    problem: tuple[Any, Any, Any], threads: int, small: int
) -> None:
    queries, database, groups = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "_BLOCK_COUNTS", 4 * (queries.shape[1] + 1))
        patch.setattr(distances, "_BLOCK_PAIRS", small)
        patch.setattr(distances, "_LARGE_GROUP", small)
        found = distance_histogram(
            queries, database, query_groups=groups[0], database_groups=groups[1], threads=threads
        )
    assert found.tolist() == one_by_one(queries, database, groups)


@pytest.mark.parametrize("bits", [1, 7, 8, 12, 64, 65, 250, 256, 513, 1000])
@pytest.mark.parametrize("rows", [1, 64, 513])
def test_both_kernels_count_what_is_there(kernel: Kernel, bits: int, rows: int) -> None:
    rng = np.random.default_rng(bits)
    queries, database = codes_of(rng, 6, bits), codes_of(rng, rows, bits)
    database[0] = ~queries[0]  # the largest distance, and the least one
    database[-1] = queries[1]
    found = distance_histogram(queries, database, kernel=kernel, threads=2)
    assert found.tolist() == one_by_one(queries, database)


@given(problems())
def test_distances_of_rows(problem: tuple[Any, Any, Any]) -> None:
    queries, database, _ = problem
    rows = min(len(queries), len(database))
    found = pair_distances(queries[:rows], database[:rows])
    assert found.tolist() == (queries[:rows] != database[:rows]).sum(axis=1).tolist()


def test_forms_of_codes_and_groups() -> None:
    rng = np.random.default_rng(3)
    first, second = codes_of(rng, 7, 20), codes_of(rng, 5, 20)
    wanted = one_by_one(first, second)
    signs = [np.where(side, 1, -1) for side in (first, second)]
    for left in (first, signs[0], signs[0].astype(np.float32), torch.from_numpy(first)):
        for right in (second, signs[1].astype(np.int8), torch.from_numpy(signs[1]).bfloat16()):
            assert distance_histogram(left, right).tolist() == wanted
    names = (list("abcdefg"), list("axbyc"))
    apart = distance_histogram(first, second, query_groups=names[0], database_groups=names[1])
    assert apart.tolist() == one_by_one(first, second, names)


def test_memory_does_not_grow_with_the_pairs() -> None:
    rng = np.random.default_rng(0)
    codes = rng.random((6000, 64)) < 0.5
    tracemalloc.start()
    distance_histogram(
        codes,
        codes,
        query_groups=np.arange(6000) % 3,
        database_groups=np.arange(6000),
        kernel="numpy",
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(codes) ** 2  # a byte for each pair


ROWS = np.ones((2, 4), dtype=bool)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"database_codes": np.ones((2, 5))}, "database_codes: expected 4 bits .* found 5"),
        ({"query_codes": np.zeros((2, 4))}, "query_codes: expected only -1 or [+]1, found 0.0"),
        ({"query_codes": np.ones((2, 4), np.uint8)}, "query_codes: .* found uint8; packed"),
        ({"query_codes": np.ones((2, 8193), bool)}, "query_codes: expected 1 to 8,192 bits"),
        ({"query_codes": np.ones(4)}, "query_codes: expected two dimensions"),
        ({"query_groups": [1, 2]}, "database_groups: expected one group .* found none"),
        ({"database_groups": [1, 2]}, "query_groups: expected one group .* found none"),
        (
            {"query_groups": [1, 2], "database_groups": [1, 2, 3]},
            r"database_groups: expected one group for each of 2 codes, found shape \(3,\)",
        ),
        (
            {"query_groups": [1.5, 2], "database_groups": [1, 2]},
            "query_groups: expected whole numbers or texts, found type float64",
        ),
        (
            {"query_groups": ["1", "2"], "database_groups": [1, 2]},
            "database_groups: expected numbers or texts as in query_groups",
        ),
        ({"threads": 0}, "threads: expected a whole number of at least 1"),
        ({"kernel": "abacus"}, "kernel: expected one of"),
    ],
)
def test_bad_input(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        distance_histogram(**({"query_codes": ROWS, "database_codes": ROWS} | given))


def test_rows_that_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="second: expected one row for each of the 2 rows"):
        pair_distances(ROWS, ROWS[:1])
    with pytest.raises(ValueError, match="second: expected 4 bits as in first"):
        pair_distances(ROWS, ROWS[:, :3])
