"""What `hashbench status` says of a folder of matches."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from hashbench.characters import counted
from hashbench.results.cell import Status
from hashbench.results.matches.load import load_matches
from hashbench.results.matches.results import MatchResults


def match_status(folder: Path) -> MatchResults:
    """The results of a folder of matches; errors as of `load_matches`."""
    return load_matches(folder)


def status_lines(folder: Path, found: MatchResults, *, full: bool, most: int) -> list[str]:
    """Lines that say how many cells are done, and which failed."""
    counts = Counter(result.status.words for result in found.cells)
    words = ", ".join(f"{count:,} {word}" for word, count in sorted(counts.items()))
    lines = [f"{folder}: {counted(len(found.cells), 'cell')} of matches: {words}"]
    failed = [one for one in found.cells if one.status is Status.FAILED]
    shown = failed if full else failed[:most]
    for one in shown:
        cell = one.cell
        lines.append(f"FAILED {cell.hash}, {cell.attack}, eps {cell.eps}: {one.reason}")
    if len(failed) > len(shown):
        lines.append(f"  and {len(failed) - len(shown):,} more that failed: --full shows them")
    if found.failed:
        lines.append("The same 'hashbench match' goes on from here.")
    return lines


def status_plain(folder: Path, found: MatchResults) -> dict[str, Any]:
    """The same for programs."""
    counts = Counter(result.status.value for result in found.cells)
    return {
        "folder": str(folder),
        "cells": dict(sorted(counts.items())),
        "failed": [
            {"cell": vars(one.cell), "reason": one.reason}
            for one in found.cells
            if one.status is Status.FAILED
        ],
        "violations": list(found.violations),
        "troubles": list(found.troubles),
    }
