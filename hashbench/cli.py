"""The command line: reads options, calls the library, prints. Thin, and quick to start.

Nothing heavy is imported at the top: `hashbench --help` must not wait for torch.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from hashbench.check_commands import check, new
from hashbench.data_commands import app as data_app
from hashbench.errors import ModelError, StoreError, UsageError
from hashbench.model_commands import app as model_app

if TYPE_CHECKING:
    from hashbench.runner.progress import Reporter
    from hashbench.runner.suite import Suite

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="A benchmark of adversarial robustness for deep hashing retrieval.",
    epilog="Start with [bold]hashbench run[/bold], then [bold]hashbench report[/bold].",
)

app.add_typer(model_app, name="model")
app.add_typer(data_app, name="data")

PluginFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", metavar="FILE.py", help="A file with further plugins; its code is run."
    ),
]


def main() -> None:
    """Entry point of the `hashbench` command: turns errors into one sentence and an exit code."""
    with _spoken_errors():
        app()


@contextmanager
def _spoken_errors() -> Iterator[None]:
    errors = Console(stderr=True)
    try:
        yield
    except (UsageError, StoreError, ModelError) as error:
        errors.print(f"Error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(EXIT_USAGE)
    except OSError as error:
        # A full disk, a folder that may not be written to: not what was typed, so not code 2.
        where = f"{error.filename}: " if error.filename else ""
        errors.print(f"Error: {where}{error.strerror or error}", style="red", markup=False)
        sys.exit(EXIT_FAILED)


@app.command()
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
    chosen = _suite(suite, changes)
    if engine != "local":
        raise UsageError(f"there is no engine '{engine}'; known: local")
    if workers < 1:
        raise UsageError(f"workers is {workers}, but must be 1 or more")
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: there is a file of that name, expected a folder")
    from hashbench.progress_bar import image_bar
    from hashbench.runner.estimate import estimate
    from hashbench.runner.plan import make_plan
    from hashbench.runner.run import missing_steps, run_plan
    from hashbench.runner.store import Store

    notes = Console(stderr=True)
    try:
        with image_bar(notes) as progress:
            plan = make_plan(chosen, progress)
    except KeyboardInterrupt:
        notes.print(
            "Interrupted before anything was run; images that were being read are not kept."
        )
        os._exit(EXIT_INTERRUPTED)
    _warn_of_broken()
    missing = missing_steps(plan, Store(out))
    if missing or dry_run:
        ahead = estimate(missing)
        notes.print(
            f"{len(plan.cells)} cells, {len(plan.steps)} steps; {len(missing)} steps to do: "
            f"at least {_duration(ahead.seconds / min(workers, max(1, len(missing))))} with "
            f"{workers} worker{'s' * (workers > 1)} ({ahead.passes:,} passes)",
            highlight=False,
            soft_wrap=True,
        )
    if dry_run:
        _print_plan(plan.steps, {step.key for step in missing})
        return
    try:
        with _heard_interrupts():
            results = run_plan(plan, out=out, workers=workers, reporter=_reporter(notes))
    except KeyboardInterrupt:
        notes.print("Interrupted. What is done is kept: the same command goes on from there.")
        # At once: a step that is being made in this process would go on to its next sign of
        # progress. Nothing is lost, since what is not finished is not in the store.
        os._exit(EXIT_INTERRUPTED)
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


@app.command()
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
    from hashbench.runner.results import load_results

    for path in plugin or ():
        plugins.use_file(path)
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
            from hashbench.reports.plots import write_plots

            written = write_plots(results, plots)
            Console(stderr=True).print(f"{len(written)} plots in {plots}", soft_wrap=True)
    except OSError as error:
        raise UsageError(f"cannot write {output or plots}: {error.strerror or error}") from None
    if output is None:
        text = writer.render(results, width=screen.width if format == "terminal" else None)
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
    if results.failed:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def plugins(
    plugin: PluginFiles = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show where a broken plugin broke.")
    ] = False,
) -> None:
    """List every plugin, where it comes from, and those that are broken."""
    from hashbench.listing import print_plugins

    _use(plugin)
    print_plugins(Console(), verbose=verbose)


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(help="A plugin's name; KIND/NAME where two kinds share it.")
    ],
    plugin: PluginFiles = None,
) -> None:
    """Show one plugin: what it does, its parameters, its source."""
    from hashbench.listing import print_plugin

    _use(plugin)
    print_plugin(Console(), name)


app.command()(check)
app.command()(new)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as version_of

        sys.stdout.write(f"hashbench {version_of('hashbench')}\n")
        raise typer.Exit


def _suite(source: str | None, changes: dict[str, Any]) -> Suite:
    from hashbench.runner.suite import compose

    return compose(source, changes)


def _use(files: list[Path] | None) -> None:
    from hashbench import plugins as room

    for path in files or ():
        room.use_file(path)


def _warn_of_broken() -> None:
    from hashbench import plugins as room

    notes = Console(stderr=True)
    for broken in room.registry().broken:
        notes.print(
            f"Warning: plugin '{broken.name}' of {broken.origin} is broken and left out: "
            f"{broken.reason}",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )


@contextmanager
def _heard_interrupts() -> Iterator[None]:
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


def _reporter(notes: Console) -> Reporter:
    from hashbench.runner.progress import BarReporter, LineReporter

    return BarReporter(notes) if notes.is_terminal else LineReporter(notes)


def _print_plan(steps: Any, missing: set[str]) -> None:
    screen = Console()
    for step in steps:
        state = "to do " if step.key in missing else "stored"
        screen.print(f"{state}  {step.label}", markup=False, highlight=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
