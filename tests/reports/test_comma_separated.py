"""CSV: every row of the frame, and the same bytes for the same results."""

from __future__ import annotations

import csv as tables
import io
import random
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hashbench import plugins
from hashbench.characters import shown
from hashbench.reports.text.fields import field
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


FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "  =1+1",
    "\u00a0\u3000=1+1",
    '"=1+1',
    "\"'=1+1",
    "\u201c=1+1\u201d",
    "\uff1d1+1",
    "\uff0b1+1",
    "\uff0d1+1",
    "\uff201+1",
    "\u22121+cmd",
    "-1e3x",
    "=",
    "-",
]

STARTS = "=+-@\uff1d\uff0b\uff0d\uff20\u2212\ufe62\ufe63\ufe66\ufe6b"

BEFORE = " \t\r\n\u00a0\u3000\"'`\u2018\u2019\u201c\u201d"


def starts_a_formula(text: str) -> bool:
    """As spreadsheets read a field: behind blanks and quotes, and no number."""
    try:
        float(text)
    except ValueError:
        return text.lstrip(BEFORE).startswith(tuple(STARTS))
    return False


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_text_with_an_apostrophe(text: str) -> None:
    assert field(text) == f"'{shown(text)}" or not starts_a_formula(shown(text))
    assert field(text)[0] in "'\\\\"


@given(text=st.text(st.one_of(st.characters(), st.sampled_from(f"{STARTS}{BEFORE};1e.\x1b"))))
@example("-1")
@example("a;=1+1")
def test_no_field_is_a_formula_in_any_separation(text: str) -> None:
    """In one that parts at semicolons, as in much of Europe, too; and nothing is lost."""
    found = field(text)
    assert shown(found) == found
    for part in (found, *found.split(";")[1:]):
        assert part.startswith("'") or not starts_a_formula(part)
    assert found.replace("'", "") == shown(text).replace("'", "")


@pytest.mark.parametrize("number", ["-1", "+2.5", "-0.031", "-1e-3", "1E+5", ".5", "-.5"])
def test_a_number_stays_a_number(number: str) -> None:
    assert field(number) == number


@pytest.mark.parametrize("text", FORMULAS)
def test_no_column_of_the_report_holds_a_formula(book: Any, text: str) -> None:
    """The names that a stranger's model, a plugin and its metrics give, and what errors say."""
    book.clean(text, 0.7, **{text: -0.25}).attacked(text, text, 0.3)
    book.clean("none", 0.7).lost("none", "hag", text)
    (header, *rows) = tables.reader(io.StringIO(csv(book.results())))
    assert header == list(book.results().to_frame().columns)
    for row in rows:
        for part in row:
            assert shown(part) == part
            assert part.startswith("'") or not starts_a_formula(part)
    assert "-0.25" in {row[header.index("value")] for row in rows}
