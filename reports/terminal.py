"""Report for a terminal: tables that fit its width, drawn with rich. Prints nothing itself."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from hashbench.console import TextConsole
from hashbench.plugins import Format, report_format
from hashbench.reports.board.leaderboard import Leaderboard, leaderboards
from hashbench.reports.matches.told import Told, told
from hashbench.reports.papers.section import TITLE, Section, section
from hashbench.reports.text import reproduce, sentences
from hashbench.reports.text.captions import captions
from hashbench.reports.text.columns import GAP, Column, fits, is_stacked, tables
from hashbench.reports.text.merging import NOT_READ, conflicts_sheet, not_read
from hashbench.reports.text.notes import notes_on
from hashbench.reports.text.overview import Overview, overviews
from hashbench.reports.text.sheet import Sheet, Tone
from hashbench.reports.text.sheets import ranking as ranking_sheet
from hashbench.reports.text.sheets import sheets
from hashbench.results.matches.results import MatchResults
from hashbench.results.results import Results

FILE_WIDTH = 100
"""Columns of running text where no terminal gives a width; tables take what they need."""

LEAST_WIDTH = 40
"""Narrower than this no table is readable: it is drawn for this width."""

_STYLES = {
    Tone.PLAIN: "",
    Tone.NAME: "bold",
    Tone.BEST: "bold green",
    Tone.AT_CHANCE: "yellow",
    Tone.PROBLEM: "red",
}


class Color(StrEnum):
    """When the text carries ANSI colours."""

    AUTO = "auto"  # where it is for a terminal, and standard output is one that shows colours
    ALWAYS = "always"
    NEVER = "never"


@report_format("terminal")
@dataclass(frozen=True)
class Terminal(Format):
    """Tables for a terminal, never wider than it; plain text in a file.

    Attributes:
        color: when the text carries ANSI colours; `auto` is on a terminal, unless NO_COLOR is set.
        published: files of published numbers, besides those that ship.
        full: every table; false for the ranking and its notes alone. `hashbench report` prints that
            where it is not told --full, and writes every table to a file.
    """

    color: Color = Color.AUTO
    published: tuple[str, ...] = ()
    full: bool = True

    @override
    def render(self, results: Results, *, width: int | None = None) -> str:
        """Return the whole report as text; see `Format.render`.

        Raises:
            UsageError: a file of published numbers is missing or malformed.
        """
        boards = leaderboards(results)
        # Whoever names a file of published numbers wants to see them.
        wanted = self.full or self.published
        beside = section(results, boards, self.published) if wanted else None
        paper = _Paper(width, self._colored(width))
        _write_not_read(not_read(results), paper)
        if self.full and width is None:
            _write_page(boards, beside, paper)
            _write_conflicts(results, paper, before=1)
            paper.blank()
            _write_origin(results, paper)
        else:
            if self.full:
                _write_origin(results, paper)
                paper.blank()
                _write_conflicts(results, paper, behind=1)
            _write_screen(boards, beside, paper, full=self.full)
        return paper.text

    @override
    def render_matches(self, matches: MatchResults, *, width: int | None = None) -> str:
        paper = _Paper(width, self._colored(width))
        _write_matches(told(matches), paper)
        return paper.text

    def _colored(self, width: int | None) -> bool:
        if self.color is Color.AUTO:
            screen = TextConsole()  # on standard output: knows NO_COLOR, FORCE_COLOR and the like
            return width is not None and screen.is_terminal and not screen.no_color
        return self.color is Color.ALWAYS


class _Paper:
    """A console that writes into memory and takes nothing from the environment."""

    def __init__(self, width: int | None, color: bool) -> None:
        self.table_width = None if width is None else max(width, LEAST_WIDTH)
        self.text_width = self.table_width or FILE_WIDTH
        self._file = io.StringIO()
        self._console = TextConsole(
            file=self._file, width=self.table_width or 1_000_000, color=color
        )

    @property
    def text(self) -> str:
        # Rich fills lines up with blanks.
        return "".join(f"{line.rstrip()}\n" for line in self._file.getvalue().splitlines())

    def blank(self) -> None:
        self._console.print()

    def say(self, words: str, style: str = "", indent: str = "") -> None:
        """Write a paragraph whose further lines are indented."""
        room = self.text_width - len(indent)
        text = Text(words, style=style)
        for place, line in enumerate(text.wrap(self._console, room, overflow="fold")):
            self._console.print(Padding(line, (0, 0, 0, len(indent) if place else 0), expand=False))

    def draw(self, table: Table) -> None:
        self._console.print(table)


def _write_page(boards: Sequence[Leaderboard], beside: Section | None, paper: _Paper) -> None:
    """Everything of one board after the other, as a page is read: from its top."""
    for overview in overviews(boards):
        _write_overview(overview, paper)
        paper.blank()
    for place, (board, caption) in enumerate(zip(boards, captions(boards), strict=True)):
        if place:
            paper.blank()
        _write_ranking(board, paper)
        _write_details(board, caption, paper)
    if beside is not None:
        paper.blank()
        _write_section(beside, paper)


def _write_screen(
    boards: Sequence[Leaderboard], beside: Section | None, paper: _Paper, *, full: bool
) -> None:
    """The rankings last: that is what a screen still shows when everything has gone by."""
    if full:
        for board, caption in zip(boards, captions(boards), strict=True):
            paper.say(sentences.title(board), style="bold")
            _write_details(board, caption, paper)
            paper.blank()
    if beside is not None:
        _write_section(beside, paper)
        paper.blank()
    for place, board in enumerate(boards):
        if place:
            paper.blank()
        _write_ranking(board, paper, () if full else sentences.in_brief(board))
    for overview in overviews(boards):
        paper.blank()
        _write_overview(overview, paper)


def _write_overview(overview: Overview, paper: _Paper) -> None:
    paper.say(overview.title, style="bold")
    _write_sheet(overview.sheet, paper)
    paper.blank()
    for note in overview.notes:
        paper.say(note, style="dim", indent="  ")


def _write_origin(results: Results, paper: _Paper) -> None:
    """How these numbers are made again, and what made them."""
    paper.say(reproduce.TITLE, style="bold")
    _write_commands(reproduce.commands(results), paper)
    for line in reproduce.versions(results):
        paper.say(line, style="dim", indent="  ")


def _write_commands(commands: Sequence[str], paper: _Paper) -> None:
    for command in commands:
        for line in command.splitlines():
            paper.say(line, indent="  ")


def _write_ranking(board: Leaderboard, paper: _Paper, brief: Sequence[str] = ()) -> None:
    paper.say(sentences.title(board), style="bold")
    for line in sentences.verdicts(board):
        paper.say(line, style="bold red")
    _write_sheet(ranking_sheet(board), paper)
    notes = notes_on(board)
    if notes or brief:
        paper.blank()
    for note in notes:
        paper.say(note, indent="  ")
    for line in brief:
        paper.say(line, style="dim", indent="  ")


def _write_details(board: Leaderboard, caption: Sequence[str], paper: _Paper) -> None:
    for sheet in sheets(board)[1:]:
        paper.blank()
        _write_fitting(sheet, paper)
    paper.blank()
    for line in caption:
        paper.say(line, style="dim", indent="  ")


def _write_section(beside: Section, paper: _Paper) -> None:
    paper.say(TITLE, style="bold")
    for part in beside.parts:
        paper.blank()
        paper.say(part.title, style="bold")
        _write_sheet(part.sheet, paper)
        paper.blank()
        for line in part.legend:
            paper.say(line, indent="  ")
        for line in part.conditions:
            paper.say(line, style="dim", indent="  ")
    paper.blank()
    for line in beside.notes:
        paper.say(line, style="dim", indent="  ")


def _write_not_read(found: Sequence[str], paper: _Paper) -> None:
    """What could not be read: before anybody reads what could."""
    if found:
        paper.say(f"{NOT_READ}:", style="bold red")
        for sentence in found:
            paper.say(sentence, indent="  ")
        paper.blank()


def _write_conflicts(results: Results, paper: _Paper, before: int = 0, behind: int = 0) -> None:
    """The sheet of conflicts, with so many blank lines around it."""
    sheet = conflicts_sheet(results)
    if sheet is not None:
        for _ in range(before):
            paper.blank()
        _write_sheet(sheet, paper)
        for _ in range(behind):
            paper.blank()


def _write_matches(report: Told, paper: _Paper) -> None:
    """The tables of matches last: that is what a screen still shows."""
    for words in report.violations:
        paper.say(words, style="bold red")
    _write_not_read(report.not_read, paper)
    paper.say(reproduce.TITLE, style="bold")
    _write_commands(report.commands, paper)
    paper.blank()
    for note in report.notes:
        paper.say(note, style="dim", indent="  ")
    for chapter in report.chapters:
        paper.blank()
        paper.say(chapter.title, style="bold")
        for sheet in chapter.sheets:
            paper.blank()
            _write_fitting(sheet, paper)
        if chapter.notes:
            paper.blank()
        for note in chapter.notes:
            paper.say(note, indent="  ")


def _write_fitting(sheet: Sheet, paper: _Paper) -> None:
    """A sheet, or its narrow form where a row of it does not fit."""
    whole = sheet.narrow is None or fits(sheet, paper.table_width)
    _write_sheet(sheet if whole or sheet.narrow is None else sheet.narrow, paper)


def _write_sheet(sheet: Sheet, paper: _Paper) -> None:
    paper.say(sheet.title)
    paper.blank()
    for place, columns in enumerate(tables(sheet, paper.table_width)):
        if place:
            paper.blank()
        paper.draw(_table(columns))


def _table(columns: Sequence[Column]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, GAP - 1, 0, 0),  # the box puts one blank between columns
        leading=1 if is_stacked(columns) else 0,
        header_style="bold",
    )
    for column in columns:
        table.add_column(
            Text("\n".join(column.head)),
            justify="right" if column.right else "left",
            vertical="top",
            no_wrap=True,
            overflow="fold",
            min_width=column.width,
        )
    for place in range(len(columns[0].fields)):
        table.add_row(
            *(
                Text("\n".join(lines), style=_STYLES[tone])
                for lines, tone in (column.fields[place] for column in columns)
            )
        )
    return table
