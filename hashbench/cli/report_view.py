"""Which part of the results `hashbench report` shows, and the words that say so."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hashbench.characters import counted
from hashbench.characters import shown as shown_text

if TYPE_CHECKING:
    from hashbench.results.results import Results
    from hashbench.results.selection import Selection

MORE = "intervals, ties, codes, cost and settings"
"""What a ranking leaves out."""


def said_below(
    whole: Results, shown: Results, selection: Selection, folders: Sequence[Path], width: int
) -> str:
    """What stands below rankings alone: what they are of, and how everything is seen.

    Args:
        whole: what the folders hold.
        shown: what is ranked.
        selection: what was asked for.
        folders: where the results come from, as they were typed.
        width: columns of the terminal.
    """
    command = shlex.join(["hashbench", "report", *map(str, folders), "--full"])
    part = f"{len(shown.cells):,} of {counted(len(whole.cells), 'cell')}"
    if selection.asks:
        words = f"Selected: {part}. With {MORE}: the same command and --full"
    elif len(shown.cells) < len(whole.cells):
        runs = "the last run" if len(folders) == 1 else "the last run of each folder"
        words = (
            f"Shown: {runs}{_suites(shown)}, {part}. The other runs, and {MORE}: {command}. "
            "A part of them: --suite, --dataset, --defense, --attack, --eps, --seed, ..."
        )
    else:
        words = f"{MORE.capitalize()}: {command}"
    # Names of suites and folders are anybody's.
    lines = textwrap.wrap(
        shown_text(words), max(width, 40), break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines)


def _suites(shown: Results) -> str:
    from hashbench.results.asked import last_of_each

    names = dict.fromkeys(run.suite for run in last_of_each(shown.asked) if run.suite)
    return f" (suite {', '.join(names)})" if names else ""
