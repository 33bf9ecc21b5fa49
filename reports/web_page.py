"""Report as one page of HTML: everything in a file that needs no server and asks for nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from hashbench.plugins import Format, report_format
from hashbench.results.matches.results import MatchResults
from hashbench.results.results import Results


@report_format("html")
@dataclass(frozen=True)
class WebPage(Format):
    """A leaderboard to sort, filter and link to, with plots, pictures and commands; one file.

    Attributes:
        published: files of published numbers, besides those that ship.
        title: the heading of the page; one of matches has another, unless this is given.
    """

    suffix: ClassVar[str] = ".html"

    published: tuple[str, ...] = ()
    title: str = "Robustness of deep hashing retrieval"

    @override
    def render(self, results: Results, *, width: int | None = None) -> str:
        """Return the whole page; see `Format.render`.

        Raises:
            UsageError: a file of published numbers is missing or malformed.
        """
        # Here, since every format is imported when one is looked for, and templates take long.
        from hashbench.reports.page.document import document

        return document(results, self.published, self.title)

    @override
    def render_matches(self, matches: MatchResults, *, width: int | None = None) -> str:
        from hashbench.reports.page.match_document import match_document

        return match_document(matches, "" if self.title == WebPage.title else self.title)
