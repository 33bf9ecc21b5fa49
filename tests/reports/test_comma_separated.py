"""CSV: every row of the frame, and the same bytes for the same results."""

from __future__ import annotations

import io
import random
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from hashbench import plugins
from hashbench.results.results import Results

COLUMNS = ["dataset", "loss", "backbone", "bits", "defense", "attack", "eps", "seed"]
COLUMNS += ["metric", "value"]


def csv(results: Results) -> str:
    form = plugins.get("format", "csv")
    assert isinstance(form, plugins.Format)
    assert form.suffix == ".csv"
    return form.render(results)


def test_bytes_do_not_depend_on_the_order_of_the_cells(rich_book: Any) -> None:
    expected = csv(rich_book.results()).encode()
    for seed in range(2):
        cells = list(rich_book.cells)
        random.Random(seed).shuffle(cells)
        assert csv(replace(rich_book.results(), cells=tuple(cells))).encode() == expected


def test_rows_are_those_of_the_frame(rich_book: Any) -> None:
    frame = rich_book.results().to_frame()
    read = pd.read_csv(io.StringIO(csv(rich_book.results())), keep_default_na=False)
    assert list(read.columns[:10]) == COLUMNS
    assert len(read) == len(frame)
    keys = ["defense", "attack", "eps", "seed", "metric", "status"]
    assert read[keys].astype(str).equals(frame[keys].astype(str))
    written = pd.to_numeric(read["value"]).to_numpy()
    # Nine digits: half a unit in the ninth is 5e-9 of the value.
    assert written == pytest.approx(frame["value"].to_numpy(), rel=5.1e-9, nan_ok=True)


def test_clean_and_worst_case_rows_have_canonical_names(quick: Any) -> None:
    lines = csv(quick.results()).splitlines()
    assert any(",cgat,none,0,0,map,0.683,done," in line for line in lines)
    assert any(",cgat,worst-case,24/255,0,map,0.519,done," in line for line in lines)


def test_line_ends_and_digits(book: Any) -> None:
    book.clean("none", 1 / 3)
    text = csv(book.results())
    assert "\r" not in text
    assert text.endswith("\n")
    assert ",map,0.333333333,done," in text


def test_a_failed_cell_has_one_line_with_its_reason(book: Any) -> None:
    book.clean("none", 0.7).lost("none", "hag", 'went "wrong",\r\n  twice\x1b[0m')
    lines = csv(book.results()).splitlines()
    (line,) = [line for line in lines if ",hag," in line]
    assert ',24/255,0,map,,failed,"went ""wrong"", twice",' in line
    assert len(lines) == 1 + len(book.results().to_frame())
