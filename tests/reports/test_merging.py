"""What reports say of several folders: conflicts, what was not read, tables of the same names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hashbench import plugins
from hashbench.cli.helped import HelpedCommand
from hashbench.cli.report import report
from hashbench.plugins import Format
from hashbench.reports.board.leaderboard import leaderboards
from hashbench.reports.text.merging import conflicts_sheet, made_with, values_of
from hashbench.reports.text.notes import notes_on
from hashbench.results.load import read_folders
from hashbench.results.provenance import Conflict, Measurement, Provenance
from hashbench.results.results import Results
from support.handmade import CLEAN_CELL, HAG, NOISE, WIDER, HandMade, half_written

HOSTILE = "<b>odd</b>|\x1b[31m\u202e`x`"

TEXTS = [
    name
    for name in plugins.names("format")
    if isinstance(found := plugins.get("format", name), Format) and found.is_text
]
"""Every format of one text."""


def rendered(name: str, results: Results) -> str:
    form = plugins.get("format", name)
    assert isinstance(form, Format)
    return form.render(results)


def said(value: float, folder: str = "a", key: str = "0" * 64, **known: str) -> Measurement:
    return Measurement({"map": value}, Provenance(folder, key, known))


def conflict(*values: float) -> Conflict:
    return Conflict(HAG, "map", tuple(map(said, values)))


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((0.608, 0.604), ("60.8", "60.4")),
        ((0.608, 0.60801, 0.604), ("60.800", "60.801", "60.400")),
        ((0.608, 0.604, 0.604), ("60.8", "60.4", "60.4")),
        ((0.5, 0.5 + 3e-9), ("50.0000000", "50.0000003")),
        ((0.5, 0.5), ("50.0 (other queries)", "50.0 (other queries)")),
    ],
)
def test_values_have_the_digits_that_tell_them_apart(
    values: tuple[float, ...], texts: tuple[str, ...]
) -> None:
    assert values_of(conflict(*values)) == texts


def test_what_made_a_number_in_brief() -> None:
    known = {"hashbench": "0.1.0", "torch": "2.9", "processor": "AVX2", "gpu": "H100"}
    state = {"commit": "abcdef0123", "dirty": "yes"}
    brief = made_with(said(0.5, key="12" * 32, **known, **state, device="cpu"))
    assert brief == "hashbench 0.1.0, commit abcdef01, changed, torch 2.9, cpu, AVX2, key 12121212"
    brief = made_with(said(0.5, key="12" * 32, **known, device="cuda:0"))
    assert brief == "hashbench 0.1.0, torch 2.9, cuda:0, H100, key 12121212"
    assert made_with(said(0.5, key="12" * 32)) == "key 12121212"


@pytest.fixture
def two(book: Any) -> Results:
    """Two folders that say different things of a clean and of an attacked cell."""
    book.clean("none", 0.7).attacked("none", "hag", 0.2).clean("cgat", 0.6)
    book.attacked("cgat", "hag", 0.5).attacked("cgat", "hag", 0.55, eps="8/255")
    book.attacked("none", "hag", 0.3, eps="8/255")
    results: Results = book.results()
    found = tuple(
        Conflict(one.cell, "map", (said(one.metrics["map"]), said(0.123, HOSTILE, "1" * 64)))
        for one in results.cells
        if one.cell.defense == "cgat" and one.cell.eps != "8/255"
    )
    assert len(found) == 2
    return replace(results, conflicts=found, troubles=(f"{HOSTILE}/plans/a.json: half of it",))


def test_a_note_stands_below_the_tables_that_a_conflict_is_in(two: Results) -> None:
    """A clean cell is in the tables of every radius."""
    told = {
        board.group.eps: [note for note in notes_on(board) if "different things" in note]
        for board in leaderboards(two)
    }
    assert [len(notes) for notes in (told["24/255"], told["8/255"])] == [2, 1]
    assert told["24/255"][1].startswith("Folders say different things of cgat, hag, seed 0: a 50.0")
    assert "cgat, clean, seed 0: a 60.0; " in told["8/255"][0]


def test_the_sheet_has_a_line_for_each_folder(two: Results) -> None:
    sheet = conflicts_sheet(two)
    assert sheet is not None
    assert [row[3].parts[0] for row in sheet.rows] == ["60.0", "12.3", "50.0", "12.3"]
    assert [row[4].parts[0] for row in sheet.rows] == ["yes", "no"] * 2
    assert conflicts_sheet(replace(two, conflicts=())) is None


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("width", [None, 80])
def test_every_format_tells_both_and_nothing_steers(
    name: str, width: int | None, two: Results
) -> None:
    form = plugins.get("format", name)
    assert isinstance(form, Format)
    text = form.render(two, width=width)
    assert not set(text) & {"\x1b", "\u202e"}
    assert "12.3" in text or "0.123" in text
    assert "half of it" in text
    if name in ("markdown", "html"):
        assert "<b>odd" not in text


@pytest.mark.parametrize("name", ["markdown", "terminal"])
def test_values_are_those_of_the_tables_and_never_means(name: str, two: Results) -> None:
    """A conflict adds words and changes no number of a ranking."""
    plain = rendered(name, replace(two, conflicts=(), troubles=()))
    found = rendered(name, two)
    rows = [line for line in plain.splitlines() if "cgat" in line]
    assert all(row in found.splitlines() for row in rows)


def test_tables_of_two_protocols_and_of_two_trainings_say_so(tmp_path: Path) -> None:
    folder = HandMade(tmp_path / "r")
    cells = [CLEAN_CELL, HAG]
    own, other = CLEAN_CELL.protocol, WIDER.hash
    for name, protocol, training in (
        ("a", own, "7" * 64),
        ("b", other, "7" * 64),
        ("c", own, "8" * 64),
    ):
        several = [replace(cell, protocol=protocol, training=training) for cell in cells]
        folder.plan(name, several)
        for cell in several:
            folder.score(cell, [0.5, 0.25, 0.75])
    boards = leaderboards(read_folders(folder.path))
    assert len(boards) == 3
    notes = {
        (board.group.protocol, board.group.training): [
            note for note in notes_on(board) if note.startswith("Another table has these names")
        ]
        for board in boards
    }
    assert all(len(found) == 2 for found in notes.values())
    words = " ".join(notes[own, "7" * 64])
    assert f"another protocol ({other[:8]}, here {own[:8]}): database 41, here 40." in words
    assert "another training (88888888, here 77777777)." in words


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Run `hashbench report` in an empty folder and a terminal of 80 columns."""
    app = typer.Typer()
    app.command(cls=HelpedCommand)(report)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *words: CliRunner().invoke(app, words)


def test_what_is_not_read_is_said_on_standard_error_and_the_exit_code_is_1(
    run: Callable[..., Any], recwarn: pytest.WarningsRecorder
) -> None:
    folder = HandMade(Path("r"))
    folder.plan("grid", [CLEAN_CELL, HAG])
    for cell in (CLEAN_CELL, HAG):
        folder.score(cell, [0.5, 0.25, 0.75])
    assert run("r").exit_code == 0
    Path("empty").mkdir()
    half_written(folder.plan("bad", [NOISE]))
    done = run("r", "empty")
    assert done.exit_code == 1
    for sentence in ("r/plans/bad.json: cannot be read", "folder empty: no results in it"):
        assert sentence in done.stderr
        assert sentence in done.stdout
    assert "50.0" in done.stdout
    assert not recwarn.list
    # To a file as well; and where nothing can be read, 2.
    assert run("r", "empty", "-o", "r.md").exit_code == 1
    assert "r/plans/bad.json" in Path("r.md").read_text()
    (Path("r") / "plans" / "grid.json").unlink()
    refused = run("r", "empty")
    assert refused.exit_code != 0
    assert "r/plans/bad.json: cannot be read" in str(refused.exception)
