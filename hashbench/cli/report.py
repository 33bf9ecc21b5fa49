"""The command `hashbench report`: reads folders of results and writes them in a format."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hashbench.cli.options import EXIT_FAILED, PluginFiles, use_files
from hashbench.errors import UsageError


def report(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders of results; 'results' by default.")
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name
        str, typer.Option("--format", help="terminal, markdown, csv, ...")
    ] = "terminal",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file instead.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Also write plots, as PNG and SVG, into this folder.")
    ] = None,
    published: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE.csv", help="Further published numbers to put beside these."),
    ] = None,
    plugin: PluginFiles = None,
) -> None:
    """Print tables of results, or write them and the plots to files."""
    from hashbench import plugins
    from hashbench.atomic import write_file
    from hashbench.plugins import Format
    from hashbench.results.load import load_results

    use_files(plugin)
    screen = Console()
    given: dict[str, Any] = {"color": screen.is_terminal} if format == "terminal" else {}
    if published:
        given["published"] = tuple(str(path) for path in published)
    writer = plugins.get("format", format, **given)
    if not isinstance(writer, Format):
        raise UsageError(f"format '{format}' is no subclass of hashbench.plugins.Format")
    results = load_results(*(folders or [Path("results")]))
    try:
        if output is not None:
            write_file(output, writer.render(results).encode())
        if plots is not None:
            from hashbench.reports.plots.write import write_plots

            written = write_plots(results, plots)
            Console(stderr=True).print(f"{len(written)} plots in {plots}", soft_wrap=True)
    except OSError as error:
        raise UsageError(f"cannot write {output or plots}: {error.strerror or error}") from None
    if output is None:
        text = writer.render(results, width=screen.width if format == "terminal" else None)
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
    if results.failed:
        raise typer.Exit(EXIT_FAILED)
