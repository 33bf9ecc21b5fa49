"""What commands print with, and what they show beside their answer: bars, warnings, durations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.segment import Segment, Segments

from hashbench.characters import shown
from hashbench.cli.debug import say_traceback
from hashbench.console import TextConsole
from hashbench.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import ProgressColumn

    from hashbench.runner.remaining import Forecast
    from hashbench.runner.reporter import Reporter


def for_answers() -> TextConsole:
    """The console on standard output, for what a command was asked for."""
    return TextConsole()


def for_notes() -> TextConsole:
    """The console on standard error, for what goes to people beside the answer."""
    return TextConsole(stderr=True)


def print_trimmed(console: Console, what: RenderableType) -> None:
    """Print a table or a text without the blanks that would fill up its lines."""
    for line in console.render_lines(what, pad=False):
        kept = list(line)
        while kept and not kept[-1].text.strip():
            kept.pop()
        if kept:
            kept[-1] = Segment(kept[-1].text.rstrip(), kept[-1].style)
        console.print(Segments([*kept, Segment("\n")]), end="")


def say_folded(console: TextConsole, text: str, style: str = "") -> None:
    """Print one line: folded between words on a terminal, whole elsewhere, for `grep`."""
    from rich.text import Text

    if console.is_terminal:
        print_trimmed(console, Text(shown(text), style=style, overflow="fold"))
    else:
        console.say(text, style)


def reporter_on(console: TextConsole, forecast: Forecast | None) -> Reporter:
    """Tells how a run goes: a bar on a terminal, a line for each step elsewhere."""
    from hashbench.runner.reporter import BarReporter, LineReporter

    kind = BarReporter if console.is_terminal else LineReporter
    return kind(console, forecast)


@contextmanager
def image_bar(screen: TextConsole, what: str = "reading images") -> Iterator[Progress]:
    """A function that is told (done, total) and moves a bar on the screen.

    Where the screen is no terminal nothing is shown.
    """
    from rich import progress

    with _bar(screen, what, progress.MofNCompleteColumn()) as tell:
        yield tell


@contextmanager
def byte_bar(screen: TextConsole, what: str) -> Iterator[Progress]:
    """As `image_bar`, told in bytes."""
    from rich import progress

    with _bar(screen, what, progress.DownloadColumn()) as tell:
        yield tell


@contextmanager
def _bar(screen: TextConsole, what: str, amount: ProgressColumn) -> Iterator[Progress]:
    from rich import progress

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        amount,
        progress.TimeRemainingColumn(),
    )
    bar = progress.Progress(
        *columns, console=screen, transient=True, disable=not screen.is_terminal
    )
    task = None

    def tell(done: int, total: int) -> None:
        nonlocal task
        if task is None:
            bar.start()
            task = bar.add_task(what, total=total)
        bar.update(task, completed=done, total=total)

    try:
        yield tell
    finally:
        bar.stop()


def warn_of_broken(notes: TextConsole) -> None:
    """Say which plugins are broken and therefore left out, and what others probably misspelt."""
    from hashbench import plugins as room
    from hashbench.plugins.catalog import OWN
    from hashbench.plugins.misspelt import nearly_named

    registry = room.registry()
    for entries in registry.entries.values():
        for entry in entries:
            for sentence in nearly_named(entry.plugin) if entry.origin.source != OWN else ():
                notes.say(f"Warning: {sentence}", style="yellow")
    for broken in registry.broken:
        say_traceback(notes, broken.traceback)
        notes.say(
            f"Warning: plugin '{broken.name}' of {broken.origin} is broken and left out: "
            f"{broken.reason}",
            style="yellow",
        )
