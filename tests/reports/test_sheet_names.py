"""Every sheet has a heading: what no format can leave empty."""

from __future__ import annotations

from typing import Any

from hashbench import plugins
from hashbench.plugins import Format
from hashbench.reports.board.leaderboard import leaderboards
from hashbench.reports.text.sheets import sheets


def test_every_sheet_has_a_name_of_its_own(rich_book: Any) -> None:
    for board in leaderboards(rich_book.results()):
        found = sheets(board)
        names = [sheet.name for sheet in found]
        assert all(names)
        assert len(set(names)) == len(names)
        assert all(sheet.narrow is None or sheet.narrow.name == sheet.name for sheet in found)


def test_no_heading_of_markdown_is_empty(rich_book: Any) -> None:
    markdown = plugins.get("format", "markdown")
    assert isinstance(markdown, Format)
    headings = [line for line in markdown.render(rich_book.results()).splitlines() if "###" in line]
    assert headings
    assert all(line.lstrip("#").strip() for line in headings)
