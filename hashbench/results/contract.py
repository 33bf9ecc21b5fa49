"""What the author of a report format implements: `Format`."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.plugins.base import Plugin
from hashbench.results.matches.results import MatchResults
from hashbench.results.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Format(Plugin):
    """A way to write a report: one text, or several files.

    A format defines `render` where its report is one text (a table, a page), and `files` where it
    is several files (pictures, a page with its images). The other one follows.

    One that has tables of matches of fixed hashes too defines `render_matches` where its report is
    one text, `match_files` where it is several files. Without either it refuses them by name.

    Attributes:
        suffix: how the name of the report's file ends, where it is one text or one file.
        one_file: whether `files` gives exactly one file, which is no text: `--output` names that
            file, not a folder.
    """

    suffix: ClassVar[str] = ".txt"
    one_file: ClassVar[bool] = False

    @override
    def __init_subclass__(cls, **given: Any) -> None:
        """Refuse a class that defines neither `render` nor `files`.

        Raises:
            UsageError: it defines neither.
        """
        super().__init_subclass__(**given)
        if cls.render is Format.render and cls.files is Format.files:
            slips = (get_close_matches(name, ("render", "files"), n=1) for name in vars(cls))
            meant = [
                f"; did you mean {near[0]} by {name}?"
                for name, near in zip(vars(cls), slips, strict=True)
                if near
            ]
            raise UsageError(
                f"class {cls.__name__} defines neither render (a report that is one text) nor "
                f"files (one of several files){''.join(meant)}"
            )

    def render(self, results: Results, *, width: int | None = None) -> str:
        """Return the whole report as text.

        Args:
            results: every cell of the folders that are reported.
            width: columns of the terminal it is for; `None` for a file.

        Raises:
            UsageError: the format gives files instead.
        """
        del results, width
        raise UsageError(f"format '{self.card.name}' gives files, not one text: ask for its files")

    def files(self, results: Results, *, width: int | None = None) -> Mapping[str, bytes]:
        """Return the whole report as files; by default the text of `render`, as one of them.

        Args:
            results: every cell of the folders that are reported.
            width: columns of the terminal it is for; `None` for a file.

        Returns:
            Contents by name, relative to the folder they will lie in; `/` parts sub-folders. The
            same results give the same bytes.
        """
        return {f"report{self.suffix}": self.render(results, width=width).encode()}

    def render_matches(self, matches: MatchResults, *, width: int | None = None) -> str:
        """Return the whole report of matches of fixed hashes as text.

        Args:
            matches: every cell of the folders that are reported.
            width: columns of the terminal it is for; `None` for a file.

        Raises:
            UsageError: the format has no tables of matches, as by default; or it gives files
                instead.
        """
        del matches, width
        if self.tells_matches:
            raise UsageError(
                f"format '{self.card.name}' gives files of matches, not one text: ask for its files"
            )
        raise UsageError(f"format '{self.card.name}' has no tables of matches")

    def match_files(
        self, matches: MatchResults, *, width: int | None = None
    ) -> Mapping[str, bytes]:
        """Return the whole report of matches as files; by default the text of `render_matches`.

        Args:
            matches: every cell of the folders that are reported.
            width: columns of the terminal it is for; `None` for a file.

        Returns:
            Contents by name, as those of `files`.

        Raises:
            UsageError: the format has no tables of matches.
        """
        return {f"report{self.suffix}": self.render_matches(matches, width=width).encode()}

    def figure(self, results: Results, kind: str, choice: Mapping[str, object]) -> Figure:
        """Return one picture of results, as `Results.plot` asks the format `plots` for it.

        Args:
            results: to draw of.
            kind: of picture.
            choice: which part of the results it is of; see `Results.plot`.

        Raises:
            UsageError: the format draws nothing, or there is no such kind or part.
        """
        del results, kind, choice
        raise UsageError(f"format '{self.card.name}' draws no figures")

    @property
    def is_text(self) -> bool:
        """Whether the report is one text, which a terminal can show: `files` is not overridden."""
        return type(self).files is Format.files

    @property
    def tells_matches(self) -> bool:
        """Whether it has tables of matches: `render_matches` or `match_files` is overridden."""
        mine = type(self)
        return (
            mine.render_matches is not Format.render_matches
            or mine.match_files is not Format.match_files
        )
