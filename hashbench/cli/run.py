"""The command `hashbench run`: from options to a suite, a plan, and its cells."""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from hashbench.cli.options import (
    EXIT_FAILED,
    EXIT_HANGUP,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    PluginFiles,
)
from hashbench.cli.screen import duration, image_bar, warn_of_broken
from hashbench.errors import UsageError

if TYPE_CHECKING:
    from hashbench.runner.remaining import Forecast
    from hashbench.runner.reporter import Reporter


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
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: there is a file of that name, expected a folder")
    from hashbench.results.store import Store
    from hashbench.runner.estimate import estimate
    from hashbench.runner.plan import make_plan
    from hashbench.runner.remaining import Forecast
    from hashbench.runner.run import check_workers, missing_steps, run_plan
    from hashbench.runner.suite import compose

    check_workers(workers)
    chosen = compose(suite, changes)
    notes = Console(stderr=True)
    try:
        with image_bar(notes) as progress:
            plan = make_plan(chosen, progress)
    except KeyboardInterrupt:
        notes.print(
            "Interrupted before anything was run; images that were being read are not kept."
        )
        os._exit(EXIT_INTERRUPTED)
    warn_of_broken(notes)
    missing = missing_steps(plan, Store(out))
    ahead = estimate(missing)
    # What this process took to get here, a further one takes too.
    forecast = Forecast(missing, ahead.by_step, workers, start_up=time.process_time())
    if missing or dry_run:
        notes.print(
            f"{len(plan.cells)} cells, {len(plan.steps)} steps; {len(missing)} steps to do: "
            f"about {duration(forecast.left())} with "
            f"{workers} worker{'s' * (workers > 1)} ({ahead.passes:,} passes)",
            highlight=False,
            soft_wrap=True,
        )
    if dry_run:
        _print_plan(plan.steps, {step.key for step in missing})
        return
    try:
        with repeat_interrupts(), heeded_signals():
            results = run_plan(
                plan, out=out, workers=workers, engine=engine, reporter=_reporter(notes, forecast)
            )
    except KeyboardInterrupt:
        notes.print("Interrupted. What is done is kept: the same command goes on from there.")
        # At once: a step that is being made in this process would go on to its next sign of
        # progress. Nothing is lost, since what is not finished is not in the store.
        os._exit(EXIT_INTERRUPTED)
    except SignalledError as ended:
        with suppress(OSError):  # the terminal may be gone, which is what SIGHUP says
            notes.print(
                f"Ended by {ended.signal.name}. What is done is kept: the same command goes on "
                "from there.",
                soft_wrap=True,
            )
        os._exit(EXIT_TERMINATED if ended.signal == signal.SIGTERM else EXIT_HANGUP)
    failed = results.failed
    notes.print(
        f"{len(results.cells) - len(failed)} of {len(results.cells)} cells done. "
        f"Read them with: hashbench report {out}",
        highlight=False,
        soft_wrap=True,
    )
    if failed:
        for result in failed:
            cell = result.cell
            notes.print(
                f"FAILED {cell.defense} / {cell.attack} (eps {cell.eps}, {cell.dataset}, "
                f"{cell.loss}, {cell.backbone}, {cell.bits} bits, seed {cell.seed}): "
                f"{result.reason}",
                style="red",
                markup=False,
                soft_wrap=True,
            )
        notes.print(f"Tracebacks are in {out / 'failures'}.", highlight=False, soft_wrap=True)
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


class SignalledError(BaseException):
    """The system asked this process to end. No `Exception`, so that no plugin catches it."""

    def __init__(self, number: signal.Signals) -> None:
        """By this signal."""
        super().__init__(number)
        self.signal = number


@contextmanager
def heeded_signals() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP are raised, so that worker processes end first, and are told.

    A signal that is ignored, as under nohup, stays ignored.
    """

    def raised(number: int, _frame: object) -> None:
        raise SignalledError(signal.Signals(number))

    wanted = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    heeded = [number for number in wanted if signal.getsignal(number) is signal.SIG_DFL]
    for number in heeded:
        signal.signal(number, raised)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, signal.SIG_DFL)


def _reporter(notes: Console, forecast: Forecast) -> Reporter:
    from hashbench.runner.reporter import BarReporter, LineReporter

    return BarReporter(notes, forecast) if notes.is_terminal else LineReporter(notes, forecast)


def _print_plan(steps: Any, missing: set[str]) -> None:
    screen = Console()
    for step in steps:
        state = "to do " if step.key in missing else "stored"
        screen.print(f"{state}  {step.label}", markup=False, highlight=False, soft_wrap=True)
