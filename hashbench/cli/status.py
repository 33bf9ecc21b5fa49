"""The command `hashbench status`: what of a folder is done, and who is at work there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hashbench.characters import counted, shortened
from hashbench.cli.helped import defaulting
from hashbench.cli.options import EXIT_FAILED
from hashbench.cli.screen import for_answers, for_notes, say_folded
from hashbench.progress import duration

if TYPE_CHECKING:
    from hashbench.results.status import CellState, FolderStatus, RunStatus, SuiteStatus

_MOST_SHOWN: Final = 10
"""Of suites, and of failed cells, unless all are asked for."""

_MOST_LABEL: Final = 300


def status(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help=defaulting("A folder of results.", "results")),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Every suite and every failed cell, not the last ten.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Print what of a folder is done, failed or waiting, and which runs are at work there.

    Several runs, of several machines too, may work in one folder at the same time. A run that is
    gone, or gives no sign for longer than its lease, holds nothing: others take over.

    Exits with 1 if a cell failed, or something cannot be read.

    For example:

      hashbench status
      hashbench status shared/grid --full
    """
    from hashbench.results.matches.plans import holds_matches
    from hashbench.results.status import status_of

    place = folder or Path("results")
    if holds_matches(place):
        _say_matches(place, full=full, as_json=as_json)
        return
    found = status_of(place)
    screen, notes = for_answers(), for_notes()
    if as_json:
        screen.print(_json(found), soft_wrap=True)
    else:
        for line, style in _lines(found, full):
            say_folded(screen, line, style)
    for sentence in found.troubles:
        notes.say(sentence)
    if found.failed or found.troubles:
        raise typer.Exit(EXIT_FAILED)


def _say_matches(folder: Path, *, full: bool, as_json: bool) -> None:
    """The same of a folder of matches."""
    from hashbench.cli.match_status import match_status, status_lines, status_plain

    found = match_status(folder)
    screen = for_answers()
    if as_json:
        screen.print(json.dumps(status_plain(folder, found), indent=2), soft_wrap=True)
    else:
        for line in status_lines(folder, found, full=full, most=_MOST_SHOWN):
            say_folded(screen, line)
    for sentence in (*found.troubles, *found.violations):
        for_notes().say(sentence)
    if found.failed or found.troubles or found.violations:
        raise typer.Exit(EXIT_FAILED)


def _lines(found: FolderStatus, full: bool) -> Iterator[tuple[str, str]]:
    from hashbench.results.cell import in_words

    yield f"{found.folder}: {_counts(found.cells)}", "bold"
    left = 0 if full else max(0, len(found.suites) - _MOST_SHOWN)
    if len(found.suites) > 1:
        if left:
            yield f"  ({counted(left, 'earlier run')} left out: --full shows them)", ""
        for suite in found.suites[left:]:
            yield f"  {_suite(suite)}", ""
    if found.hosts:
        each = ", ".join(f"{host} {count:,}" for host, count in found.hosts.items())
        yield f"  scored on {each}", ""
    for run in found.runs:
        yield _run(run), "yellow" if run.left == 0 else ""
        for label in run.steps:
            yield f"  {shortened(label, _MOST_LABEL) or 'a claim that cannot be read'}", ""
    most = len(found.failed) if full else _MOST_SHOWN
    for cell, reason in found.failed[:most]:
        yield f"FAILED {in_words(cell)}: {reason}", "red"
    if len(found.failed) > most:
        yield f"  and {len(found.failed) - most:,} more that failed: --full shows them", ""
    if not found.runs and _open(found.cells):
        yield "No run is at work there; the same 'hashbench run' goes on from here.", ""


def _open(cells: Mapping[CellState, int]) -> int:
    return sum(count for state, count in cells.items() if state != "done")


def _counts(cells: Mapping[CellState, int]) -> str:
    words = [f"{count:,} {state.words}" for state, count in cells.items() if count]
    return f"{counted(sum(cells.values()), 'cell')}: {', '.join(words)}"


def _suite(suite: SuiteStatus) -> str:
    name = f"suite {suite.name}" if suite.name else "a suite without a name"
    return f"{name}, asked for {suite.asked[:16].replace('T', ' ')} UTC: {_counts(suite.cells)}"


def _run(run: RunStatus) -> str:
    who = f"process {run.pid} on {run.host}" if run.host else "an unknown run"
    since = f", since {run.since[:19].replace('T', ' ')} UTC" if run.since else ""
    if run.life == "gone":
        return f"GONE: {who} has ended; what it held is free:"
    sign = f"last sign {duration(run.silent)} ago"
    if run.life == "silent":
        return f"SILENT: {who}{since}, {sign}; what it held may be taken over:"
    return f"at work: {who}{since}, {sign}, lease for {duration(run.left)} more:"


def _json(found: FolderStatus) -> str:
    plain = {
        "folder": str(found.folder),
        "cells": dict(found.cells),
        "suites": [asdict(suite) for suite in found.suites],
        "runs": [{**asdict(run), "left": run.left} for run in found.runs],
        "failed": [{"cell": vars(cell), "reason": reason} for cell, reason in found.failed],
        "hosts": dict(found.hosts),
        "troubles": list(found.troubles),
    }
    return json.dumps(plain, indent=2)
