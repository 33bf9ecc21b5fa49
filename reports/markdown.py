"""Report as Markdown, as GitHub reads it. Names and reasons of foreign origin are escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from hashbench.plugins import Format, report_format
from hashbench.reports.board.leaderboard import Leaderboard, leaderboards
from hashbench.reports.papers.section import TITLE, Section, section
from hashbench.reports.text import sentences
from hashbench.reports.text.notes import notes_on
from hashbench.reports.text.sheets import Field, Sheet, Tone, sheets
from hashbench.results.results import Results

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# An underscore inside a word starts no emphasis, so that `inner_steps` stays as it is.
_SPECIAL = re.compile(r"[\\`*\[\]{}|~$#!&<>]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
# What GitHub finds in plain text: an entity hides an address, a comment parts a name from its sign.
_LINKS = (
    (re.compile("://"), "&#58;//"),
    (re.compile(r"\b(www)\.", re.IGNORECASE), r"\1&#46;"),
    (re.compile(r"(?<![A-Za-z0-9])@(?=[A-Za-z0-9])|@(?=[\w-]+\.[A-Za-z])"), "@<!-- -->"),
)


@report_format("markdown")
@dataclass(frozen=True)
class Markdown(Format):
    """GitHub tables, for a README, a pull request or a paper's repository.

    Attributes:
        published: files of published numbers, besides those that ship.
    """

    suffix: ClassVar[str] = ".md"

    published: tuple[str, ...] = ()

    @override
    def render(self, results: Results, *, width: int | None = None) -> str:
        """Return the whole report as text; see `Format.render`.

        Raises:
            UsageError: a file of published numbers is missing or malformed.
        """
        beside = section(results, self.published)
        found = [part for board in leaderboards(results) for part in _paragraphs(board)]
        if beside is not None:
            found += _section(beside)
        return "\n\n".join(found) + "\n"


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line: no markup, no HTML, no new table cell.

    GitHub makes links of bare addresses and calls people by `@name`: neither happens.
    """

    def safe(found: re.Match[str]) -> str:
        character = found.group()
        return _ENTITIES.get(character, f"\\{character}")

    marked = _SPECIAL.sub(safe, sentences.one_line(text))
    for pattern, replacement in _LINKS:
        marked = pattern.sub(replacement, marked)
    return marked


def _paragraphs(board: Leaderboard) -> Iterator[str]:
    yield f"## {escape(sentences.title(board))}"
    for line in sentences.verdicts(board):
        yield f"**{escape(line)}**"
    ranking, *others = sheets(board)
    yield ranking.title
    yield _table(ranking)
    if notes := notes_on(board):
        yield "\n".join(f"- {escape(note)}" for note in notes)
    for sheet in others:
        yield sheet.title
        yield _table(sheet)
    yield "\n".join(f"- {escape(line)}" for line in sentences.caption(board))


def _section(beside: Section) -> Iterator[str]:
    yield f"## {TITLE}"
    for part in beside.parts:
        yield f"### {escape(part.title)}"
        yield part.sheet.title
        yield _table(part.sheet)
        yield "\n".join(f"- {escape(line)}" for line in (*part.legend, *part.conditions))
    yield from map(escape, beside.notes)


def _table(sheet: Sheet) -> str:
    rule = ["---" if place < sheet.names else "---:" for place in range(len(sheet.header))]
    lines = [_line(escape(head) for head in sheet.header), _line(rule)]
    for row in sheet.rows:
        names = [escape(field.parts[0]) for field in row[: sheet.names]]
        lines.append(_line([*names, *(_number(field) for field in row[sheet.names :])]))
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(field: Field) -> str:
    text = " ".join(field.parts)
    return f"**{text}**" if field.tone is Tone.BEST else text
