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

from hashbench.cli.ended import word_and_code
from hashbench.cli.named import refuse_folder
from hashbench.cli.options import EXIT_FAILED, PluginFiles
from hashbench.cli.screen import duration, for_answers, for_notes, image_bar, warn_of_broken
from hashbench.console import TextConsole
from hashbench.errors import UsageError

if TYPE_CHECKING:
    from hashbench.runner.reporter import Reporter

MOST_WORKERS: Final = 1_024
"""Processes of one machine; each holds a copy of the models and takes some 500 MB."""


def run(
    suite: Annotated[
        str | None,
        typer.Argument(help="A suite file (.toml), or the name of one that ships: quick, ..."),
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="fashion, outfits, flickr25k, lists, ...")
    ] = None,
    loss: Annotated[list[str] | None, typer.Option(help="csq, dph, hashnet, ...")] = None,
    backbone: Annotated[list[str] | None, typer.Option(help="small-cnn, resnet18, ...")] = None,
    bits: Annotated[list[str] | None, typer.Option(metavar="K", help="Code length.")] = None,
    defense: Annotated[list[str] | None, typer.Option(help="none, atrdh, cgat, saat, ...")] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(help="noise, hag, sdha, pgd-hamming, ...; none for clean queries alone."),
    ] = None,
    eps: Annotated[
        list[str] | None, typer.Option(help="Radius in [0, 1] pixels, such as 8/255.")
    ] = None,
    seed: Annotated[list[str] | None, typer.Option(help="Seed of training and attacks.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results"),
    engine: Annotated[
        str, typer.Option(help="Where cells run: local, in processes of this machine.")
    ] = "local",
    workers: Annotated[int, typer.Option(help="Processes on this machine.")] = 1,
    attack_batch: Annotated[
        int | None, typer.Option(help="Queries that are attacked together.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Torch threads of one cell.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
    root: Annotated[
        Path | None, typer.Option(help="Folder of a data set that does not ship.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder to load the base model from, instead of training.")
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of a defended model to evaluate; its card says the rest."),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="float32, or mixed: bfloat16 in the backbone.")
    ] = None,
    plugin: PluginFiles = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and an estimate; run nothing.")
    ] = False,
) -> None:
    """Run attacks against defenses; what the folder already holds is not run again.

    Options that name a choice may be repeated, and then make a grid. What no option and no suite
    file says is taken from the quick suite. A plugin takes parameters: --attack hag:steps=2000
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
            f"{len(plan.cells)} cells, {len(plan.steps)} steps; {len(missing)} steps to do: "
            f"at least {duration(ahead.seconds / min(workers, max(1, len(missing))))} with "
            f"{workers} worker{'s' * (workers > 1)} ({ahead.passes:,} passes)",
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
        f"{len(results.cells) - len(failed)} of {len(results.cells)} cells done. "
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
