"""Report as LaTeX: tables to put into a paper. Names and reasons of foreign origin are escaped."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from typing_extensions import override

from hashbench.plugins import Format, report_format
from hashbench.reports.board.leaderboard import Leaderboard, leaderboards
from hashbench.reports.board.row import Row
from hashbench.reports.matches.told import Chapter, told
from hashbench.reports.papers.section import TITLE, Section, section
from hashbench.reports.text import reproduce, sentences
from hashbench.reports.text.captions import captions
from hashbench.reports.text.lines import broken
from hashbench.reports.text.merging import NOT_READ, conflicts_sheet, not_read
from hashbench.reports.text.notes import notes_on
from hashbench.reports.text.overview import Overview, overviews
from hashbench.reports.text.sheet import Field, Sheet, Tone
from hashbench.reports.text.sheets import sheets
from hashbench.reports.text.tex import escape, in_comment
from hashbench.results.matches.results import MatchResults
from hashbench.results.results import Results

NAME_WIDTH: Final = 26
"""Characters of a name before it goes on in another line."""

HEAD_WIDTH: Final = 12
"""The same of the head of a column of numbers."""

MOST_LINES: Final = 44
"""Lines of a table before it goes on in another one: a page holds no more."""

MOST_FLOATS: Final = 12
"""Tables before LaTeX is told to set those that wait: it keeps 52 of them at most."""

_OF_L2: Final = re.compile(r"(?:^|\s)l2[: ](?=[\d.])")
"""What stands before a radius of L2, in a title and above a column."""

_GAP: Final = 2
"""What the space between two columns takes, in characters."""

_TOP: Final = r"""% Tables by hashbench. To use them: \usepackage{booktabs}, and \input this file.
% Nothing else is needed, with any engine and encoding of fonts: the file is plain ASCII.
% A character that LaTeX's own fonts lack stands as its number, such as U+56F3.
"""

_DOCUMENT: Final = r"""\documentclass[a4paper]{article}
\usepackage{booktabs}
\setlength{\textwidth}{16cm}\setlength{\oddsidemargin}{0pt}\setlength{\textheight}{24cm}
\setlength{\topmargin}{-1.5cm}
\begin{document}
"""


@report_format("latex")
@dataclass(frozen=True)
class Latex(Format):
    r"""Tables with booktabs, for a paper: a fragment for `\input`, or a document of its own.

    Attributes:
        document: a whole document, which compiles by itself, with how the numbers are made again.
        details: also ties, codes and cost.
        columns: characters that a line of a table holds before the table is cut into several; 80
            is a page of one column.
        published: files of published numbers, besides those that ship.
    """

    suffix: ClassVar[str] = ".tex"

    document: bool = False
    details: bool = False
    columns: int = 80
    published: tuple[str, ...] = ()

    @override
    def render(self, results: Results, *, width: int | None = None) -> str:
        """Return the whole report as text; see `Format.render`.

        Raises:
            UsageError: a file of published numbers is missing or malformed.
        """
        boards = leaderboards(results)
        beside = section(results, boards, self.published)
        writer = _Writer(self.columns, self.details)
        parts = list(writer.not_read(not_read(results)))
        parts += [part for overview in overviews(boards) for part in writer.overview(overview)]
        for board, caption in zip(boards, captions(boards), strict=True):
            parts += writer.board(board, caption)
        parts += writer.conflicts(results)
        if beside is not None:
            parts += writer.beside(beside)
        return self._whole(parts, reproduce.commands(results), reproduce.versions(results))

    @override
    def render_matches(self, matches: MatchResults, *, width: int | None = None) -> str:
        report = told(matches)
        writer = _Writer(self.columns, self.details)
        parts = [_paragraphs(report.violations)] if report.violations else []
        parts += writer.not_read(report.not_read)
        parts += [part for chapter in report.chapters for part in writer.chapter(chapter)]
        parts.append(_paragraphs(report.notes))
        return self._whole(parts, report.commands, ())

    def _whole(self, parts: Sequence[str], commands: Sequence[str], made: Sequence[str]) -> str:
        """The fragment or document, and how what stands in it is made again."""
        if not self.document:
            origin = "\n".join([*commands, *made])
            return "\n".join([_TOP, *parts, in_comment(f"{reproduce.TITLE}:\n{origin}"), ""])
        printed = _printed(commands, made)
        return "\n".join([_TOP + _DOCUMENT, *parts, *printed, "\\end{document}", ""])


def _printed(lines: Sequence[str], made: Sequence[str]) -> Iterator[str]:
    yield f"\\section*{{{reproduce.TITLE}}}"
    if lines:
        # Commands are ASCII without a brace.
        text = "\n".join(part for line in lines for part in _short_lines(line))
        yield f"{{\\footnotesize\\begin{{verbatim}}\n{text}\n\\end{{verbatim}}}}"
    if made:
        yield _paragraphs(made)


def _short_lines(command: str) -> Iterator[str]:
    most = reproduce.WIDTH + 6
    for line in command.splitlines():
        yield from (line[place : place + most] for place in range(0, len(line), most))


def _paragraphs(lines: Iterable[str]) -> str:
    """Small text that pages may be broken in."""
    text = "\\par\n".join(map(_typeset, lines))
    return f"{{\\footnotesize\\raggedright\\sloppy\n{text}\\par}}\n\\medskip\n"


class _Writer:
    """Writes tables one after the other; each has a label of its own."""

    def __init__(self, columns: int, details: bool) -> None:
        self._columns = columns
        self._details = details
        self._labels: Counter[str] = Counter()
        self._floats = 0

    def not_read(self, found: Sequence[str]) -> Iterator[str]:
        if found:
            yield _paragraphs((f"{NOT_READ}:", *found))

    def chapter(self, chapter: Chapter) -> Iterator[str]:
        for sheet in chapter.sheets:
            caption = f"{chapter.title}. {sheet.title}."
            yield from self._tables(sheet, caption, f"{chapter.title} {sheet.name}")
        if chapter.notes:
            yield _paragraphs(chapter.notes)

    def conflicts(self, results: Results) -> Iterator[str]:
        if (sheet := conflicts_sheet(results)) is not None:
            yield from self._tables(sheet, f"{sheet.title}.", "conflicts")

    def overview(self, overview: Overview) -> Iterator[str]:
        caption = f"{overview.title}. {overview.sheet.title}."
        yield from self._tables(overview.sheet, caption, overview.title)
        yield _paragraphs(overview.notes)

    def board(self, board: Leaderboard, caption: Sequence[str]) -> Iterator[str]:
        title = sentences.title(board)
        ranking, *others = sheets(board)
        ranked = _with_ranks(ranking, board)
        yield from self._tables(ranked, f"{title}. {ranking.title}.", title)
        notes = [*sentences.verdicts(board), *_rank_notes(board), *notes_on(board), *caption]
        yield _paragraphs(notes)
        for sheet in others:
            if self._details or sheet.name.startswith("Targeted"):
                # A line for every attack takes fewer columns than a column for it.
                whole = sheet.narrow if sheet.narrow is not None else sheet
                yield from self._tables(whole, f"{title}. {sheet.title}.", f"{title} {sheet.name}")

    def beside(self, beside: Section) -> Iterator[str]:
        for part in beside.parts:
            caption = f"{TITLE}: {part.title}. {part.sheet.title}."
            yield from self._tables(part.sheet, caption, f"published {part.title}")
            yield _paragraphs((*part.legend, *part.conditions))
        yield _paragraphs(beside.notes)

    def _tables(self, sheet: Sheet, caption: str, title: str) -> Iterator[str]:
        cut = [
            rows for columns in _cut_columns(sheet, self._columns) for rows in _cut_rows(columns)
        ]
        for place, part in enumerate(cut):
            if self._floats and self._floats % MOST_FLOATS == 0:
                yield "\\clearpage % LaTeX keeps a limited number of tables waiting\n"
            self._floats += 1
            more = f" (part {place + 1} of {len(cut)})" if len(cut) > 1 else ""
            yield "\n".join(
                (
                    "\\begin{table}[!htbp]",
                    "\\centering\\footnotesize\\setlength{\\tabcolsep}{4pt}",
                    f"\\caption{{{_typeset(caption + more)}}}",
                    f"\\label{{{self._label(title)}}}",
                    _tabular(part),
                    "\\end{table}",
                    "",
                )
            )

    def _label(self, title: str) -> str:
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower())[:60].strip("-")
        self._labels[slug] += 1
        number = self._labels[slug]
        return f"tab:hashbench-{slug}" if number == 1 else f"tab:hashbench-{slug}--{number}"


def _tabular(sheet: Sheet) -> str:
    columns = "l" * sheet.names + "r" * (len(sheet.header) - sheet.names)
    heads = [
        _stacked(broken(head, _width_of(sheet, place)), place >= sheet.names, "b")
        for place, head in enumerate(sheet.header)
    ]
    lines = [f"\\begin{{tabular}}{{@{{}}{columns}@{{}}}}", "\\toprule", _row(heads), "\\midrule"]
    for row in sheet.rows:
        names = [
            _stacked(broken(field.parts[0], NAME_WIDTH), False, "t") for field in row[: sheet.names]
        ]
        lines.append(_row([*names, *map(_number, row[sheet.names :])]))
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def _width_of(sheet: Sheet, place: int) -> int:
    return NAME_WIDTH if place < sheet.names else HEAD_WIDTH


def _row(cells: Iterable[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _stacked(lines: Iterable[str], right: bool, place: str) -> str:
    """Lines under each other in one cell."""
    first, *others = map(_typeset, lines)
    if not others:
        return first
    side = "r" if right else "l"
    inner = " \\\\ ".join((first, *others))
    return f"\\begin{{tabular}}[{place}]{{@{{}}{side}@{{}}}}{inner}\\end{{tabular}}"


def _typeset(text: str) -> str:
    """Text of any origin; the norm of a radius of L2 as mathematics has it."""
    return " $\\ell_2$ ".join(map(escape, _OF_L2.split(text))).lstrip()


def _number(field: Field) -> str:
    text = escape(" ".join(field.parts))
    return f"\\textbf{{{text}}}" if field.tone is Tone.BEST else text


def _with_ranks(ranking: Sheet, board: Leaderboard) -> Sheet:
    """The ranking whose ranks say which of them are no more than a tie."""
    shared = Counter(row.rank for row in board.rows)
    rows = []
    for row, fields in zip(board.rows, ranking.rows, strict=True):
        mark = _rank(row, shared)
        rows.append((replace(fields[0], parts=(mark,)), *fields[1:]) if mark else fields)
    return replace(ranking, rows=tuple(rows))


def _rank(row: Row, shared: Counter[int | None]) -> str:
    if row.rank is None:
        return ""
    first, last = row.first_rank or row.rank, row.last_rank or row.rank
    if first != last:
        return f"{first}\N{EN DASH}{last}"
    return f"{row.rank}=" if shared[row.rank] > 1 else str(row.rank)


def _rank_notes(board: Leaderboard) -> Iterator[str]:
    shared = Counter(row.rank for row in board.rows)
    ranks = [_rank(row, shared) for row in board.rows]
    if any(rank.endswith("=") for rank in ranks):
        yield "= behind a rank: another model has the same worst case as it is printed."
    if any("\N{EN DASH}" in rank for rank in ranks):
        yield "Two ranks: the model cannot be told from those between them."


def _cut_columns(sheet: Sheet, most: int) -> Iterator[Sheet]:
    """Sheets of so many characters a line; the names of the rows stand in each."""
    names = sum(_column_width(sheet, place) for place in range(sheet.names))
    chunk: list[int] = []
    width = names
    for place in range(sheet.names, len(sheet.header)):
        own = _column_width(sheet, place)
        if chunk and width + own > most:
            yield _picked(sheet, chunk)
            chunk, width = [], names
        chunk.append(place)
        width += own
    yield _picked(sheet, chunk)


def _picked(sheet: Sheet, chunk: Sequence[int]) -> Sheet:
    places = [*range(sheet.names), *chunk]
    return replace(
        sheet,
        header=tuple(sheet.header[place] for place in places),
        rows=tuple(tuple(row[place] for place in places) for row in sheet.rows),
    )


def _column_width(sheet: Sheet, place: int) -> int:
    is_name = place < sheet.names
    lines = list(broken(sheet.header[place], _width_of(sheet, place)))
    for row in sheet.rows:
        parts = row[place].parts
        lines += broken(parts[0], NAME_WIDTH) if is_name else (" ".join(parts),)
    return max(map(len, lines)) + _GAP


def _cut_rows(sheet: Sheet) -> Iterator[Sheet]:
    """Sheets that fit on a page."""
    chunk: list[tuple[Field, ...]] = []
    height = 0
    for row in sheet.rows:
        own = max(len(list(broken(one.parts[0], NAME_WIDTH))) for one in row[: sheet.names])
        if chunk and height + own > MOST_LINES:
            yield replace(sheet, rows=tuple(chunk))
            chunk, height = [], 0
        chunk.append(row)
        height += own
    yield replace(sheet, rows=tuple(chunk))
