"""The command `hashbench report`: reads folders of results and writes them in a format."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hashbench.cli.options import EXIT_FAILED, PluginFiles, use_files
from hashbench.cli.screen import for_answers, for_notes
from hashbench.errors import UsageError

if TYPE_CHECKING:
    from hashbench.plugins import Format

DEFAULT: Final = "terminal"
"""The format that is written where none is named."""

PLOTS: Final = "plots"
"""The format that `--plots FOLDER` is short for, beside the one that is asked for."""


def report(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders of results; 'results' by default.")
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name
        str, typer.Option("--format", help="terminal, markdown, csv, plots, ...")
    ] = DEFAULT,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write to this file; a format of several files, to this folder."
        ),
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(help="Write the format 'plots', pictures as PNG and SVG, to this folder too."),
    ] = None,
    published: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE.csv", help="Further published numbers to put beside these."),
    ] = None,
    plugin: PluginFiles = None,
) -> None:
    """Print tables of results, or write them and the plots to files."""
    from hashbench.results.load import load_results

    use_files(plugin)
    given = {"published": tuple(str(path) for path in published)} if published else {}
    writer = _format(format, given)
    if output is None and not writer.is_text:
        raise UsageError(
            f"format '{format}' gives several files: name a folder for them, as in "
            "'--output FOLDER'"
        )
    if output is not None and writer.is_text and output.is_dir():
        raise UsageError(f"cannot write {output}: it is a folder; name a file in it")
    pictures = None if plots is None else _format(PLOTS, {})
    results = load_results(*(folders or [Path("results")]))
    if output is not None:
        if writer.is_text:
            _write(output.parent, {output.name: writer.render(results).encode()})
        else:
            _write_all(output, writer.files(results), format)
    if plots is not None and pictures is not None:
        _write_all(plots, pictures.files(results), PLOTS)
    if output is None:
        text = writer.render(results, width=for_answers().width)
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
    if results.failed:
        raise typer.Exit(EXIT_FAILED)


def _format(text: str, given: Mapping[str, object]) -> Format:
    """A format by its name.

    Raises:
        UsageError: there is none, or it has no such parameter.
    """
    from hashbench import plugins

    found = plugins.get("format", text, **given)
    if not isinstance(found, plugins.Format):
        raise UsageError(f"format '{text}' is no subclass of hashbench.plugins.Format")
    return found


def _write_all(folder: Path, files: Mapping[str, bytes], format: str) -> None:  # noqa: A002
    """Write files into a folder, and say how many they are.

    Raises:
        UsageError: one would lie elsewhere, or the folder cannot be written to.
    """
    for name in files:
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts or not place.parts:
            raise UsageError(f"format '{format}' names a file '{name}' outside of its folder")
    _write(folder, files)
    notes = for_notes()
    notes.say(f"{len(files)} files of format '{format}' in {folder}")


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    from hashbench.atomic import write_file

    for name, content in files.items():
        path = folder / name
        try:
            write_file(path, content)
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror or error}") from None
