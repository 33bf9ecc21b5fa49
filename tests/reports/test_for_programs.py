"""JSON lines and Parquet: what programs read back is what was measured."""

from __future__ import annotations

import builtins
import io
import json
import math
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hashbench import UsageError, plugins
from hashbench.reports.board.leaderboard import leaderboards
from hashbench.results.intervals import Interval
from hashbench.results.provenance import Provenance
from hashbench.results.results import COLUMNS, Results

HOSTILE = '</script>\x1b[31m\u202e\u2028=1+1\n"quoted" 図 \ud800'


def form(name: str) -> plugins.Format:
    found = plugins.get("format", name)
    assert isinstance(found, plugins.Format)
    return found


def lines(results: Results) -> list[dict[str, Any]]:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    text = form("jsonl").render(results)
    assert text.endswith("\n")
    return [json.loads(line, parse_constant=refuse) for line in text[:-1].split("\n")]


def table(results: Results) -> pa.Table:
    (content,) = form("parquet").files(results).values()
    return pq.read_table(io.BytesIO(content))


def test_every_cell_is_a_line_with_all_that_is_known(quick: Any) -> None:
    quick.lost("cgat", "late", HOSTILE)
    results = quick.results()
    first, *rest = results.cells
    origin = Provenance("r", "9" * 64, {"torch": "2.4"}, {"attack": "8" * 64}, "2026-01-02")
    results = replace(results, cells=(replace(first, provenance=origin), *rest))
    header, *others = lines(results)
    assert header["type"] == "header"
    assert header["version"] == 1
    cells = [one for one in others if one["type"] == "cell"]
    assert len(cells) == len(results.cells)
    for result in results.cells:
        (line,) = (
            one
            for one in cells
            if (one["defense"], one["attack"]) == (result.cell.defense, result.cell.attack)
        )
        assert line["metrics"] == result.metrics
        assert line["status"] == result.status.words
        assert line["reason"] == result.reason
        assert line["protocol"] in header["protocols"]
        assert line["training"] in header["trainings"]
        assert header["protocols"][line["protocol"]]["metric"] == "map"
    (told,) = (one["provenance"] for one in cells if one["provenance"])
    assert told == {
        "folder": "r",
        "key": "9" * 64,
        "made": "2026-01-02",
        "environment": {"torch": "2.4"},
        "plugins": {"attack": "8" * 64},
    }


def test_worst_cases_and_rows_are_those_of_the_tables(quick: Any) -> None:
    results = quick.results()
    found = lines(results)
    worst = {one["defense"]: one["value"] for one in found if one["type"] == "worst-case"}
    assert worst == {"none": 0.071, "atrdh": 0.338, "cgat": 0.519}
    (board,) = leaderboards(results)
    rows = [one for one in found if one["type"] == "row"]
    assert [(one["rank"], one["defense"]) for one in rows] == [
        (row.rank, row.defense) for row in board.rows
    ]
    assert rows[0]["attacked"]["hag"]["mean"] == 0.588
    assert rows[0]["worst_case"]["interval"] is None


def test_an_interval_is_two_numbers(quick: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (board,) = leaderboards(quick.results())
    first, *rest = board.rows
    worst = replace(first.worst_case, interval=Interval(0.4, 0.6))
    changed = replace(board, rows=(replace(first, worst_case=worst), *rest))
    monkeypatch.setattr("hashbench.reports.json_lines.leaderboards", lambda _: (changed,))
    rows = [one for one in lines(quick.results()) if one["type"] == "row"]
    assert rows[0]["worst_case"]["interval"] == [0.4, 0.6]


def test_flags_stand_with_their_words(book: Any) -> None:
    book.clean("flat", 0.1, distinct_codes=1.0, bit_entropy=0.0).attacked("flat", "hag", 0.1)
    for one in lines(book.results())[1:]:
        if one.get("attack") != "none" and one["type"] != "row":
            assert "collapsed-codes" in [flag["code"] for flag in one["flags"]]


def test_what_is_no_number_is_null(book: Any) -> None:
    book.card = {"base": {"epochs": math.inf, "names": ("a", math.nan)}}
    book.clean("none", 0.7, odd=math.nan).attacked("none", "hag", 0.3, far=-math.inf)
    header, *others = lines(book.results())
    (training,) = header["trainings"].values()
    assert training == {"base": {"epochs": None, "names": ["a", None]}}
    assert [one["metrics"]["odd"] for one in others if one.get("attack") == "none"] == [None]


@pytest.mark.parametrize("name", ["jsonl", "parquet"])
def test_the_same_bytes_twice_in_any_order(rich_book: Any, name: str) -> None:
    first = form(name).files(rich_book.results())
    assert first == form(name).files(rich_book.results())
    if name == "jsonl":
        turned = rich_book.results(order=lambda cells: cells[::-1])
        assert form(name).files(turned) == first


def test_parquet_holds_the_frame_with_types(rich_book: Any) -> None:
    results = rich_book.results()
    frame = results.to_frame()
    found = table(results)
    assert tuple(found.column_names) == COLUMNS
    types = {field.name: str(field.type) for field in found.schema}
    numbers = {"bits": "int64", "seed": "int64"}
    numbers |= dict.fromkeys(("value", "low", "high"), "double")
    assert types == {name: numbers.get(name, "string") for name in COLUMNS}
    for name in COLUMNS:
        expected = [
            None if isinstance(one, float) and math.isnan(one) else one for one in frame[name]
        ]
        assert found.column(name).to_pylist() == expected
    assert found.column("value").null_count > 0  # a cell of this book failed


def test_parquet_takes_any_text(book: Any) -> None:
    text = HOSTILE.removesuffix("\ud800")  # which no data frame takes
    book.clean(text, 0.7).lost(text, "hag", text)
    found = table(book.results())
    assert set(found.column("defense").to_pylist()) == {text}
    assert set(found.column("reason").to_pylist()) >= {text}


def test_a_seed_beyond_64_bits_is_told(book: Any) -> None:
    book.clean("none", 0.7, seed=2**64)
    with pytest.raises(UsageError, match=r"there is a seed 18446744073709551616; take csv or"):
        table(book.results())


def test_without_pyarrow_the_extra_is_named(quick: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError("no module")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"pip install 'hashbench\[parquet\]'"):
        form("parquet").files(quick.results())
