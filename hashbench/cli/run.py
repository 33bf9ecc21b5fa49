"""The command `hashbench run`: from options to a suite, a plan, and its cells."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hashbench.cli.completion import plugins_of, suites
from hashbench.cli.compute_options import (
    AttackBatch,
    ClusterAddress,
    DatabasePart,
    DeviceName,
    DeviceNumbers,
    EngineName,
    PrecisionName,
    ProcessCount,
    SearchPrecision,
    Threads,
    Workers,
)
from hashbench.cli.dry_run import (
    download_lines,
    image_lines,
    left_out_lines,
    model_lines,
    step_lines,
    total,
    wrapped,
)
from hashbench.cli.ended import GOES_ON, ending_at_once, repeat_interrupts
from hashbench.cli.grid_options import about_suite, check_repeats, numbers_of, only_suite
from hashbench.cli.helped import defaulting
from hashbench.cli.named import folder_of_results
from hashbench.cli.options import EXIT_FAILED, PluginFiles
from hashbench.cli.run_end import say_end
from hashbench.cli.screen import (
    for_answers,
    for_notes,
    image_bar,
    reporter_on,
    warn_of_broken,
)

if TYPE_CHECKING:
    from hashbench.results.scored import Measured

_ASKED: Final = "What to run"
_MODELS: Final = "Where models and data come from"


def run(
    suite: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SUITE]",
            autocompletion=suites,
            help=defaulting(
                "A suite file (.toml), or the name of one that ships: quick, zoo, controls, "
                "eps-sweep, ... ('hashbench suites' lists them).",
                "quick",
            ),
        ),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            autocompletion=plugins_of("dataset"),
            metavar="NAME",
            help=defaulting("fashion, outfits, flickr25k, lists, ...", "fashion"),
            rich_help_panel=_ASKED,
        ),
    ] = None,
    loss: Annotated[
        list[str] | None,
        typer.Option(
            autocompletion=plugins_of("loss"),
            metavar="NAME",
            help=defaulting("csq, dph, hashnet, ...", "csq"),
            rich_help_panel=_ASKED,
        ),
    ] = None,
    backbone: Annotated[
        list[str] | None,
        typer.Option(
            autocompletion=plugins_of("backbone"),
            metavar="NAME",
            help=defaulting("small-cnn, resnet18, ...", "small-cnn"),
            rich_help_panel=_ASKED,
        ),
    ] = None,
    bits: Annotated[
        list[str] | None,
        typer.Option(metavar="K", help=defaulting("Code length.", "32"), rich_help_panel=_ASKED),
    ] = None,
    defense: Annotated[
        list[str] | None,
        typer.Option(
            autocompletion=plugins_of("defense"),
            metavar="NAME",
            help=defaulting(
                "none, atrdh, cgat, saat, ...",
                "none, atrdh, cgat, certified@quick",
            ),
            rich_help_panel=_ASKED,
        ),
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            autocompletion=plugins_of("attack"),
            metavar="NAME",
            help=defaulting(
                "noise, hag, sdha, pgd-hamming, ...; none for clean queries alone.",
                "noise, hag, sdha, pgd-hamming, smooth-ap, auto",
            ),
            rich_help_panel=_ASKED,
        ),
    ] = None,
    eps: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RADIUS",
            help=defaulting(
                "Radius in [0, 1] pixels: 8/255, of L-infinity; l2:0.5, of L2.",
                "24/255; with another data set or a model, the data set's own",
            ),
            rich_help_panel=_ASKED,
        ),
    ] = None,
    seed: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N",
            help=defaulting("Seed of training and attacks.", "0"),
            rich_help_panel=_ASKED,
        ),
    ] = None,
    pixels: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=defaulting(
                "What attacked images are scored in: float, or 8bit, whole pixels as in a file.",
                "float",
            ),
            rich_help_panel=_ASKED,
        ),
    ] = None,
    plugin: PluginFiles = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the results.")] = Path(
        "results"
    ),
    keep_images: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help=defaulting(
                "Attacked images of each cell to keep, of the first queries; "
                "'hashbench export-images' writes them. A finished cell that kept fewer is "
                "attacked once more for them.",
                "8 of the cells that are attacked anyway",
            ),
        ),
    ] = None,
    certify: Annotated[
        bool | None,
        typer.Option(
            "--certify/--no-certify",
            help=defaulting(
                "Prove, for every model and radius, what mAP no attack can undo.",
                "where a defense is trained for it",
            ),
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and an estimate; run nothing.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="With --dry-run: every step instead of every model.")
    ] = False,
    root: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Of a data set that does not ship.",
            rich_help_panel=_MODELS,
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="To load the base model from, instead of training it.",
            rich_help_panel=_MODELS,
        ),
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Of a defended model to evaluate; its card says the rest.",
            rich_help_panel=_MODELS,
        ),
    ] = None,
    workers: Workers = 1,
    threads: Threads = None,
    attack_batch: AttackBatch = None,
    device: DeviceName = None,
    precision: PrecisionName = None,
    search: SearchPrecision = None,
    processes: ProcessCount = None,
    database_part: DatabasePart = None,
    engine: EngineName = "local",
    devices: DeviceNumbers = None,
    address: ClusterAddress = None,
) -> None:
    """Run attacks against defenses; what the folder already holds is not run again.

    Options under "What to run" may be repeated, and then make a grid. What neither they nor a suite
    file say is taken from the quick suite: these are the defaults below. A plugin takes parameters,
    as in --attack hag:steps=2000, and presets, as in hag@published.

    For example:

      hashbench run
      hashbench run --defense cgat --attack auto --out mine
      hashbench run --dataset outfits --bits 16 --bits 32 --out outfits
      hashbench run zoo --workers 2 --out zoo --dry-run
    """
    changes: dict[str, Any] = {
        name: value
        for name, value in (
            ("dataset", dataset),
            ("loss", loss),
            ("backbone", backbone),
            ("bits", bits),
            ("defense", defense),
            ("attack", attack),
            ("eps", eps),
            ("seed", seed),
            ("root", root),
            ("checkpoint", checkpoint),
            ("model", model),
            ("plugin", plugin),
            ("pixels", pixels),
        )
        if value
    }
    check_repeats(changes)
    if keep_images is not None:
        changes["keep_images"] = keep_images
    if certify is not None:
        changes["certify"] = certify
    named = only_suite(suite, sys.argv[1:])
    changes["compute"] = {
        name: value
        for name, value in (
            ("attack_batch", attack_batch),
            ("threads", threads),
            ("device", device),
            ("precision", precision),
            ("processes", processes),
            ("search", search),
            ("database_part", database_part),
        )
        if value is not None
    }
    from hashbench.runner.engines.contract import Resources
    from hashbench.runner.engines.lookup import find_engine

    maker = find_engine(engine)  # a wrong name is told before anything else is done
    resources = Resources(workers, numbers_of(devices), address)
    out = folder_of_results(out)
    from hashbench.results.store import Store
    from hashbench.runner.estimate import estimate
    from hashbench.runner.plan import make_plan
    from hashbench.runner.remaining import Forecast
    from hashbench.runner.run import missing_steps, run_plan
    from hashbench.runner.suite import compose

    chosen = compose(named, changes)
    if not dry_run:
        maker.check(chosen, resources)
    notes = for_notes()
    rest = " before anything was run; images that were being read are not kept."
    with ending_at_once(notes, rest), about_suite(named), image_bar(notes) as progress:
        plan = make_plan(chosen, progress)
    warn_of_broken(notes)
    without = list(left_out_lines(plan))
    if not dry_run:
        for line in without:
            notes.say(line)
    known: dict[str, Measured] = {}
    missing = missing_steps(plan, Store(out), known)
    with about_suite(named):
        ahead = estimate(missing)
    forecast = Forecast(missing, ahead.by_step, workers, start_up=ahead.start)
    if missing or dry_run:
        seconds = forecast.left() if ahead.measured else None
        size = total(plan, len(missing), ahead.passes, seconds, workers)
        lines = [*download_lines(ahead), *image_lines(missing), *wrapped(size)]
        if dry_run:
            keys = {step.key for step in missing}
            shown = (step_lines if full else model_lines)(plan, keys)
            _print_lines([*shown, *without, *lines])
            return
        for line in lines:
            notes.say(line)
    with ending_at_once(notes, GOES_ON), repeat_interrupts():
        results = run_plan(
            plan,
            out=out,
            resources=resources,
            engine=engine,
            reporter=reporter_on(notes, forecast),
            known=known,
        )
    if not say_end(notes, results, plan, out):
        raise typer.Exit(EXIT_FAILED)


def _print_lines(lines: Iterable[str]) -> None:
    screen = for_answers()
    for line in lines:
        screen.say(line)
