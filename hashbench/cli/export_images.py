"""The command `hashbench export-images`: attacked images out of results, as files. Thin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hashbench.characters import counted
from hashbench.cli.folders import results_of
from hashbench.cli.named import refuse_device, refuse_no_new_folder
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
from hashbench.cli.screen import for_answers, for_notes, image_bar, say_folded
from hashbench.errors import UsageError
from hashbench.plugins.paths import at_home

if TYPE_CHECKING:
    from hashbench.results.cell import Cell
    from hashbench.zoo.attacked_images import AttackedImages
    from hashbench.zoo.stored_images import NotThere

_KEEP_MORE: Final = (
    "the run's own command with --keep-images N attacks finished cells once more for their images "
    "alone"
)


def export_images(
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="The new folder to write to.")],
    results: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of results.")] = Path(
        "results"
    ),
    first: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="So many images of each cell. (default: all that are kept)"
        ),
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
    root: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Of a data set that does not ship.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="cpu or cuda; by default what the run computed on."),
    ] = None,
    plugin: PluginFiles = None,
) -> None:
    """Write attacked images to a new folder, and say what rounding to 8 bits does to their codes.

    A folder for each cell: the attacked queries as PNG, each pixel rounded to the nearest of 256,
    the clean ones under clean/, what the model saw as exact floats (exact.npy), and a table
    (images.csv). A run keeps the first 8 queries of each cell, or as many as 'hashbench run
    --keep-images N' asks for. The model is asked once more, for the codes of the rounded images.

    Exit code 1 tells that images of a cell that was asked for could not be written.

    For example:

      hashbench export-images results --attack auto --defense cgat --to images
    """
    from hashbench.results.selection import selected
    from hashbench.zoo.image_files import write_images
    from hashbench.zoo.stored_images import attacked_images

    to = Path(at_home(str(to), "--to"))
    refuse_no_new_folder(to)
    refuse_device(device)
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
    whole = results_of([results])
    part = selected(whole, asked) if asked.asks else whole
    lost: list[NotThere] = []
    notes, screen = for_notes(), for_answers()
    cells = images = fewer = 0
    with image_bar(notes) as progress:
        found = _those_there(
            attacked_images(
                results, part, first=first, root=root, device=device, progress=progress
            ),
            lost,
        )
        begun = next(found, None)  # before anything is written
        if begun is None:
            raise UsageError(_nothing(results, lost))
        for written in write_images(to, chain((begun,), found)):
            cells += 1
            images += len(written)
            fewer += first is not None and len(written) < min(first, written.protocol.query)
            for line in said_of(written):
                say_folded(screen, line)
    for missing in lost:
        named = _named(missing.cell, whole.protocols[missing.cell.protocol].pixels)
        say_folded(notes, f"Not written: {named}: {missing.reason}", style="yellow")
    if fewer:
        say_folded(
            notes,
            f"{counted(fewer, 'cell keeps', 'cells keep')} fewer than {first:,} images; "
            f"the run's own command with --keep-images {first} makes more of them.",
        )
    if any(missing.unkept for missing in lost):
        say_folded(notes, f"{_KEEP_MORE[0].upper()}{_KEEP_MORE[1:]}.")
    say_folded(notes, f"{counted(images, 'image')} of {counted(cells, 'cell')} in {to}.")
    if lost:
        raise typer.Exit(EXIT_FAILED)


def _those_there(
    found: Iterable[AttackedImages | NotThere], lost: list[NotThere]
) -> Iterator[AttackedImages]:
    """The images of cells that have some; the others go to `lost`."""
    from hashbench.zoo.stored_images import NotThere

    for one in found:
        if isinstance(one, NotThere):
            lost.append(one)
        else:
            yield one


def said_of(images: AttackedImages) -> Iterator[str]:
    """What the rounding does to the images of a cell: one line, and what is odd in further ones."""
    from hashbench.attacking.threat import LEVELS
    from hashbench.eps import Norm

    count, changed = len(images), images.changed
    flat = images.cell.radius.norm is Norm.LINF
    measured = [("mAP", images.precisions)]
    if images.toward_targets:
        measured.append(("t-mAP", images.toward_targets))
    scores = "; ".join(
        f"{name} {', '.join(f'{kind} {100 * one.mean():.1f}' for kind, one in values.items())}"
        for name, values in measured
    )
    named = _named(images.cell, images.protocol.pixels)
    yield (
        f"{named}: {counted(count, 'image')}, rounding changes {changed.sum():,} of "
        f"{count * images.bits:,} bits, {(changed > 0).sum():,} of {counted(count, 'code')}; "
        f"{scores}; linf {LEVELS * images.linf.max():.2f}/255, rounded {images.steps.max()}/255"
        + ("" if flat else f"; l2 {images.l2.max():.4g}, rounded {images.rounded_l2.max():.4g}")
    )
    outside = int(images.outside.sum())
    if outside:
        why = ": it is no whole number of them" if flat else " in each pixel"
        yield (
            f"  {outside:,} of the rounded images lie outside of the ball of eps "
            f"{images.cell.eps}, by half a 255th at most{why}"
        )
    if images.elsewhere:
        yield (
            f"  {images.elsewhere:,} of the images have another code here than in the run: another "
            "processor or version, or a model that draws at random"
        )


def _named(cell: Cell, pixels: str) -> str:
    from hashbench.data.protocol import PixelValues  # it needs numpy

    words = "" if pixels == PixelValues.FLOAT else f", pixels {pixels}"
    return (
        f"{cell.defense} / {cell.attack} (eps {cell.eps}, {cell.dataset}, {cell.bits} bits, "
        f"seed {cell.seed}{words})"
    )


def _nothing(results: Path, lost: list[NotThere]) -> str:
    reasons = dict.fromkeys(one.reason for one in lost)
    if not lost:
        return f"folder {results}: no query was attacked in what is asked for, so there is no image"
    said = f"folder {results}: there is no image to write ({'; '.join(list(reasons)[:2])})"
    return f"{said}; {_KEEP_MORE}" if any(one.unkept for one in lost) else said
