"""The command `hashbench report`: reads folders of results and writes them in a format."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Final

import typer

from hashbench.cli.completion import plugins_of
from hashbench.cli.folders import results_of
from hashbench.cli.helped import defaulting
from hashbench.cli.named import make_folder, refuse_file, refuse_folder, write_file
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
from hashbench.cli.report_format import built, chosen
from hashbench.cli.report_view import said_below
from hashbench.cli.screen import for_answers, for_notes
from hashbench.errors import UsageError

PLOTS: Final = "plots"
"""The format that `--plots FOLDER` is short for, beside the one that is asked for."""


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

    Of several folders each is spoken for by its own runs; where they say different things of a
    cell, all of it is shown and nothing averaged. What cannot be read is told, and the rest shown.

    Exit code 1 tells that a cell of that part, or of the last run, failed or was not run, that
    something could not be read, or that an attack went below what is proven; 2, that nothing could
    be read.
    """
    from hashbench.results.answers import file_of, files_of, is_one_file, is_text, rendered
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
    name = chosen(format, output)
    writer = built(name, given, full=full or output is not None)
    one_file = is_one_file(writer)
    if output is None and not is_text(writer):
        what = f"a file: name it, as in '--output report{writer.suffix}'"
        several = "several files: name a folder for them, as in '--output FOLDER'"
        raise UsageError(f"format '{name}' gives {what if one_file else several}")
    pictures = None if plots is None else built(PLOTS, {}, full=True)
    if output is not None:
        (refuse_file if one_file else refuse_folder)(output)
    if plots is not None:
        refuse_folder(plots)
    places = folders or [Path("results")]
    whole = results_of(places)
    part = selected(whole, asked) if asked.asks else whole
    drawn = {} if pictures is None else files_of(pictures, part)
    if output is not None:
        if plots is not None:
            links = _links(plots, drawn, output.parent if one_file else output)
            writer = built(name, given, full=True, pictures=links)
        if one_file:
            write_file(output, file_of(writer, part))
        else:
            _write_all(output, files_of(writer, part), name)
    if plots is not None:
        _write_all(plots, drawn, PLOTS)
    last = part if asked.asks else last_asked(whole)
    if output is None:
        width = for_answers().width
        brief = not getattr(writer, "full", True)
        text = rendered(writer, last if brief else part, width=width)
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        if brief:
            sys.stdout.write(f"\n{said_below(whole, last, asked, places, width)}\n")
    # In whatever part: a proof that an attack undoes makes every number of its model doubtful.
    for violation in whole.violations:
        for_notes().say(f"WRONG {violation.words}", style="bold red")
    if last.failed or whole.troubles or whole.violations:
        raise typer.Exit(EXIT_FAILED)


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
