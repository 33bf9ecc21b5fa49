"""The commands of `hashbench model`: read options, call the runner, print. Thin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hashbench.cli.completion import plugins_of
from hashbench.cli.named import refuse_device
from hashbench.cli.options import EXIT_FAILED, PluginFiles, use_files
from hashbench.cli.screen import for_answers, for_notes, image_bar

if TYPE_CHECKING:
    from hashbench.hashing.checkpoint import ModelCard

app = typer.Typer(no_args_is_help=True, help="Models to hand on: write, read and check them.")


@app.command()
def export(
    to: Annotated[Path, typer.Option(help="The new folder to write the model to.")],
    results: Annotated[Path, typer.Argument(help="Folder of results.")] = Path("results"),
    dataset: Annotated[
        str | None,
        typer.Option(
            autocompletion=plugins_of("dataset"), metavar="NAME", help="Which model: its data set."
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(autocompletion=plugins_of("loss"), metavar="NAME", help="Its hashing loss."),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(autocompletion=plugins_of("backbone"), metavar="NAME", help="Its backbone."),
    ] = None,
    bits: Annotated[int | None, typer.Option(metavar="K", help="Its code length.")] = None,
    defense: Annotated[
        str | None,
        typer.Option(autocompletion=plugins_of("defense"), metavar="NAME", help="Its defense."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Its seed.")] = None,
    licence: Annotated[
        str, typer.Option(help="Under which the weights are handed on, as an SPDX name.")
    ] = "not stated",
) -> None:
    """Write one model of a folder of results to a folder of its own: weights and a card.

    On another machine: hashbench run --model FOLDER --attack pgd-hamming
    """
    from hashbench.zoo.models import export_model

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
    _announce(to, card)


@app.command("import")
def import_(
    weights: Annotated[
        Path,
        typer.Argument(
            help="A state dict (.pth, .safetensors) or a whole network: TorchScript, .pt2, .onnx."
        ),
    ],
    to: Annotated[Path, typer.Option(help="The new folder to write the model to.")],
    dataset: Annotated[
        str,
        typer.Option(
            autocompletion=plugins_of("dataset"),
            metavar="NAME",
            help="What it was trained on: flickr25k, ...",
        ),
    ],
    backbone: Annotated[
        str,
        typer.Option(
            autocompletion=plugins_of("backbone"),
            metavar="NAME",
            help="alexnet, vgg11, resnet50, ...; of a whole network what rows call it.",
        ),
    ] = "",
    loss: Annotated[
        str,
        typer.Option(
            autocompletion=plugins_of("loss"),
            metavar="NAME",
            help="Its hashing loss, for rows to show: any name.",
        ),
    ] = "",
    defense: Annotated[
        str,
        typer.Option(
            autocompletion=plugins_of("defense"),
            metavar="NAME",
            help="What it went through; any name.",
        ),
    ] = "none",
    seed: Annotated[int, typer.Option(help="Seed of its training, where it is known.")] = 0,
    clean_map: Annotated[
        float | None,
        typer.Option(help="The clean mAP that its makers report, from 0 to 1; refused if not so."),
    ] = None,
    licence: Annotated[str, typer.Option(help="Of the weights, as an SPDX name.")] = "not stated",
    rename: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OLD=NEW",
            help="Read keys that begin with OLD as NEW: fc=hash_layer. Repeatable.",
        ),
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Between the layers of its head: relu, tanh, none, ..."),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="R,G,B", help="What it subtracts from pixels in [0, 1], if not the usual."
        ),
    ] = None,
    std: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="What it divides them by then.")
    ] = None,
    ends_in_tanh: Annotated[
        bool, typer.Option("--ends-in-tanh", help="Of a whole network: its values are a tanh's.")
    ] = False,
    output: Annotated[
        str,
        typer.Option(metavar="NAME", help="Of a whole network that gives several things: which."),
    ] = "",
    trust_pickle: Annotated[
        bool,
        typer.Option(
            "--trust-pickle",
            help="Unpickle a file that cannot be read otherwise: whatever code is in it RUNS, with "
            "your rights. The model and its reports say so.",
        ),
    ] = False,
    root: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    plugin: PluginFiles = None,
) -> None:
    """Turn a checkpoint from elsewhere into a folder for 'run --model'.

    A state dict needs its --backbone; its head is found by the shapes of its layers.
    """
    from hashbench.zoo.importing import import_model
    from hashbench.zoo.origin import Normalisation, Origin
    from hashbench.zoo.translated import Rename

    refuse_device(device)
    use_files(plugin)
    origin = Origin(
        dataset=dataset,
        loss=loss,
        backbone=backbone,
        defense=defense,
        seed=seed,
        clean=clean_map,
        licence=licence,
        renames=tuple(map(Rename.parse, rename or ())),
        activation=activation,
        normalisation=Normalisation.parse(mean, std),
        bounded=ends_in_tanh,
        output=output,
    )
    notes: list[str] = []
    with image_bar(for_notes()) as progress:
        card = import_model(
            weights,
            to,
            origin,
            root,
            device=device,
            progress=progress,
            told=notes.append,
            trust_pickle=trust_pickle,
            warned=lambda text: for_notes().say(f"WARNING: {text}", style="bold red"),
        )
    for note in notes:
        for_notes().say(f"{weights}: {note}.")
    _announce(to, card)


@app.command()
def check(
    model: Annotated[Path, typer.Argument(help="A model's folder.")],
    root: Annotated[
        Path | None, typer.Option(help="Folder of its data set, where that does not ship.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; by default what the card says.")
    ] = None,
    plugin: PluginFiles = None,
) -> None:
    """Say whether a model still gives the clean mAP that its card claims. Exit code 1 if not."""
    from hashbench.results.metrics import spoken
    from hashbench.zoo.models import check_model

    refuse_device(device)
    use_files(plugin)
    with image_bar(for_notes()) as progress:
        claim = check_model(model, root, device, progress)
    verdict = "it still does" if claim.holds else "it does NOT"
    for_answers().say(
        f"{model}: the card claims a clean {spoken(claim.metric)} of {100 * claim.claimed:.2f} %, "
        f"here it gives {100 * claim.measured:.2f} %: {verdict}.",
    )
    if not claim.holds:
        raise typer.Exit(EXIT_FAILED)


def _announce(folder: Path, card: ModelCard) -> None:
    from hashbench.results.metrics import spoken

    [(metric, value)] = card.clean.items()
    for_notes().say(
        f"{folder}: {card.defense} on {card.dataset}, {card.bits} bits, seed {card.seed}, "
        f"clean {spoken(metric)} {100 * value:.1f} %, licence {card.licence}.",
    )
    if card.training.get("base", {}).get("unpickled"):
        for_notes().say(f"{folder}: its file was unpickled, as the card and reports say.")
