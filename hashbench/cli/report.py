"""The command `hashbench report`: reads folders of results and writes them in a format."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from hashbench.cli.completion import plugins_of
from hashbench.cli.folders import results_of
from hashbench.cli.helped import defaulting
from hashbench.cli.match_report import match_report, of_matches
from hashbench.cli.options import EXIT_FAILED, PluginFiles, use_files
from hashbench.cli.part_options import (
    Attacks,
    Backbones,
    CodeLengths,
    Datasets,
    Defenses,
    Losses,
    Radii,
    Seeds,
    Suites,
    asked_part,
)
from hashbench.cli.report_target import Target, show
from hashbench.cli.report_view import said_below
from hashbench.cli.screen import for_answers, for_notes

_WHERE: Final = "In which form"


def report(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER", help=defaulting("Folders of results.", "results")),
    ] = None,
    dataset: Datasets = None,
    loss: Losses = None,
    backbone: Backbones = None,
    bits: CodeLengths = None,
    defense: Defenses = None,
    attack: Attacks = None,
    eps: Radii = None,
    seed: Seeds = None,
    suite: Suites = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Print every table, of all runs: not the ranking of the last run alone.",
            rich_help_panel=_WHERE,
        ),
    ] = False,
    format: Annotated[  # noqa: A002 - the option's name
        str | None,
        typer.Option(
            "--format",
            autocompletion=plugins_of("format"),
            metavar="NAME",
            help=defaulting(
                "terminal, html, markdown, latex, csv, jsonl, parquet, plots, or a plugin's.",
                "by the suffix of --output, else terminal",
            ),
            rich_help_panel=_WHERE,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write everything to this file: r.html, r.md, r.csv, ...; plots, to this folder.",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write pictures, as PNG and SVG, to this folder too; Markdown shows them.",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    published: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE.csv",
            help="Further published numbers to put beside these.",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    plugin: PluginFiles = None,
) -> None:
    """Print the ranking of the last run, or write tables and plots of everything to files.

    A part of the results: every option under "Which part" may be repeated, and takes a name or the
    text that a table shows. All formats take the part. Without one a file holds everything that
    the folders hold, and the terminal shows what the last run asked for.

    A folder of `hashbench match` is reported whole, its tables and plots are those of fixed hashes.

    Of several folders each is spoken for by its own runs; where they say different things of a
    cell, all of it is shown and nothing averaged. What cannot be read is told, and the rest shown.

    Exit code 1 tells that a cell of that part, or of the last run, failed or was not run, that
    something could not be read, or that an attack went below what is proven; 2, that nothing could
    be read.
    """
    from hashbench.results.answers import rendered
    from hashbench.results.selection import last_asked, selected

    use_files(plugin)
    asked = asked_part(
        dataset=dataset,
        loss=loss,
        backbone=backbone,
        defense=defense,
        attack=attack,
        eps=eps,
        bits=bits,
        seed=seed,
        suite=suite,
    )
    given = {"published": tuple(str(path) for path in published)} if published else {}
    target = Target.of(format, output, plots, given, full=full)
    places = folders or [Path("results")]
    if of_matches(places):
        match_report(places, target, asked)
        return
    whole = results_of(places)
    part = selected(whole, asked) if asked.asks else whole
    target.write(part)
    last = part if asked.asks else last_asked(whole)
    if output is None:
        width = for_answers().width
        show(rendered(target.writer, last if target.is_brief else part, width=width))
        if target.is_brief:
            sys.stdout.write(f"\n{said_below(whole, last, asked, places, width)}\n")
    # In whatever part: a proof that an attack undoes makes every number of its model doubtful.
    for violation in whole.violations:
        for_notes().say(f"WRONG {violation.words}", style="bold red")
    if last.failed or whole.troubles or whole.violations:
        raise typer.Exit(EXIT_FAILED)
