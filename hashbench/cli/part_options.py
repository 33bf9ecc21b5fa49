"""The options that pick a part of results, as the commands share them."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from hashbench.cli.completion import plugins_of, suites

_PART: Final = "Which part"

Datasets = Annotated[
    list[str] | None,
    typer.Option(
        autocompletion=plugins_of("dataset"),
        metavar="NAME",
        help="Data sets.",
        rich_help_panel=_PART,
    ),
]
Losses = Annotated[
    list[str] | None,
    typer.Option(
        autocompletion=plugins_of("loss"), metavar="NAME", help="Losses.", rich_help_panel=_PART
    ),
]
Backbones = Annotated[
    list[str] | None,
    typer.Option(
        autocompletion=plugins_of("backbone"),
        metavar="NAME",
        help="Backbones.",
        rich_help_panel=_PART,
    ),
]
CodeLengths = Annotated[
    list[str] | None, typer.Option(metavar="K", help="Code lengths.", rich_help_panel=_PART)
]
Defenses = Annotated[
    list[str] | None,
    typer.Option(
        autocompletion=plugins_of("defense"),
        metavar="NAME",
        help="Defenses: cgat with any parameters, cgat:weight=2 with these.",
        rich_help_panel=_PART,
    ),
]
Attacks = Annotated[
    list[str] | None,
    typer.Option(
        autocompletion=plugins_of("attack"),
        metavar="NAME",
        help="Attacks; none for clean queries.",
        rich_help_panel=_PART,
    ),
]
Radii = Annotated[
    list[str] | None, typer.Option(metavar="RADIUS", help="Radii.", rich_help_panel=_PART)
]
Seeds = Annotated[list[str] | None, typer.Option(metavar="N", help="Seeds.", rich_help_panel=_PART)]
Suites = Annotated[
    list[str] | None,
    typer.Option(
        autocompletion=suites,
        metavar="NAME",
        help="What runs of this suite asked for.",
        rich_help_panel=_PART,
    ),
]
