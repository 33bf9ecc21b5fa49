"""The commands `hashbench model export` and `check`: read options, call the runner, print. Thin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

EXIT_FAILED = 1

app = typer.Typer(no_args_is_help=True, help="Models to hand on: write, read and check them.")

Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE.py", help="A file with further plugins."),
]


@app.command()
def export(
    to: Annotated[Path, typer.Option(help="The new folder to write the model to.")],
    results: Annotated[Path, typer.Argument(help="Folder of results.")] = Path("results"),
    dataset: Annotated[str | None, typer.Option(help="Which model: its data set.")] = None,
    loss: Annotated[str | None, typer.Option(help="Its hashing loss.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Its backbone.")] = None,
    bits: Annotated[int | None, typer.Option(metavar="K", help="Its code length.")] = None,
    defense: Annotated[str | None, typer.Option(help="Its defense.")] = None,
    seed: Annotated[int | None, typer.Option(help="Its seed.")] = None,
    licence: Annotated[
        str, typer.Option(help="Under which the weights are handed on, as an SPDX name.")
    ] = "not stated",
) -> None:
    """Write one model of a folder of results to a folder of its own: weights and a card.

    On another machine: hashbench run --model FOLDER --attack pgd-hamming
    """
    from hashbench.runner.models import export_model

    columns = {
        "dataset": dataset,
        "loss": loss,
        "backbone": backbone,
        "bits": bits,
        "defense": defense,
        "seed": seed,
    }
    wanted = {name: str(value) for name, value in columns.items() if value is not None}
    card = export_model(results, to, wanted, licence=licence)
    [(metric, value)] = card.clean.items()
    Console(stderr=True).print(
        f"{to}: {card.defense} on {card.dataset}, {card.bits} bits, seed {card.seed}, "
        f"clean {metric} {100 * value:.2f} %, licence {card.licence}.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


@app.command()
def check(
    model: Annotated[Path, typer.Argument(help="A model's folder.")],
    root: Annotated[
        Path | None, typer.Option(help="Folder of its data set, where that does not ship.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    plugin: Plugins = None,
) -> None:
    """Say whether a model still gives the clean mAP that its card claims. Exit code 1 if not."""
    from hashbench import plugins
    from hashbench.progress_bar import image_bar
    from hashbench.runner.models import check_model
    from hashbench.runner.suite import Compute

    for path in plugin or ():
        plugins.use_file(path)
    with image_bar(Console(stderr=True)) as progress:
        claim = check_model(model, root, Compute(device=device), progress)
    verdict = "it still does" if claim.holds else "it does NOT"
    Console().print(
        f"{model}: the card claims a clean {claim.metric} of {100 * claim.claimed:.2f} %, here it "
        f"gives {100 * claim.measured:.2f} %: {verdict}.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    if not claim.holds:
        raise typer.Exit(EXIT_FAILED)
