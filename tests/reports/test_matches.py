"""Reports of matches of fixed hashes: in every format the same numbers, and nobody's markup."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from typing_extensions import override

from hashbench import UsageError, plugins
from hashbench.plugins import Format, report_format
from hashbench.reports.matches.rows import changes, groups, radius_order
from hashbench.reports.matches.sheets import attacked_steps, evasion, proven_steps, rate, sheets
from hashbench.reports.matches.told import told
from hashbench.reports.text.sheet import Sheet
from hashbench.results.matches import metrics
from hashbench.results.matches.results import COLUMNS, LEAST, MatchResults, Threat
from hashbench.results.results import Results
from hashbench.testing import sample_matches as sample
from hashbench.testing.checking import Check
from hashbench.testing.sample_results import ESCAPE, SCRIPT

NAMES = ("terminal", "markdown", "latex", "html", "csv", "jsonl", "parquet", "plots")
TABLES = ("terminal", "markdown", "latex", "html")
Make = Callable[[], MatchResults]
MADE: tuple[Make, ...] = (
    sample.ordinary,
    sample.several_sets,
    sample.with_losses,
    sample.only_losses,
    sample.foreign,
    sample.empty,
)


def form(name: str, **given: Any) -> Format:
    found = plugins.get("format", name, **given)
    assert isinstance(found, Format)
    return found


def text(name: str, matches: MatchResults, width: int | None = None) -> str:
    return form(name).render_matches(matches, width=width)


@report_format("plain")
class Plain(Format):
    """Knows no matches."""

    def render(self, results: Results, *, width: int | None = None) -> str:  # noqa: ARG002
        return "plain"


@report_format("several")
class Several(Format):
    """Knows them as files alone."""

    @override
    def files(self, results: Results, *, width: int | None = None) -> dict[str, bytes]:
        return {"a": b"a"}

    @override
    def match_files(self, matches: MatchResults, *, width: int | None = None) -> dict[str, bytes]:
        return {"b": b"b"}


def test_a_format_without_tables_of_matches_refuses_them_by_name() -> None:
    for refused in (Plain().render_matches, Plain().match_files):
        with pytest.raises(UsageError, match=r"^format 'plain' has no tables of matches$"):
            refused(sample.ordinary())
    assert not Plain().tells_matches
    assert Several().tells_matches
    with pytest.raises(UsageError, match="format 'several' gives files of matches, not one text"):
        Several().render_matches(sample.ordinary())


def test_every_format_of_ours_tells_matches() -> None:
    assert {name for name in NAMES if form(name).tells_matches} == set(NAMES)


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("name", [name for name in NAMES if name != "plots"])
def test_the_same_matches_give_the_same_bytes(name: str, made: Make) -> None:
    pytest.importorskip("pyarrow") if name == "parquet" else None
    shuffled = made()
    again = replace(shuffled, cells=tuple(reversed(shuffled.cells)))
    one, other = form(name).match_files(made()), form(name).match_files(made())
    assert one == other
    if name not in ("csv", "parquet"):  # they have the rows of the frame, in its order
        assert one == form(name).match_files(again)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 300])
@pytest.mark.parametrize("made", MADE)
def test_no_line_is_wider_than_the_terminal(made: Make, width: int) -> None:
    found = text("terminal", made(), width)
    command = {line for one in told(made()).commands for line in one.splitlines()}
    for line in found.splitlines():
        assert cell_len(line) <= width or line in command, line


def test_a_terminal_of_80_columns_has_every_number_of_the_wide_one() -> None:
    narrow, wide = (text("terminal", sample.ordinary(), width) for width in (80, 300))
    number = re.compile(r"\d+\.\d+|never|\d+e-\d+")
    assert set(number.findall(wide)) == set(number.findall(narrow))


def cells_of(sheet: Sheet) -> list[dict[str, str]]:
    return [
        dict(zip(sheet.header, (" ".join(field.parts) for field in row), strict=True))
        for row in sheet.rows
    ]


def test_the_sheet_of_evasion_has_the_numbers_of_the_frame() -> None:
    matches = sample.several_sets()
    frame = matches.to_frame().set_index(["pictures", "seed", "hash", "attack", "eps", "metric"])
    values = frame["value"]
    seen = 0
    for group in groups(matches):
        for row in cells_of(evasion(group)):
            here = (group.pictures[:12], group.seed, row["hash"], row["attack"])
            for eps in group.radii(Threat.EVASION):
                value = values.get((*here, eps, metrics.EVASION))
                assert row[eps] == ("-" if value is None else f"{100 * value:.1f}")
                seen += value is not None
            least = [values.get((*here, LEAST, name), -1.0) for name in metrics.ATTACKED[1:]]
            if least[0] >= 0:
                first, middle, third = map(attacked_steps, least)
                assert row["least eps"] == f"{middle} [{first}, {third}]"
            proof = (*here[:3], "none", LEAST)
            proven = [values.get((*proof, name), -1.0) for name in metrics.PROVEN[1:]]
            if proven[0] >= 0:
                first, middle, third = map(proven_steps, proven)
                assert row["proven eps"] == f"{middle} [{first}, {third}]"
    assert seen > 20


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_every_field_of_its_sheets(name: str) -> None:
    matches = sample.with_losses()
    said = text(name, matches)
    if name == "html":
        said = Words(said).text
    plain = re.sub(r"\\allowbreak\{\}|[\\{}]", "", said)
    fields = [
        part
        for group in groups(matches)
        for sheet in sheets(group)
        for row in sheet.rows
        for field in row
        for part in field.parts
    ]
    for field in set(fields):
        assert field in plain, field


class Words(HTMLParser):
    """The texts of a page, behind one another."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.tags: list[str] = []
        self.feed(page)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    @override
    def handle_data(self, data: str) -> None:
        self.text += data


RADII = st.floats(0, 1) | st.integers(0, 255).map(lambda n: n / 255)


@given(RADII)
def test_a_proven_radius_is_rounded_down_and_an_attacked_one_up(eps: float) -> None:
    steps = Fraction(eps) * 255
    low, high = Fraction(proven_steps(eps)), Fraction(attacked_steps(eps))
    slack = Fraction(1, 10**7)  # a double near a whole hundredth is taken for it
    assert steps - Fraction(1, 100) - slack < low <= steps + slack
    assert steps - slack <= high < steps + Fraction(1, 100) + slack
    assert low <= high


@given(st.lists(RADII, min_size=2, max_size=2))
def test_what_is_printed_keeps_the_order_of_proof_and_attack(both: list[float]) -> None:
    proven, attacked = sorted(both)
    assert float(proven_steps(proven)) <= float(attacked_steps(attacked))


@pytest.mark.parametrize("steps", range(256))
def test_whole_steps_are_printed_as_they_are(steps: int) -> None:
    assert proven_steps(steps / 255) == attacked_steps(steps / 255) == f"{steps}.00"


def test_an_attack_that_never_succeeds_is_said_in_a_word() -> None:
    assert attacked_steps(math.inf) == "never"


@given(st.floats(1e-12, 1))
def test_a_rate_is_written_to_two_digits(share: float) -> None:
    assert float(rate(share)) == pytest.approx(share, rel=0.051)
    assert rate(0) == "0"


def test_the_csv_begins_with_what_other_programs_read_and_is_the_frame() -> None:
    matches = sample.several_sets()
    found = pd.read_csv(io.StringIO(text("csv", matches)), dtype={"pictures": str})
    assert list(found.columns) == list(COLUMNS)
    assert list(found.columns)[:5] == ["hash", "attack", "eps", "metric", "value"]
    frame = matches.to_frame()
    assert len(found) == len(frame)
    for column in ("hash", "attack", "eps", "metric", "bits", "threshold", "pictures", "seed"):
        assert found[column].astype(str).tolist() == frame[column].astype(str).tolist(), column
    np.testing.assert_allclose(found["value"], frame["value"], rtol=5e-9, equal_nan=True)
    assert np.isinf(found["value"]).any()


def test_the_csv_starts_no_formula() -> None:
    found = pd.read_csv(io.StringIO(text("csv", sample.foreign())), dtype=str)
    for column in ("hash", "attack", "metric", "reason"):
        for one in found[column].dropna():
            assert not one.startswith(("=", "+", "-", "@")), one


def test_json_lines_are_strict_and_exact() -> None:
    matches = sample.ordinary()

    def refuse(word: str) -> float:
        raise AssertionError(word)

    lines = [
        json.loads(line, parse_constant=refuse) for line in text("jsonl", matches).splitlines()
    ]
    header, *rest = lines
    assert header["type"] == "header"
    assert header["pictures"][sample.PICTURES]["count"] == sample.COUNT
    assert {one["type"] for one in rest} == {"match"}
    assert len(rest) == len(matches.cells)
    for told_of, result in zip(rest, matches.cells, strict=True):
        assert (told_of["hash"], told_of["attack"]) == (result.cell.hash, result.cell.attack)
        assert told_of["threat"] == result.threat.value
        for name, value in result.metrics.items():
            assert told_of["metrics"][name] == (value if math.isfinite(value) else None)
        for name, array in result.per_picture.items():
            expected = [v if math.isfinite(v) else None for v in array.tolist()]
            assert told_of["per_picture"][name] == expected


def test_parquet_has_the_rows_of_the_frame_with_types() -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    matches = sample.foreign()
    (content,) = form("parquet").match_files(matches).values()
    table = pq.read_table(io.BytesIO(content))
    assert table.column_names == list(COLUMNS)
    types = {name: str(table.schema.field(name).type) for name in ("value", "threshold", "hash")}
    assert types == {"value": "double", "threshold": "int64", "hash": "string"}
    frame = matches.to_frame()
    assert table.column("hash").to_pylist() == frame["hash"].tolist()
    np.testing.assert_array_equal(
        np.array(table.column("value").to_pylist(), dtype=float), frame["value"].to_numpy()
    )


@pytest.mark.parametrize("name", [*TABLES, "csv", "jsonl"])
def test_names_of_strangers_are_no_markup(name: str) -> None:
    said = text(name, sample.foreign())
    assert ESCAPE not in said
    if name in ("terminal", "markdown", "latex", "html", "csv"):
        assert "\u202e" not in said
    if name in ("markdown", "html"):
        assert SCRIPT not in said
    if name == "latex":
        assert said.isascii()
        body = [line for line in said.splitlines() if not line.startswith("%")]
        assert not any("#" in line.replace("\\#", "") for line in body)
        assert said.count("\\begin{table}") == said.count("\\end{table}")
    if name == "markdown":
        for block in said.split("\n\n"):
            if block.startswith("| "):
                bars = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
                assert len(bars) == 1, block


def test_a_page_of_strangers_has_the_elements_of_the_usual_ones() -> None:
    usual = {
        tag
        for made in (sample.ordinary, sample.with_losses)
        for tag in Words(text("html", made())).tags
    }
    assert set(Words(text("html", sample.foreign())).tags) <= usual


@pytest.mark.parametrize(
    "command",
    ["~~~", "hashbench match 'a", "rm -rf /", "hashbench match \\end{verbatim} ~~~ <b> --x 'a b'"],
)
def test_a_command_of_a_strangers_folder_ends_no_listing(command: str) -> None:
    matches = replace(sample.ordinary(), commands=(command,))
    said = text("markdown", matches)
    assert said.count("~~~") == 2
    assert "rm -rf" not in said
    document = form("latex", document=True).render_matches(matches)
    assert document.count(r"\end{verbatim}") == 1


def test_what_has_no_result_is_named_with_its_reason() -> None:
    report = told(sample.with_losses())
    (chapter,) = report.chapters
    notes = " ".join(chapter.notes)
    assert "eps 4/255 (evasion) failed: the library raised ValueError." in notes
    assert "pdq (proof) not run." in notes
    assert report.violations[0].startswith("WRONG pdq, evade")
    assert report.not_read == (
        "matches/3.json: half of it is missing: run the same command again.",
    )
    for name in TABLES:
        said = " ".join(text(name, sample.with_losses()).split())
        assert "WRONG" in said
        assert "half of it is missing" in said.replace("\\allowbreak{}", "")


def test_many_cells_without_a_result_are_counted() -> None:
    (chapter,) = told(sample.only_losses()).chapters
    count = len(sample.only_losses().cells)
    assert chapter.notes[-1] == f"So it is with {count - 10} more cells: see the csv report."


def test_only_what_there_is_is_explained() -> None:
    whole = sample.ordinary()
    innocent = replace(
        whole, cells=tuple(one for one in whole.cells if one.threat is Threat.INNOCENT)
    )
    notes = " ".join(told(innocent).notes)
    assert "TPR:" in notes
    assert "Proven eps" not in notes
    assert "PNG" not in notes
    names = [sheet.name for sheet in sheets(groups(innocent)[0])]
    assert names == ["Innocent", "Innocent changes"]


def test_a_hash_that_is_proven_and_not_attacked_has_a_row() -> None:
    whole = sample.ordinary()
    proofs = replace(whole, cells=tuple(one for one in whole.cells if one.threat is Threat.PROOF))
    (row,) = cells_of(evasion(groups(proofs)[0]))
    assert (row["hash"], row["attack"]) == ("pdq", "not attacked")


def test_changes_are_sorted_by_their_numbers() -> None:
    whole = sample.ordinary()
    (first, *_) = [one for one in whole.cells if one.threat is Threat.INNOCENT]
    names = ("jpeg:quality=95", "jpeg:quality=10", "crop:percent=5", "crop:percent=20")
    cell = replace(first, metrics={metrics.of_change(name): 0.5 for name in names})
    assert changes([cell]) == (
        "crop:percent=5",
        "crop:percent=20",
        "jpeg:quality=10",
        "jpeg:quality=95",
    )


def test_radii_are_sorted_by_their_size() -> None:
    texts = ["8/255", "1/255", "16/255", "1/510", "odd"]
    assert sorted(texts, key=radius_order) == ["1/510", "1/255", "8/255", "16/255", "odd"]


def test_sets_and_seeds_have_tables_of_their_own() -> None:
    titles = [chapter.title for chapter in told(sample.several_sets()).chapters]
    assert titles == [
        "photographs: 20 pictures of 256 x 256 pixels, seed 0",
        "photographs: 7 pictures, each of its own size, seed 1",
    ]


def test_our_formats_pass_the_kit() -> None:
    from hashbench.testing import FORMAT_CHECKS, check_format

    kinds: list[Check[Any]] = [one for one in FORMAT_CHECKS if one.name.startswith("matches")]
    assert len(kinds) == 3
    for name in ("terminal", "csv", "html"):
        found = check_format(form(name))
        wanted = {one.name for one in kinds}
        assert {one.check for one in found.passed if one.check in wanted} == wanted
