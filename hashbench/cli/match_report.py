"""What `hashbench report` does with folders that hold matches of fixed hashes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hashbench.cli.options import EXIT_FAILED
from hashbench.cli.report_target import Target, show
from hashbench.cli.screen import for_answers, for_notes
from hashbench.errors import UsageError

if TYPE_CHECKING:
    from hashbench.results.matches.results import MatchResults
    from hashbench.results.selection import Selection


def of_matches(folders: Sequence[Path]) -> bool:
    """Whether a report of these folders is one of matches.

    Raises:
        UsageError: some hold matches, others something else.
    """
    from hashbench.results.matches.plans import holds_matches

    held = [folder for folder in folders if holds_matches(folder)]
    others = [folder for folder in folders if folder not in held]
    if held and others:
        raise UsageError(
            f"folder {held[0]} holds matches of fixed hashes, {others[0]} does not: the two have "
            "no table together; report them one by one"
        )
    return bool(held)


def match_report(folders: Sequence[Path], target: Target, asked: Selection) -> None:
    """Write the matches that some folders hold.

    Args:
        folders: each holds some.
        target: what is written, and where to.
        asked: which part of results; matches have none of these parts.

    Raises:
        UsageError: a part is asked for, the format has no tables of matches, or a file cannot be
            written.
        typer.Exit: with 1, a cell has no result, something could not be read, or an attack undoes a
            proof.
    """
    from hashbench.results.matches.load import load_matches

    if asked.asks:
        raise UsageError(
            f"folder {folders[0]} holds matches of fixed hashes, and is reported whole: leave out "
            "the options that say which part; the csv report has a row for each number"
        )
    write_matches(load_matches(*folders), target)


def write_matches(matches: MatchResults, target: Target) -> None:
    """Write a report of matches, and say what speaks against it; raises as `match_report`."""
    from hashbench.results.answers import rendered

    target.write(matches)
    if target.output is None:
        show(rendered(target.writer, matches, width=for_answers().width))
    for violation in matches.violations:
        for_notes().say(f"WRONG {violation}", style="bold red")
    if matches.failed or matches.troubles or matches.violations:
        raise typer.Exit(EXIT_FAILED)
