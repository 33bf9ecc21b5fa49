"""Where `hashbench report` puts a report: the screen, a file, a folder, and pictures beside it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from hashbench.cli.named import make_folder, refuse_file, refuse_folder, write_file
from hashbench.cli.report_format import built, chosen
from hashbench.cli.screen import for_notes
from hashbench.errors import UsageError

if TYPE_CHECKING:
    from hashbench.plugins import Format
    from hashbench.results.matches.results import MatchResults
    from hashbench.results.results import Results

PLOTS: Final = "plots"
"""The format that `--plots FOLDER` is short for, beside the one that is asked for."""


@dataclass(frozen=True)
class Target:
    """What is written, and where to.

    Attributes:
        name: of the format, maybe with parameters.
        output: the file or folder that it is written to; `None` for the screen.
        plots: the folder for pictures; `None` for none.
        given: further parameters of the format.
        full: whether the screen shows everything; a file does.
    """

    name: str
    output: Path | None
    plots: Path | None
    given: Mapping[str, Any] = field(default_factory=dict)
    full: bool = False

    @classmethod
    def of(
        cls,
        format: str | None,  # noqa: A002 - the option's name
        output: Path | None,
        plots: Path | None,
        given: Mapping[str, Any],
        *,
        full: bool,
    ) -> Target:
        """What options ask for; what cannot be written is refused before anything is read.

        Raises:
            UsageError: they contradict each other, or name what cannot be written.
        """
        from hashbench.results.answers import is_text

        target = cls(chosen(format, output), output, plots, given, full)
        writer = target.writer
        if output is None and not is_text(writer):
            what = f"a file: name it, as in '--output report{writer.suffix}'"
            several = "several files: name a folder for them, as in '--output FOLDER'"
            kind = what if target._one_file else several
            raise UsageError(f"format '{target.name}' gives {kind}")
        if output is not None:
            (refuse_file if target._one_file else refuse_folder)(output)
        if plots is not None:
            refuse_folder(plots)
        return target

    @cached_property
    def writer(self) -> Format:
        """The format."""
        return built(self.name, self.given, full=self.full or self.output is not None)

    @property
    def is_brief(self) -> bool:
        """Whether the screen shows the ranking of the last run alone."""
        return self.output is None and not getattr(self.writer, "full", True)

    def write(self, part: Results | MatchResults) -> None:
        """Write all files of a report.

        Raises:
            UsageError: the format cannot write this report, or a file cannot be written.
        """
        from hashbench.results.answers import file_of, files_of

        writer = self.writer
        drawn: Mapping[str, bytes] = {}
        if self.plots is not None:
            drawn = files_of(built(PLOTS, {}, full=True), part)
        if self.output is not None:
            if self.plots is not None:
                links = _links(
                    self.plots, drawn, self.output.parent if self._one_file else self.output
                )
                writer = built(self.name, self.given, full=True, pictures=links)
            if self._one_file:
                write_file(self.output, file_of(writer, part))
            else:
                _write_all(self.output, files_of(writer, part), self.name)
        if self.plots is not None:
            _write_all(self.plots, drawn, PLOTS)

    @cached_property
    def _one_file(self) -> bool:
        from hashbench.results.answers import is_one_file

        return is_one_file(self.writer)


def show(text: str) -> None:
    """Print a report, which may lack the end of its last line."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def _links(folder: Path, names: Iterable[str], start: Path) -> list[str]:
    """Where files of a folder lie, seen from another one; `/` parts folders."""
    return [Path(os.path.relpath(folder / name, start)).as_posix() for name in names]


def _write_all(folder: Path, files: Mapping[str, bytes], format: str) -> None:  # noqa: A002
    """Write files into a folder, and say how many they are.

    Raises:
        UsageError: one would lie elsewhere, or the folder cannot be written to.
    """
    for name in files:
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts or not place.parts:
            raise UsageError(f"format '{format}' names a file '{name}' outside of its folder")
    for name, content in files.items():
        path = folder / name
        make_folder(path.parent)
        write_file(path, content)
    notes = for_notes()
    notes.say(f"{len(files)} files of format '{format}' in {folder}")
