"""The commands `hashbench data ...`: reads options, calls the library, prints.

Nothing heavy is imported at the top, as in `hashbench.cli.app`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hashbench.cli.completion import origin_names, plugins_of
from hashbench.cli.ended import word_and_code
from hashbench.cli.options import EXIT_FAILED, PluginFiles, use_files
from hashbench.cli.screen import byte_bar, for_answers, for_notes, image_bar
from hashbench.errors import DownloadError, UsageError

if TYPE_CHECKING:
    from hashbench.data.check import DataCheck

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Look after data sets.",
)


@app.callback()
def _data() -> None:
    """Look after data sets."""


@app.command()
def check(
    name: Annotated[
        str,
        typer.Argument(
            autocompletion=plugins_of("dataset"),
            help="A data set, with parameters: flickr25k, lists:crop=32, ...",
        ),
    ],
    root: Annotated[
        Path | None, typer.Option(help="Folder of a data set that does not ship.")
    ] = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="Name every broken image and every query that is in the database."
        ),
    ] = False,
    plugin: PluginFiles = None,
) -> None:
    """Read a data set whole, once, and say what is wrong with it.

    Missing and undecodable images, rows without label, images that are there twice, queries that
    are in the database, chance and best possible mAP, hashes. Decoded images go to the cache; those
    that are there are compared with what was written, and decoded anew where they differ. The exit
    code is 0 when all is well, 1 when an image is broken or a query is in the database.
    """
    from hashbench import plugins
    from hashbench.data.check import NAMED, check_dataset
    from hashbench.data.plugin_errors import plugin_errors
    from hashbench.plugins import Dataset

    use_files(plugin)
    dataset = plugins.get("dataset", name)
    if not isinstance(dataset, Dataset):
        raise UsageError(f"dataset '{name}' is no subclass of hashbench.plugins.Dataset")
    notes = for_notes()
    try:
        with image_bar(notes) as progress, plugin_errors(dataset):
            where = dataset.home(root)
            found = check_dataset(dataset, where, progress, named=None if every else NAMED)
    except KeyboardInterrupt as interrupt:
        word, code = word_and_code(interrupt)
        notes.say(f"{word}: nothing of the decoding is kept.")
        raise typer.Exit(code) from None
    screen = for_answers()
    for line in report(found):
        screen.say(line)
    if not found.clean:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def get(
    name: Annotated[
        str,
        typer.Argument(autocompletion=origin_names, help="A data set of the literature."),
    ],
    fetch: Annotated[
        bool,
        typer.Option("--fetch", help="Fetch it, where its licence allows that; see --to."),
    ] = False,
    to: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the files go; made if need be.")
    ] = None,
) -> None:
    """Say where a data set comes from: address, licence, files, checksums, the folder expected.

    Nothing is fetched without --fetch, and then only what a licence and a stable address allow.
    Every file is compared with its SHA-256 before it gets its name.
    """
    from hashbench.cli.data_origin import found_origin, told
    from hashbench.data.fetching import fetch as fetch_files

    if to is not None and not fetch:
        raise UsageError("--to goes with --fetch: without it nothing is fetched")
    dataset, origin = found_origin(name)
    if fetch and not origin.fetched:
        raise UsageError(
            f"{dataset} is not fetched: its terms are between you and its makers ({origin.licence})"
            f"; its address is {origin.address}"
        )
    if fetch and to is None:
        raise UsageError("--fetch needs a folder: --to FOLDER")
    for line in told(dataset, origin):
        for_answers().say(line)
    if to is None:
        return
    for_answers().say("")
    notes = for_notes()
    try:
        with byte_bar(notes, f"fetching {dataset}") as progress:
            fetched = fetch_files(origin, to, progress)
    except DownloadError as error:
        notes.say(f"Error: {error}", style="red")
        raise typer.Exit(EXIT_FAILED) from None
    there = len(origin.files) - len(fetched)
    for_answers().say(
        f"fetched      {len(fetched)} of {len(origin.files)} files into {to}"
        + (f"; {there} were there already" if there else "")
    )


def report(found: DataCheck) -> Iterator[str]:
    """The lines that are printed, at most 80 columns wide where no path is longer."""
    yield f"data set     {found.dataset}"
    if found.root is not None:
        yield f"folder       {found.root}"
    yield f"images       {found.transform}"
    if found.roles:
        yield f"splits       {found.roles}"
    yield from _cache(found)
    yield ""
    yield f"{'split':10}{'rows':>10}{'distinct':>10}{'without label':>15}{'repeated content':>18}"
    for split in found.splits:
        repeats = "unknown" if split.repeats is None else f"{split.repeats:,}"
        yield (
            f"{split.name:10}{split.rows:10,}{split.distinct:10,}{split.unlabelled:15,}"
            f"{repeats:>18}"
        )
    yield f"{found.classes} label columns"
    yield ""
    yield from _files(found)
    yield from _overlap(found)
    yield ""
    metric = "mAP" if found.top_k is None else f"mAP@{found.top_k}"
    yield f"chance       {found.chance:.4f} {metric} of a random order"
    yield f"ceiling      {found.best:.4f} {metric} of a perfect order"
    if found.protocol is None:
        yield "split        no hash while images are missing or queries are in the database"
    else:
        yield f"split        {found.protocol.split}"
        yield f"protocol     {found.protocol.hash}"
        if found.protocol.excluded:
            yield f"excluded     {found.protocol.excluded:,} rows, as broken=exclude asks for"
    yield ""
    yield "clean" if found.clean else "PROBLEMS: see above"


def _cache(found: DataCheck) -> Iterator[str]:
    cache = found.cache
    if cache is None:
        return
    for path in cache.damaged:
        yield f"cache        DAMAGED and decoded anew; do not trust numbers made from it: {path}"
    if cache.sound and not cache.damaged:
        yield "cache        compared with its SHA-256: as it was written"


def _files(found: DataCheck) -> Iterator[str]:
    files = found.files
    if files is None:
        return
    for what, count, named in (
        ("missing", files.missing, files.missing_named),
        ("undecodable", files.undecodable, files.undecodable_named),
    ):
        yield f"images {what}: {count:,} of {files.count:,}"
        for text in named:
            yield f"  {text}"
        if count > len(named):
            yield f"  and {count - len(named):,} more"


def _overlap(found: DataCheck) -> Iterator[str]:
    overlap = found.overlap
    seen = "" if found.files is None or not found.files.missing else ", of those that are there"
    counts = f"{overlap.paths:,} by path, {overlap.contents:,} by content"
    yield f"queries in the database: {counts}{seen}"
    for text in overlap.named:
        yield f"  {text}"
    if (more := max(overlap.paths, overlap.contents) - len(overlap.named)) > 0:
        yield f"  and {more:,} more"
