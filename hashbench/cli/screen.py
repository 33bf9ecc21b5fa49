"""What commands show beside their answer: a bar for images, warnings, durations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hashbench.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def image_bar(screen: Console, what: str = "reading images") -> Iterator[Progress]:
    """A function that is told (done, total) and moves a bar on the screen.

    Where the screen is no terminal nothing is shown.
    """
    from rich import progress

    columns = (
        "{task.description}",
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
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


def warn_of_broken(notes: Console) -> None:
    """Say which plugins are broken and therefore left out."""
    from hashbench import plugins as room

    for broken in room.registry().broken:
        notes.print(
            f"Warning: plugin '{broken.name}' of {broken.origin} is broken and left out: "
            f"{broken.reason}",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )


def duration(seconds: float) -> str:
    """Seconds as people say them: `40 s`, `3 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
