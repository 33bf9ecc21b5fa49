"""Bad input: a ValueError that names the argument, what was expected and what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashbench.retrieval import (
    Scorer,
    Shard,
    average_precision,
    ceiling,
    center_codes,
    chance_level,
    degenerate_queries,
    mean_average_precision,
    pack_codes,
)

GOOD: dict[str, Any] = {
    "query_codes": np.ones((2, 4)),
    "database_codes": np.ones((5, 4)),
    "query_labels": np.ones((2, 3)),
    "database_labels": np.ones((5, 3)),
}


def changed(name: str, row: int, column: int, value: float) -> dict[str, Any]:
    table = GOOD[name].copy()
    table[row, column] = value
    return {name: table}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            changed("query_codes", 1, 2, 0),
            "query_codes: expected only -1 or [+]1, found 0.0 in row 1, column 2",
        ),
        (
            changed("database_codes", 4, 0, np.nan),
            "database_codes: expected only -1 or [+]1, found nan in row 4, column 0",
        ),
        (changed("database_codes", 0, 3, 0.5), "database_codes: .* found 0.5 in row 0, column 3"),
        (changed("database_codes", 0, 3, np.inf), "database_codes: .* found inf"),
        ({"query_codes": np.zeros((2, 4), dtype=np.int8)}, "query_codes: .* found 0 in row 0"),
        ({"query_codes": np.full((2, 4), -128, dtype=np.int8)}, "query_codes: .* found -128"),
        ({"query_codes": np.full((2, 4), 2, dtype=np.uint64)}, "query_codes: .* found 2 in row 0"),
        ({"query_codes": np.ones((2, 4), dtype=bool) & False}, "query_codes: .* found False"),
        (
            changed("query_labels", 0, 1, 2),
            "query_labels: expected only 0 or 1, found 2.0 in row 0, column 1",
        ),
        (changed("database_labels", 3, 1, np.nan), "database_labels: .* found nan in row 3"),
        ({"database_labels": -np.ones((5, 3), dtype=int)}, "database_labels: .* found -1 in row 0"),
        (
            {"database_labels": np.full((5, 3), 3, dtype=int)},
            "database_labels: .* found 3 in row 0",
        ),
        (
            {"query_labels": np.ones((3, 3))},
            r"query_labels: expected one row for each of the 2 rows of .*, found shape \(3, 3\)",
        ),
        (
            {"database_labels": np.ones((4, 3))},
            "database_labels: expected one row for each of the 5",
        ),
        (
            {"database_codes": np.ones((5, 6))},
            r"database_codes: expected 4 bits as in query_codes, .*found float64 of shape \(5, 6\)",
        ),
        (
            {"database_labels": np.ones((5, 2))},
            "database_labels: expected 3 classes as in query_labels",
        ),
        (
            {"database_codes": np.ones((0, 4)), "database_labels": np.ones((0, 3))},
            "database_codes: expected at least one item, found an empty database",
        ),
        (
            {"query_codes": np.ones((0, 4)), "query_labels": np.ones((0, 3))},
            r"query_codes: expected at least one item, found shape \(0, 4\)",
        ),
        (
            {"query_codes": np.ones(4)},
            r"query_codes: expected two dimensions .* found shape \(4,\)",
        ),
        ({"query_labels": np.ones((2, 0))}, "query_labels: expected two dimensions"),
        ({"query_codes": np.ones((2, 513))}, "query_codes: expected 1 to 512 bits"),
        ({"query_labels": np.ones((2, 2001))}, "query_labels: expected 1 to 2000 classes"),
        ({"query_codes": [["a"] * 4] * 2}, "query_codes: expected integers or floats"),
        ({"query_codes": [[1, 1], [1]]}, "query_codes: expected a table of numbers"),
        (
            {"query_codes": np.ones((2, 4), dtype=complex)},
            "query_codes: expected integers or floats",
        ),
        ({"query_codes": None}, "query_codes: expected integers or floats, found type object"),
        ({"top_k": 0}, "top_k: expected a whole number of at least 1, found 0"),
        ({"top_k": -3}, "top_k: expected a whole number of at least 1, found -3"),
        ({"top_k": 2.0}, "top_k: expected a whole number of at least 1, found 2.0"),
        ({"top_k": True}, "top_k: expected a whole number of at least 1, found True"),
        (
            {"ties": "random"},
            "ties: expected one of 'expected', 'stable', 'best', 'worst', found 'random'",
        ),
        (
            {"normalize": "all"},
            "normalize: expected one of 'retrieved', 'relevant', 'capped', found 'all'",
        ),
    ],
)
def test_average_precision(change: dict[str, Any], message: str) -> None:
    arguments = GOOD | change
    with pytest.raises(ValueError, match=message):
        average_precision(**arguments)
    with pytest.raises(ValueError, match=message):
        mean_average_precision(**arguments)


def test_the_row_of_a_bad_value_is_that_of_the_whole_table() -> None:
    codes = np.ones((200_000, 8), dtype=np.int8)
    codes[199_999, 7] = 3
    with pytest.raises(ValueError, match=r"codes: .* found 3 in row 199999, column 7"):
        pack_codes(codes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": np.ones((2, 4))}, "code_labels: expected 4 classes as in labels"),
        ({"code_labels": np.ones((6, 3))}, "code_labels: expected one row for each of the 5 rows"),
        ({"codes": np.zeros((5, 4))}, "codes: expected only -1 or [+]1, found 0.0"),
        (
            {"codes": np.ones((0, 4)), "code_labels": np.ones((0, 3))},
            "code_labels: expected at least",
        ),
        ({"labels": np.full((2, 3), 0.5)}, "labels: expected only 0 or 1, found 0.5"),
        ({"weighting": "jaccard"}, "weighting: expected one of 'uniform', 'cosine'"),
    ],
)
def test_center_codes(arguments: dict[str, Any], message: str) -> None:
    good = {"labels": np.ones((2, 3)), "codes": np.ones((5, 4)), "code_labels": np.ones((5, 3))}
    with pytest.raises(ValueError, match=message):
        center_codes(**(good | arguments))


@pytest.mark.parametrize("function", [chance_level, ceiling, degenerate_queries])
def test_protocol_functions(function: Any) -> None:
    with pytest.raises(ValueError, match="database_labels: expected 3 classes as in query_labels"):
        function(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="database_labels: expected at least one item"):
        function(np.ones((2, 3)), np.ones((0, 3)))


def test_shards_are_named_by_their_number(tmp_path: Path) -> None:
    good = Shard(np.ones((2, 4)), np.ones((2, 3)))
    queries = np.ones((1, 4)), np.ones((1, 3))
    with pytest.raises(ValueError, match=r"shards\[1\].codes: expected 4 bits as in query_codes"):
        Scorer(*queries, [good, Shard(np.ones((2, 5)), np.ones((2, 3)))])
    labels = np.ones((2, 3))
    labels[1, 0] = 7
    scorer = Scorer(*queries, [good, Shard(np.ones((2, 4)), labels)])
    with pytest.raises(ValueError, match=r"shards\[1\].labels: .* found 7.0 in row 1, column 0"):
        scorer.average_precision()
    with pytest.raises(ValueError, match=r"shards\[0\].codes: expected a readable .npy file"):
        Scorer(*queries, [Shard(tmp_path / "missing.npy", np.ones((2, 3)))])
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(ValueError, match=r"shards\[0\].labels: expected a readable .npy file"):
        Scorer(*queries, [Shard(np.ones((2, 4)), tmp_path / "text.npy")])
    np.savez(tmp_path / "two.npz", a=np.ones(1), b=np.ones(1))
    with pytest.raises(ValueError, match=r"shards\[0\].codes: expected one array in an .npy file"):
        Scorer(*queries, [Shard(tmp_path / "two.npz", np.ones((2, 3)))])
    with pytest.raises(ValueError, match="found an empty database"):
        Scorer(*queries, [])
    scorer = Scorer(*queries, [Shard(np.full((2, 1), 255, dtype=np.uint8), np.ones((2, 3)))])
    with pytest.raises(ValueError, match=r"shards\[0\].codes: expected 0 in the spare bits"):
        scorer.average_precision()


def test_scorer_options() -> None:
    queries = np.ones((1, 4)), np.ones((1, 3))
    shard = Shard(np.ones((2, 4)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="threads: expected a whole number of at least 1, found 0"):
        Scorer(*queries, shard, threads=0)
    with pytest.raises(ValueError, match="kernel: expected one of 'auto', 'numpy', 'compiled'"):
        Scorer(*queries, shard, kernel="gpu")


def test_the_former_name_of_an_argument_warns_where_it_is_used() -> None:
    given = np.ones((1, 4)), np.ones((1, 3)), Shard(np.ones((2, 4)), np.ones((2, 3)))
    with pytest.warns(DeprecationWarning, match="the old name goes") as caught:
        scorer = Scorer(*given, engine="numpy")
    (told,) = [str(warning.message) for warning in caught]
    assert told == (
        "hashbench.retrieval.Scorer(engine=...) is now hashbench.retrieval.Scorer(kernel=...); "
        "the old name goes with hashbench 0.2"
    )
    assert caught[0].filename == __file__
    assert scorer.average_precision().tolist() == [1.0]
    with (
        pytest.warns(DeprecationWarning, match="the old name goes"),
        pytest.raises(ValueError, match="kernel: expected one of 'auto', 'numpy', 'compiled'"),
    ):
        Scorer(*given, engine="gpu")
    with (
        pytest.warns(DeprecationWarning, match="the old name goes"),
        pytest.raises(ValueError, match="engine: the former name of kernel, found beside it"),
    ):
        Scorer(*given, kernel="compiled", engine="numpy")
