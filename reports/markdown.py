"""Report as Markdown, as GitHub reads it. Names and reasons of foreign origin are escaped."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar, Final
from urllib.parse import quote

from typing_extensions import override

from hashbench.plugins import Format, report_format
from hashbench.reports.board.leaderboard import Leaderboard, leaderboards
from hashbench.reports.matches.told import TITLE as MATCHES
from hashbench.reports.matches.told import Chapter, told
from hashbench.reports.papers.section import TITLE, Section, section
from hashbench.reports.text import reproduce, sentences
from hashbench.reports.text.captions import captions
from hashbench.reports.text.merging import NOT_READ, conflicts_sheet, not_read
from hashbench.reports.text.notes import notes_on
from hashbench.reports.text.overview import Overview, overviews
from hashbench.reports.text.sheet import Field, Sheet, Tone
from hashbench.reports.text.sheets import sheets
from hashbench.results.matches.results import MatchResults
from hashbench.results.results import Results

_PICTURES: Final = "Pictures"
_TOP: Final = "Robustness of deep hashing"
_LONG: Final = 2
"""From so many leaderboards on there is a table of contents."""

_HASHED: Final = re.compile(r"-[0-9a-f]{8}\b")
"""What parts the names of two pictures of one title."""

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
        pictures: images to show, as links from where the report lies. `hashbench report --plots`
            names those that it writes.
    """

    suffix: ClassVar[str] = ".md"

    published: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()

    @override
    def render(self, results: Results, *, width: int | None = None) -> str:
        """Return the whole report as text; see `Format.render`.

        Raises:
            UsageError: a file of published numbers is missing or malformed.
        """
        boards = leaderboards(results)
        beside = section(results, boards, self.published)
        parts = list(_not_read(not_read(results)))
        parts += [part for overview in overviews(boards) for part in _overview(overview)]
        for board, caption in zip(boards, captions(boards), strict=True):
            parts += _paragraphs(board, caption)
        parts += _conflicts(results)
        if beside is not None:
            parts += _section(beside)
        parts += _shown(self.pictures)
        parts += _origin(results)
        return _page(_TOP, parts, contents=len(boards) >= _LONG)

    @override
    def render_matches(self, matches: MatchResults, *, width: int | None = None) -> str:
        report = told(matches)
        parts = [f"**{escape(words)}**" for words in report.violations]
        parts += _not_read(report.not_read)
        parts += [part for chapter in report.chapters for part in _chapter(chapter)]
        parts += ["## What the numbers mean", _listed(report.notes)]
        parts += _shown(self.pictures)
        parts += [f"## {reproduce.TITLE}", *_commands(report.commands)]
        return _page(MATCHES, parts, contents=len(report.chapters) >= _LONG)


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


def _page(title: str, parts: Sequence[str], *, contents: bool) -> str:
    top = [f"# {title}", *(_contents(title, parts) if contents else ())]
    return "\n\n".join([*top, *parts]) + "\n"


def _contents(title: str, parts: Iterable[str]) -> Iterator[str]:
    """Links to the headings of the second level."""
    headings = [part for part in parts if part.startswith(("## ", "### "))]
    anchors = _anchors([title, *(part.partition(" ")[2] for part in headings)])[1:]
    links = [
        f"- [{part.removeprefix('## ')}](#{anchor})"
        for part, anchor in zip(headings, anchors, strict=True)
        if part.startswith("## ")
    ]
    yield "\n".join(links)


def _anchors(headings: Sequence[str]) -> list[str]:
    """What GitHub calls the headings of a page: without marks, repeated ones numbered."""
    seen: Counter[str] = Counter()
    found = []
    for heading in headings:
        text = _shown_as(heading).lower()
        name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        found.append(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def _shown_as(marked: str) -> str:
    """The text that a page shows of one that `escape` made."""
    plain = re.sub("<!-- -->", "", marked)
    for sign, entity in {**_ENTITIES, ":": "&#58;", ".": "&#46;"}.items():
        plain = plain.replace(entity, sign)
    return re.sub(r"\\(?=[^\w\s])", "", plain)


def _overview(overview: Overview) -> Iterator[str]:
    yield f"## {escape(overview.title)}"
    yield overview.sheet.title
    yield _table(overview.sheet)
    yield _listed(overview.notes)


def _shown(pictures: Sequence[str]) -> Iterator[str]:
    """Every picture once: of several forms of one, the first that a page can show."""
    chosen: dict[str, str] = {}
    for ending in (".png", ".svg"):
        for link in pictures:
            if link.lower().endswith(ending):
                chosen.setdefault(link[: -len(ending)], link)
    if chosen:
        yield f"## {_PICTURES}"
    for stem, link in sorted(chosen.items()):
        words = _HASHED.sub("", PurePosixPath(stem).name).replace("-", " ")
        yield f"![{escape(words)}]({quote(link)})"


def _origin(results: Results) -> Iterator[str]:
    yield f"## {reproduce.TITLE}"
    yield from _commands(reproduce.commands(results))
    yield _listed(reproduce.versions(results))


def _commands(lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield "\n".join(["~~~sh", *lines, "~~~"])


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {escape(line)}" for line in lines)


def _chapter(chapter: Chapter) -> Iterator[str]:
    yield f"## {escape(chapter.title)}"
    for sheet in chapter.sheets:
        yield f"### {sheet.name}"
        yield sheet.title
        yield _table(sheet)
    if chapter.notes:
        yield _listed(chapter.notes)


def _paragraphs(board: Leaderboard, caption: Sequence[str]) -> Iterator[str]:
    yield f"## {escape(sentences.title(board))}"
    for line in sentences.verdicts(board):
        yield f"**{escape(line)}**"
    ranking, *others = sheets(board)
    yield ranking.title
    yield _table(ranking)
    if notes := notes_on(board):
        yield _listed(notes)
    for sheet in others:
        yield f"### {sheet.name}"
        yield sheet.title
        yield _table(sheet)
    yield _listed(caption)


def _not_read(found: Sequence[str]) -> Iterator[str]:
    if found:
        yield f"**{NOT_READ}:**"
        yield _listed(found)


def _conflicts(results: Results) -> Iterator[str]:
    sheet = conflicts_sheet(results)
    if sheet is not None:
        yield "## Conflicts"
        yield sheet.title
        yield _table(sheet)


def _section(beside: Section) -> Iterator[str]:
    yield f"## {TITLE}"
    for part in beside.parts:
        yield f"### {escape(part.title)}"
        yield part.sheet.title
        yield _table(part.sheet)
        yield _listed((*part.legend, *part.conditions))
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
