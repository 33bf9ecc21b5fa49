"""The options that pick a part of results, shared by commands, and the part that they ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashbench.cli.completion import plugins_of, suites

if TYPE_CHECKING:
    from hashbench.results.selection import Selection


def _option(metavar: str, words: str, completed: Callable[[str], list[str]] | None = None) -> Any:
    return typer.Option(
        autocompletion=completed, metavar=metavar, help=words, rich_help_panel="Which part"
    )


Datasets = Annotated[list[str] | None, _option("NAME", "Data sets.", plugins_of("dataset"))]
Losses = Annotated[list[str] | None, _option("NAME", "Losses.", plugins_of("loss"))]
Backbones = Annotated[list[str] | None, _option("NAME", "Backbones.", plugins_of("backbone"))]
CodeLengths = Annotated[list[str] | None, _option("K", "Code lengths.")]
Defenses = Annotated[
    list[str] | None,
    _option(
        "NAME",
        "Defenses: cgat with any parameters, cgat:weight=2 with these.",
        plugins_of("defense"),
    ),
]
Attacks = Annotated[
    list[str] | None, _option("NAME", "Attacks; none for clean queries.", plugins_of("attack"))
]
Radii = Annotated[list[str] | None, _option("RADIUS", "Radii.")]
Seeds = Annotated[list[str] | None, _option("N", "Seeds.")]
Suites = Annotated[list[str] | None, _option("NAME", "What runs of this suite asked for.", suites)]


def asked_part(**given: Sequence[str] | None) -> Selection:
    """What the options ask for.

    Args:
        given: the texts of each option, by the names of the fields of `Selection`; None where it
            was not given.

    Raises:
        UsageError: a radius is none.
    """
    from hashbench.eps import Eps
    from hashbench.results.selection import Selection

    texts = {name: tuple(values or ()) for name, values in given.items()}
    radii = tuple(map(Eps.parse, texts.pop("eps", ())))
    return Selection(eps=radii, **texts)
