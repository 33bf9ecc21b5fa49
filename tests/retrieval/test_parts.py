"""A database in parts that other processes count: the same counts, and files that cannot lie."""

from __future__ import annotations

import io
import itertools
import json
import multiprocessing
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashbench.retrieval import (
    Part,
    Scorer,
    Shard,
    Tally,
    Ties,
    merge_tallies,
    pack_codes,
    parts_of,
    tally_of_part,
    tally_of_parts,
)


@pytest.fixture
def problem(make_problem: Callable[..., Any]) -> Any:
    return make_problem(np.random.default_rng(5), queries=7, items=403, bits=9)


@pytest.fixture
def shards(problem: Any, tmp_path: Path) -> list[Shard]:
    """Two shards in files, the second one packed."""
    made = []
    for number, rows in enumerate((slice(150), slice(150, None))):
        codes, labels = tmp_path / f"codes{number}.npy", tmp_path / f"labels{number}.npy"
        values = problem.database_codes[rows]
        np.save(codes, pack_codes(values) if number else values)
        np.save(labels, problem.database_labels[rows])
        made.append(Shard(codes, labels))
    return made


def whole(problem: Any) -> Scorer:
    shard = Shard(problem.database_codes, problem.database_labels)
    return Scorer(problem.query_codes, problem.query_labels, shard)


def same(found: Tally, wanted: Tally) -> bool:
    pairs = [(found.total, wanted.total), (found.relevant, wanted.relevant)]
    return all(np.array_equal(*pair) for pair in pairs)


@pytest.mark.parametrize("items", [1, 100, 149, 150, 151, 1 << 22])
def test_parts_hold_every_row_once(shards: list[Shard], items: int) -> None:
    rows = [
        (part.codes, row)
        for part in parts_of(shards, items=items)
        for row in range(part.start, part.stop)
    ]
    wanted = [
        (str(shard.codes), row)
        for shard, n in zip(shards, (150, 253), strict=True)
        for row in range(n)
    ]
    assert rows == wanted


@pytest.mark.parametrize("items", [37, 1 << 22])
def test_parts_add_up_in_any_order_and_through_bytes(
    problem: Any, shards: list[Shard], items: int
) -> None:
    parts = parts_of(shards, items=items)
    sent = [Part(**json.loads(json.dumps(asdict(part)))) for part in parts[::-1]]
    asked = problem.query_codes, problem.query_labels
    back = [Tally.from_bytes(tally_of_part(*asked, part).to_bytes()) for part in sent]
    assert same(merge_tallies(back), whole(problem).tally)
    assert same(tally_of_parts(*asked, parts), whole(problem).tally)


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_any_cut_adds_up(data: st.DataObject) -> None:
    """Pieces of any size, counted apart and added in any order: each counts what it holds."""
    queries, items, bits, classes = (data.draw(st.integers(1, most)) for most in (4, 60, 17, 5))
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    codes = 2 * draw.integers(0, 2, (queries + items, bits), dtype=np.int8) - 1
    labels = draw.integers(0, 2, (queries + items, classes), dtype=np.uint8)
    asked = codes[:queries], labels[:queries]
    cuts = sorted(data.draw(st.sets(st.integers(1, items - 1)))) if items > 1 else []
    pieces = [
        Shard(codes[queries + start : queries + stop], labels[queries + start : queries + stop])
        for start, stop in itertools.pairwise((0, *cuts, items))
    ]
    order = data.draw(st.permutations(pieces))
    merged = merge_tallies(Scorer(*asked, piece).tally for piece in order)
    database = Shard(codes[queries:], labels[queries:])
    assert same(merged, Scorer(*asked, database).tally)
    assert merged.items == items
    for ties in (Ties.EXPECTED, Ties.BEST, Ties.WORST):
        found, wanted = (
            Scorer(*asked, database, tally=tally).average_precision(top_k=7, ties=ties)
            for tally in (merged, None)
        )
        np.testing.assert_array_equal(found, wanted)


def test_several_processes(problem: Any, shards: list[Shard]) -> None:
    parts = parts_of(shards, items=60)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        tally = tally_of_parts(
            problem.query_codes, problem.query_labels, parts, executor=pool, kernel="numpy"
        )
    assert same(tally, whole(problem).tally)


def test_a_scorer_takes_counts_that_were_made_before(
    problem: Any, shards: list[Shard], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = problem.query_codes, problem.query_labels
    tally = tally_of_parts(*asked, parts_of(shards))
    scorer = Scorer(*asked, shards, tally=tally)
    monkeypatch.setattr("hashbench.retrieval.database.counter", None)  # nothing is counted again
    for ties in Ties:
        found = scorer.average_precision(top_k=50, ties=ties)
        monkeypatch.undo()
        np.testing.assert_array_equal(found, whole(problem).average_precision(top_k=50, ties=ties))
        monkeypatch.setattr("hashbench.retrieval.database.counter", None)


def test_counts_of_another_problem_are_refused(problem: Any, shards: list[Shard]) -> None:
    asked = problem.query_codes, problem.query_labels
    tally = tally_of_part(*asked, parts_of(shards)[0])
    with pytest.raises(ValueError, match=r"tally: expected .* over 403 .* over 150"):
        Scorer(*asked, shards, tally=tally)
    with pytest.raises(ValueError, match=r"tally: expected counts of shape \(7, 10\)"):
        Scorer(*asked, shards[0], tally=tally[:3])
    with pytest.raises(ValueError, match="same queries and codes"):
        merge_tallies([tally, tally[:1]])
    with pytest.raises(ValueError, match="at least one part, found none"):
        tally_of_parts(*asked, [])


def test_parts_that_cannot_be_counted(problem: Any, shards: list[Shard], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"shards\[0\].codes: expected the path .* found ndarray"):
        parts_of(Shard(problem.database_codes, problem.database_labels))
    with pytest.raises(ValueError, match=r"shards\[1\].codes: expected a readable .npy file"):
        parts_of([shards[0], Shard(tmp_path / "nowhere.npy", shards[0].labels)])
    with pytest.raises(
        ValueError, match=r"shards\[0\].labels: expected one row for each of the 150"
    ):
        parts_of(Shard(shards[0].codes, shards[1].labels))
    with pytest.raises(ValueError, match="items: "):
        parts_of(shards, items=0)
    part = parts_of(shards[0])[0]
    np.save(part.labels, problem.database_labels[:149])
    with pytest.raises(
        ValueError, match=r"expected 150 rows in .* found 149: the file was changed"
    ):
        tally_of_part(problem.query_codes, problem.query_labels, part)


@pytest.mark.parametrize("numbers", [(0, 0, 5), (-1, 2, 5), (3, 6, 5), (True, 2, 5), (0.0, 2, 5)])
def test_parts_without_rows(numbers: Any) -> None:
    with pytest.raises(ValueError, match="expected whole numbers with 0 <= start < stop <= rows"):
        Part("codes.npy", "labels.npy", *numbers)


def archive(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def claimed(shape: tuple[int, ...]) -> bytes:
    """An archive whose arrays say that they have a shape, and hold nothing."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in ("total", "relevant"):
            with file.open(f"{name}.npy", "w") as entry:
                header = {"descr": "<i8", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(entry, header)
    return buffer.getvalue()


COUNTS = np.array([[2, 1], [0, 3]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no whole .npz file"),
        (b"total", "no whole .npz file"),
        (archive(total=COUNTS), r"the entries \['total.npy'\]"),
        (archive(total=COUNTS, relevant=COUNTS, more=COUNTS), "the entries"),
        (archive(total=COUNTS, relevant=COUNTS.astype(np.int32)), "int32 of shape"),
        (archive(total=COUNTS, relevant=COUNTS[:1]), r"shapes \(2, 2\) and \(1, 2\)"),
        (archive(total=COUNTS, relevant=COUNTS[0]), r"shape \(2,\) in relevant"),
        (archive(total=COUNTS, relevant=COUNTS + 1), "more relevant items than items"),
        (archive(total=COUNTS, relevant=COUNTS - 9), "fewer than none"),
        (archive(total=np.array([[2, 1], [0, 4]]), relevant=0 * COUNTS), "other items than others"),
        (archive(total=np.array([[object()]]), relevant=COUNTS), "total.npy"),
        (claimed((10**12, 500)), "of another length than its shape"),
        (claimed((2, 600)), r"shape \(2, 600\)"),
        (claimed((0, 5)), r"shape \(0, 5\)"),
    ],
)
def test_bytes_that_are_no_tally(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        Tally.from_bytes(content)
    assert str(raised.value).startswith("content: ")


def test_every_cut_of_the_bytes_is_noticed() -> None:
    content = Tally(COUNTS, COUNTS).to_bytes()
    assert same(Tally.from_bytes(content), Tally(COUNTS, COUNTS))
    assert content == Tally(COUNTS, COUNTS).to_bytes()
    for length in range(0, len(content), 7):
        with pytest.raises(ValueError, match="content: "):
            Tally.from_bytes(content[:length])


@pytest.mark.parametrize("value", [0, 1, 255])
@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_every_changed_byte_is_noticed_or_harmless(method: int, value: int) -> None:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(Tally(COUNTS, COUNTS).to_bytes())) as own,
        zipfile.ZipFile(buffer, "w", method) as file,
    ):
        for name in own.namelist():
            file.writestr(name, own.read(name))
    for place in range(len(buffer.getvalue())):
        content = bytearray(buffer.getvalue())
        content[place] = value
        assert _refused(bytes(content)) or same(
            Tally.from_bytes(bytes(content)), Tally(COUNTS, COUNTS)
        ), place


def _refused(content: bytes) -> bool:
    try:
        Tally.from_bytes(content)
    except ValueError as error:
        return str(error).startswith("content: ")
    return False
