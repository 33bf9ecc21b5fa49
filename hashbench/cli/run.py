"""The command `hashbench run`: from options to a suite, a plan, and its cells."""

from __future__ import annotations

import _thread
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hashbench.cli.completion import plugins_of, suites
from hashbench.cli.ended import word_and_code
from hashbench.cli.helped import defaulting
from hashbench.cli.named import refuse_folder
from hashbench.cli.options import EXIT_FAILED, PluginFiles
from hashbench.cli.screen import (
    counted,
    duration,
    for_answers,
    for_notes,
    image_bar,
    warn_of_broken,
)
from hashbench.console import TextConsole
from hashbench.errors import UsageError

if TYPE_CHECKING:
    from hashbench.runner.reporter import Reporter

MOST_WORKERS: Final = 1_024
"""Processes of one machine; each holds a copy of the models and takes some 500 MB."""


_ASKED: Final = "What to run"
_MODELS: Final = "Where models and data come from"
_COMPUTE: Final = "How it is computed"


def run(
    suite: Annotated[
        str | None,
        typer.Argument(
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
            help=defaulting("none, atrdh, cgat, saat, ...", "none, atrdh, cgat"),
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
                "Radius in [0, 1] pixels, such as 8/255.".replace("[", "\\["),
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
    plugin: PluginFiles = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the results.")] = Path(
        "results"
    ),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and an estimate; run nothing.")
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
    workers: Annotated[
        int,
        typer.Option(metavar="N", help="Processes on this machine.", rich_help_panel=_COMPUTE),
    ] = 1,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help=defaulting("Torch threads of one cell.", "1"),
            rich_help_panel=_COMPUTE,
        ),
    ] = None,
    attack_batch: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help=defaulting("Queries that are attacked together.", "500"),
            rich_help_panel=_COMPUTE,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help=defaulting("cpu or cuda.", "cpu"), rich_help_panel=_COMPUTE
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=defaulting("float32, or mixed: bfloat16 in the backbone.", "float32"),
            rich_help_panel=_COMPUTE,
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Where cells run: local, in processes of this machine.",
            rich_help_panel=_COMPUTE,
        ),
    ] = "local",
) -> None:
    """Run attacks against defenses; what the folder already holds is not run again.

    Options under "What to run" may be repeated, and then make a grid. What neither they nor a suite
    file say is taken from the quick suite: these are the defaults below. A plugin takes parameters,
    as in --attack hag:steps=2000, and presets, as in hag@published.

    As in

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
        )
        if value
    }
    changes["compute"] = {
        name: value
        for name, value in (
            ("attack_batch", attack_batch),
            ("threads", threads),
            ("device", device),
            ("precision", precision),
        )
        if value is not None
    }
    from hashbench.runner.engines.lookup import find_engine

    find_engine(engine)  # a wrong name is told before anything else is done
    if not 1 <= workers <= MOST_WORKERS:
        least = "must be 1 or more" if workers < 1 else f"can be {MOST_WORKERS:,} at most"
        raise UsageError(f"workers is {workers}, but {least}")
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: there is a file of that name, expected a folder")
    refuse_folder(out)
    try:
        os.fsencode(out).decode()
    except UnicodeDecodeError:
        raise UsageError(
            f"--out {out}: no name in UTF-8, and weights are read from no other"
        ) from None
    from hashbench.results.store import Store
    from hashbench.runner.estimate import estimate
    from hashbench.runner.plan import make_plan
    from hashbench.runner.run import missing_steps, run_plan
    from hashbench.runner.suite import compose

    chosen = compose(suite, changes)
    notes = for_notes()
    try:
        with image_bar(notes) as progress:
            plan = make_plan(chosen, progress)
    except KeyboardInterrupt as interrupt:
        word, code = word_and_code(interrupt)
        notes.say(f"{word} before anything was run; images that were being read are not kept.")
        os._exit(code)
    warn_of_broken(notes)
    missing = missing_steps(plan, Store(out))
    if missing or dry_run:
        ahead = estimate(missing)
        notes.print(
            f"{counted(len(plan.cells), 'cell')}, {counted(len(plan.steps), 'step')}; "
            f"{counted(len(missing), 'step')} to do: "
            f"at least {duration(ahead.seconds / min(workers, max(1, len(missing))))} with "
            f"{counted(workers, 'worker')} ({counted(ahead.passes, 'pass', 'passes')})",
            highlight=False,
            soft_wrap=True,
        )
    if dry_run:
        _print_plan(plan.steps, {step.key for step in missing})
        return
    try:
        with repeat_interrupts():
            results = run_plan(
                plan, out=out, workers=workers, engine=engine, reporter=_reporter(notes)
            )
    except KeyboardInterrupt as interrupt:
        word, code = word_and_code(interrupt)
        notes.say(f"{word}. What is done is kept: the same command goes on from there.")
        # At once: a step that is being made in this process would go on to its next sign of
        # progress. Nothing is lost, since what is not finished is not in the store.
        os._exit(code)
    failed = results.failed
    notes.say(
        f"{len(results.cells) - len(failed)} of {counted(len(results.cells), 'cell')} done. "
        f"Read them with: hashbench report {out}"
    )
    if failed:
        for result in failed:
            cell = result.cell
            notes.say(
                f"FAILED {cell.defense} / {cell.attack} (eps {cell.eps}, {cell.dataset}, "
                f"{cell.loss}, {cell.backbone}, {cell.bits} bits, seed {cell.seed}): "
                f"{result.reason}",
                style="red",
            )
        notes.say(f"Tracebacks are in {out / 'failures'}.")
        raise typer.Exit(EXIT_FAILED)


@contextmanager
def repeat_interrupts() -> Iterator[None]:
    """Repeat Ctrl-C until it is heard: Python drops one that falls into a finaliser."""
    heard = False

    def again(_number: int, _frame: object) -> None:
        nonlocal heard
        heard = True
        timer = threading.Timer(0.2, _thread.interrupt_main)
        timer.daemon = True
        timer.start()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, again)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN if heard else before)


def _reporter(notes: TextConsole) -> Reporter:
    from hashbench.runner.reporter import BarReporter, LineReporter

    return BarReporter(notes) if notes.is_terminal else LineReporter(notes)


def _print_plan(steps: Any, missing: set[str]) -> None:
    screen = for_answers()
    for step in steps:
        state = "to do " if step.key in missing else "stored"
        screen.say(f"{state}  {step.label}")
