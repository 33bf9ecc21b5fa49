"""The command `hashbench lookup`: what a hash that a report prints stands for, in full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hashbench.characters import counted, shown
from hashbench.cli.folders import results_of
from hashbench.cli.helped import defaulting
from hashbench.cli.screen import for_answers


def lookup(
    digits: Annotated[
        str,
        typer.Argument(
            metavar="HASH", help="The first digits of it, as a report prints them, or more."
        ),
    ],
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER", help=defaulting("Folders of results.", "results")),
    ] = None,
) -> None:
    """Print what a hash stands for: a protocol's card, a training, or the cell of a key.

    Reports name protocols and trainings by the first digits of their hash. Two tables of one
    protocol and one training can be compared; here stands what these are.

    For example:

      hashbench lookup a8a48f31
      hashbench lookup e8f150b2 mine other
    """
    from hashbench.results.lookup import named_by

    found = named_by(results_of(folders or [Path("results")]), digits)
    screen = for_answers()
    screen.say(f"{found.kind} {found.hash}", "bold")
    screen.say(f"{counted(found.cells, 'cell')} of these results")
    for line in _lines(found.facts, ""):
        screen.say(line)


def _lines(facts: Mapping[str, Any], indent: str) -> Iterator[str]:
    """A line for each fact; tables with their facts further in."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield f"{indent}{shown(str(name))}:"
            yield from _lines(value, f"{indent}  ")
        else:
            yield f"{indent}{shown(str(name))}: {shown(_words(value))}"


def _words(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    return "none" if value is None else str(value)
