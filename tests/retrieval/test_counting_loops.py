"""The fast ways to count against the obvious one: every length of code, every rest of a division.

What is compared are whole histograms, so that one pair counted once too often shows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashbench.retrieval import Kernel, Scorer, Shard, pack_codes
from hashbench.retrieval import kernel as kernel_module
from hashbench.retrieval.histogram import histogram
from hashbench.retrieval.packing import labels_to_bytes
from hashbench.retrieval.queries import batches, group_queries

KERNELS = [Kernel.NUMPY, Kernel.COMPILED]


@pytest.fixture(params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> Kernel:
    if request.param is Kernel.COMPILED:
        pytest.importorskip("numba", reason="the extra 'fast' is not installed")
    return Kernel(request.param)


def counted(problem: Any) -> tuple[Any, Any]:
    """Items and relevant items per query and distance, one query at a time."""
    bits = problem.query_codes.shape[1]
    total, relevant = [], []
    for code, label in zip(problem.query_codes, problem.query_labels, strict=True):
        distance = (problem.database_codes != code).sum(axis=1)
        shared = (problem.database_labels & label).any(axis=1)
        total.append(np.bincount(distance, minlength=bits + 1))
        relevant.append(np.bincount(distance[shared], minlength=bits + 1))
    return np.array(total), np.array(relevant)


def check(problem: Any, kernel: Kernel, **options: Any) -> None:
    shard = Shard(problem.database_codes, problem.database_labels)
    scorer = Scorer(problem.query_codes, problem.query_labels, shard, kernel=kernel, **options)
    total, relevant = counted(problem)
    np.testing.assert_array_equal(scorer.tally.total, total)
    np.testing.assert_array_equal(scorer.tally.relevant, relevant)


def test_every_length_of_code(make_problem: Callable[..., Any], kernel: Kernel) -> None:
    for bits in range(1, 513):
        check(make_problem(np.random.default_rng(bits), queries=3, items=70, bits=bits), kernel)


@pytest.mark.parametrize("items", [1, 2, 7, 8, 9, 63, 64, 65, 511, 512, 513, 1023, 1025])
@pytest.mark.parametrize("bits", [1, 32, 63])
def test_every_rest_of_items(
    make_problem: Callable[..., Any], kernel: Kernel, items: int, bits: int
) -> None:
    check(make_problem(np.random.default_rng(items), items=items, bits=bits), kernel)


@pytest.mark.parametrize("classes", [1, 7, 8, 9, 64, 65, 1999, 2000])
def test_many_labels(make_problem: Callable[..., Any], kernel: Kernel, classes: int) -> None:
    rng = np.random.default_rng(classes)
    check(
        make_problem(rng, queries=9, items=333, bits=16, classes=classes, density=2 / classes),
        kernel,
    )


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 512),
    st.integers(1, 40),
    st.integers(1, 300),
    st.integers(1, 30),
    st.sampled_from(KERNELS),
    st.integers(0, 2**32 - 1),
)
def test_any_problem(
    bits: int, queries: int, items: int, classes: int, kernel: Kernel, seed: int
) -> None:
    if kernel is Kernel.COMPILED:
        pytest.importorskip("numba", reason="the extra 'fast' is not installed")
    rng = np.random.default_rng(seed)
    # Codes near a few prototypes: some distances are met by many items, most by none.
    prototypes = rng.choice([-1, 1], (3, bits))

    def draw(count: int) -> Any:
        noise = np.where(rng.random((count, bits)) < 0.1, -1, 1)
        return (prototypes[rng.integers(0, 3, count)] * noise).astype(np.int8)

    problem = _Problem(
        draw(queries),
        draw(items),
        (rng.random((queries, classes)) < 0.2).astype(np.int64),
        (rng.random((items, classes)) < 0.2).astype(np.int64),
    )
    check(problem, kernel)


class _Problem:
    def __init__(self, query_codes: Any, codes: Any, query_labels: Any, labels: Any) -> None:
        self.query_codes, self.database_codes = query_codes, codes
        self.query_labels, self.database_labels = query_labels, labels


@pytest.mark.parametrize("bits", [1, 8, 64, 512])
def test_all_items_at_the_ends(kernel: Kernel, bits: int) -> None:
    """Distance 0 and K, where a counter has its first and its last value."""
    same, other = np.ones((600, bits), np.int8), -np.ones((601, bits), np.int8)
    problem = _Problem(
        np.ones((2, bits), np.int8),
        np.concatenate([same, other]),
        np.array([[1, 0], [0, 1]]),
        np.array([[1, 0]] * 600 + [[0, 1]] * 601),
    )
    check(problem, kernel)


@pytest.mark.parametrize("bits", [20, 32, 62, 63, 64, 89, 90, 126, 127])
def test_tiles_that_are_counted_by_pairs(
    make_problem: Callable[..., Any], kernel: Kernel, bits: int
) -> None:
    """Sizes at which single keys, pairs as they lie, and pairs that are made take turns."""
    rng = np.random.default_rng(bits)
    check(make_problem(rng, queries=3, items=(1 << 17) + 3, bits=bits), kernel)


@pytest.mark.parametrize("torch", [True, False])
@pytest.mark.parametrize("bins", [1, 2, 66, 127, 128, 129, 130, 180, 181, 182, 256])
@pytest.mark.parametrize("size", [0, 1, 1 << 15, (1 << 15) + 1, 1 << 17, (1 << 17) + 1])
def test_histograms(bins: int, size: int, torch: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if torch:
        pytest.importorskip("torch")
    else:
        monkeypatch.delitem(sys.modules, "torch", raising=False)
    rng = np.random.default_rng(size + bins)
    for values in (
        rng.integers(0, bins, size).astype(np.uint8),
        np.full(size, bins - 1, dtype=np.uint8),
    ):
        wanted = np.array([np.count_nonzero(values == value) for value in range(bins)])
        got = histogram(values, bins)
        assert got.dtype == np.int64
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("bins", [257, 1026])
def test_histograms_of_long_codes(bins: int) -> None:
    values = np.random.default_rng(bins).integers(0, bins, 5_000).astype(np.uint16)
    wanted = np.array([np.count_nonzero(values == value) for value in range(bins)])
    np.testing.assert_array_equal(histogram(values, bins), wanted)


@pytest.mark.parametrize("most", [1, 2, 3, 16])
def test_batches_hold_every_query_once(make_problem: Callable[..., Any], most: int) -> None:
    problem = make_problem(np.random.default_rng(most), queries=29, classes=2)
    queries = group_queries(
        pack_codes(problem.query_codes), labels_to_bytes(problem.query_labels, "", 2), 5
    )
    made = list(batches(queries.groups, most))
    sizes = [sum(len(members) for _, members in batch) for batch in made]
    assert set(sizes[:-1]) <= {most}
    assert 0 < sizes[-1] <= most
    pairs = [(id(group), query) for batch in made for group, some in batch for query in some]
    groups = queries.groups
    assert pairs == [(id(group), query) for group in groups for query in group.members.tolist()]


@pytest.mark.parametrize("block", [1, 64, 1000])
def test_blocks_of_any_size(
    make_problem: Callable[..., Any], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_module, "_BLOCK_BYTES", block)
    monkeypatch.setattr(kernel_module, "_LEAST_TILE", 1)
    check(make_problem(np.random.default_rng(block), queries=40, items=300), Kernel.NUMPY)
