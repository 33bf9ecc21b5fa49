"""A database in shards, in files, packed, on threads, on a device: always the same scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashbench.retrieval import Kernel, Scorer, Shard, Ties, average_precision, compiled, pack_codes
from hashbench.retrieval import database as database_module

LENGTHS = [None, 1, 40, 333]


@pytest.fixture
def problem(make_problem: Callable[..., Any]) -> Any:
    return make_problem(np.random.default_rng(7), queries=11, items=500, bits=9, density=0.2)


def pack_labels(labels: Any) -> Any:
    return np.packbits(labels.astype(bool), axis=1, bitorder="little")


def cut(problem: Any, edges: list[int]) -> list[Shard]:
    codes = np.split(problem.database_codes, edges)
    labels = np.split(problem.database_labels, edges)
    return [Shard(code, label) for code, label in zip(codes, labels, strict=True)]


def same_scores(problem: Any, scorer: Scorer) -> None:
    """Equal to the last digit under every rule, length and measure."""
    for top_k in LENGTHS:
        got = scorer.average_precisions(top_k=top_k, ties=list(Ties))
        for ties in Ties:
            wanted = average_precision(*problem, top_k=top_k, ties=ties)
            np.testing.assert_array_equal(got[ties], wanted)
    whole = Scorer(
        problem.query_codes,
        problem.query_labels,
        Shard(problem.database_codes, problem.database_labels),
    )
    for ties in Ties:
        np.testing.assert_array_equal(
            scorer.precision_at(77, ties=ties), whole.precision_at(77, ties=ties)
        )
        np.testing.assert_array_equal(
            scorer.precision_recall_curve(ties=ties).precision,
            whole.precision_recall_curve(ties=ties).precision,
        )


@pytest.mark.parametrize(
    "edges", [[250], [1], [499], [100, 100, 400], list(range(1, 500)), [0, 500]]
)
def test_any_cut_gives_the_same_scores(problem: Any, edges: list[int]) -> None:
    same_scores(problem, Scorer(problem.query_codes, problem.query_labels, cut(problem, edges)))


def test_the_order_of_shards_matters_to_stable_alone(problem: Any) -> None:
    shards = cut(problem, [90, 300])[::-1]
    scorer = Scorer(problem.query_codes, problem.query_labels, shards)
    for ties in (Ties.EXPECTED, Ties.BEST, Ties.WORST):
        wanted = average_precision(*problem, top_k=44, ties=ties)
        np.testing.assert_array_equal(scorer.average_precision(top_k=44, ties=ties), wanted)
    codes = np.concatenate([shard.codes for shard in shards])
    labels = np.concatenate([shard.labels for shard in shards])
    np.testing.assert_array_equal(
        scorer.average_precision(ties="stable"),
        average_precision(problem.query_codes, codes, problem.query_labels, labels, ties="stable"),
    )


def test_long_shards_are_read_in_parts(problem: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {ties: average_precision(*problem, ties=ties) for ties in Ties}
    monkeypatch.setattr(database_module, "PART_ITEMS", 64)
    for ties in Ties:
        np.testing.assert_array_equal(average_precision(*problem, ties=ties), wanted[ties])


def test_tallies_of_parts_add_up(problem: Any) -> None:
    first, second = (
        Scorer(problem.query_codes, problem.query_labels, shard).tally
        for shard in cut(problem, [123])
    )
    whole = Scorer(problem.query_codes, problem.query_labels, cut(problem, [])).tally
    np.testing.assert_array_equal((second + first).total, whole.total)
    np.testing.assert_array_equal((second + first).relevant, whole.relevant)


@pytest.mark.parametrize("packed", [False, True])
def test_files_and_packed_bytes(problem: Any, packed: bool, tmp_path: Path) -> None:
    shards = []
    for number, shard in enumerate(cut(problem, [200, 380])):
        codes, labels = tmp_path / f"codes{number}.npy", tmp_path / f"labels{number}.npy"
        np.save(codes, pack_codes(shard.codes) if packed else shard.codes)
        np.save(labels, pack_labels(shard.labels) if packed else shard.labels)
        shards.append(Shard(codes, str(labels)))
    same_scores(problem, Scorer(problem.query_codes, problem.query_labels, shards))


@pytest.mark.parametrize("bits", [1, 8, 13])
@pytest.mark.parametrize("classes", [1, 9])
def test_packed_and_plain_agree_at_every_width(
    make_problem: Callable[..., Any], bits: int, classes: int
) -> None:
    problem = make_problem(np.random.default_rng(bits), bits=bits, classes=classes)
    shard = Shard(pack_codes(problem.database_codes), pack_labels(problem.database_labels))
    same_scores(problem, Scorer(problem.query_codes, problem.query_labels, shard))


@pytest.mark.parametrize("threads", [2, 3, 64])
def test_threads(problem: Any, threads: int) -> None:
    scorer = Scorer(problem.query_codes, problem.query_labels, cut(problem, [250]), threads=threads)
    same_scores(problem, scorer)


@pytest.mark.parametrize("bits", [9, 33, 64, 127, 128, 200])
def test_the_matrix_product_path(make_problem: Callable[..., Any], bits: int) -> None:
    pytest.importorskip("torch")
    problem = make_problem(np.random.default_rng(bits), queries=11, items=500, bits=bits)
    scorer = Scorer(
        problem.query_codes, problem.query_labels, cut(problem, [40, 90, 91]), device="cpu"
    )
    same_scores(problem, scorer)


@pytest.mark.parametrize("bits", [9, 33, 64, 65, 128, 512])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_compiled_path(make_problem: Callable[..., Any], bits: int, threads: int) -> None:
    pytest.importorskip("numba", reason="the extra 'fast' is not installed")
    problem = make_problem(np.random.default_rng(bits), queries=11, items=501, bits=bits)
    scorer = Scorer(
        problem.query_codes,
        problem.query_labels,
        cut(problem, [250]),
        threads=threads,
        kernel=Kernel.COMPILED,
    )
    same_scores(problem, scorer)


def test_the_compiled_path_says_what_it_needs(
    problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    scorer = Scorer(problem.query_codes, problem.query_labels, cut(problem, []), kernel="compiled")
    with pytest.raises(ValueError, match="kernel: 'compiled' needs the package numba"):
        scorer.average_precision()


@pytest.mark.parametrize("compiled_before", [False, True])
@pytest.mark.parametrize(("pairs", "installed"), [(1, True), (1 << 40, True), (1 << 40, False)])
def test_auto_compiles_only_what_is_worth_it(
    pairs: int, installed: bool, compiled_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: "numba" if installed else None)
    monkeypatch.setattr(compiled, "_is_compiled", lambda: compiled_before)
    chosen = compiled.counter(Kernel.AUTO, pairs)
    wanted = installed and (pairs > 1 or compiled_before)
    assert (chosen is compiled.count_keys_compiled) == wanted


@pytest.mark.parametrize("tile", [1, 7, 64])
def test_tiles_of_any_size(problem: Any, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = average_precision(*problem)
    monkeypatch.setattr("hashbench.retrieval.kernel._TILE_ITEMS", tile)
    monkeypatch.setattr("hashbench.retrieval.kernel._LEAST_TILE", 1)
    np.testing.assert_array_equal(average_precision(*problem), wanted)


def test_without_torch_the_counts_are_the_same(
    problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    wanted = {top_k: average_precision(*problem, top_k=top_k) for top_k in LENGTHS}
    monkeypatch.delitem(__import__("sys").modules, "torch")
    for top_k in LENGTHS:
        np.testing.assert_array_equal(average_precision(*problem, top_k=top_k), wanted[top_k])
