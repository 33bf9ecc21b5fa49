"""The command `hashbench explain`: why one defense stands above another one. Thin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hashbench.characters import counted
from hashbench.cli.completion import plugins_of
from hashbench.cli.folders import results_of
from hashbench.cli.helped import defaulting
from hashbench.cli.named import (
    make_folder,
    refuse_file,
    refuse_no_new_folder,
    write_file,
)
from hashbench.cli.options import PluginFiles, use_files
from hashbench.cli.part_options import (
    Attacks,
    Backbones,
    CodeLengths,
    Datasets,
    Losses,
    Radii,
    Seeds,
    Suites,
    asked_part,
)
from hashbench.cli.screen import for_answers, for_notes, say_folded
from hashbench.errors import UsageError

if TYPE_CHECKING:
    from hashbench.results.contrast import Comparison, Pictured


def explain(
    first: Annotated[
        str,
        typer.Argument(metavar="A", help="A defense.", autocompletion=plugins_of("defense")),
    ],
    second: Annotated[
        str,
        typer.Argument(metavar="B", help="Another one.", autocompletion=plugins_of("defense")),
    ],
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER", help=defaulting("Folders of results.", "results")),
    ] = None,
    queries: Annotated[
        int, typer.Option(metavar="N", min=0, help="So many queries where they differ most.")
    ] = 8,
    dataset: Datasets = None,
    loss: Losses = None,
    backbone: Backbones = None,
    bits: CodeLengths = None,
    attack: Attacks = None,
    eps: Radii = None,
    seed: Seeds = None,
    suite: Suites = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE.html", help="Write a page with pictures to this file."
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write the pictures, as PNG, to this new folder."),
    ] = None,
    plugin: PluginFiles = None,
) -> None:
    """Compare two defenses on the same cells: how much they differ, how sure that is, and where.

    For each attack and for the worst case: the paired difference with its 95 % interval, whether
    the two can be told apart, and for how many queries each is better; then the queries where they
    differ most. Pictures are there of the queries that a run kept, the first 8 of each cell unless
    it was told otherwise (--keep-images).

    For example:

      hashbench explain cgat atrdh results --eps 8/255 -o cgat-atrdh.html
    """
    from hashbench.cli.explain_page import page_of, pictures_of
    from hashbench.cli.explain_text import told
    from hashbench.results.contrast import compared, pictured
    from hashbench.results.selection import selected

    if output is not None:
        if output.suffix.lower() not in {".html", ".htm"}:
            raise UsageError(f"--output {output}: a page is written; name it *.html")
        refuse_file(output)
    if to is not None:
        refuse_no_new_folder(to)
    use_files(plugin)
    asked = asked_part(
        dataset=dataset,
        loss=loss,
        backbone=backbone,
        attack=attack,
        eps=eps,
        bits=bits,
        seed=seed,
        suite=suite,
    )
    whole = results_of(folders or [Path("results")])
    part = selected(whole, asked) if asked.asks else whole
    found = [(one, pictured(part, one)) for one in compared(part, first, second)]
    pictures = {} if to is None else pictures_of(found)
    if to is not None and not pictures:
        raise UsageError(
            "no pictures were kept of these cells: the run's own command with --keep-images N "
            "makes them"
        )
    screen = for_answers()
    for place, (comparison, kept) in enumerate(found):
        if place:
            screen.print()
        told(screen, comparison, kept, queries)
    if output is not None:
        write_file(output, page_of(found, queries).encode())
    if to is not None:
        _write(to, found, pictures)


def _write(
    folder: Path,
    found: list[tuple[Comparison, dict[int, Pictured]]],
    files: dict[str, bytes],
) -> None:
    """Write the pictures, and say how many.

    Raises:
        UsageError: they cannot be written.
    """
    for name, content in files.items():
        make_folder((folder / name).parent)
        write_file(folder / name, content)
    shown = sum(len(kept) for _, kept in found)
    say_folded(
        for_notes(),
        f"{counted(len(files), 'picture')} of {counted(shown, 'query', 'queries')} in {folder}",
    )
