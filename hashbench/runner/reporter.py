"""Telling people how a run goes: bars on a terminal, plain lines elsewhere, nothing by default."""

from __future__ import annotations

from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from typing_extensions import override

from hashbench.characters import shown
from hashbench.console import TextConsole
from hashbench.runner.steps import Step


class Reporter:
    """Told of everything that happens in a run; this one reports nothing."""

    def begin(self, steps: int, stored: int) -> None:
        """A run starts: so many steps to do, so many already in the store."""

    def started(self, step: Step) -> None:
        """A step starts."""

    def advanced(self, step: Step, done: int, total: int) -> None:
        """How far a step has come, in its own units."""

    def finished(self, step: Step, seconds: float) -> None:
        """A step is done."""

    def failed(self, step: Step, reason: str, dropped: int) -> None:
        """A step failed, and so many steps that needed it are dropped."""

    def end(self) -> None:
        """The run is over, however it ended."""


class LineReporter(Reporter):
    """One line when a step ends: for log files."""

    def __init__(self, console: TextConsole) -> None:
        """Write to `console`."""
        self._console = console
        self._steps = 0
        self._count = 0

    @override
    def begin(self, steps: int, stored: int) -> None:
        self._steps = steps
        self._say(f"{steps} steps to do, {stored} in the store")

    @override
    def finished(self, step: Step, seconds: float) -> None:
        self._count += 1
        self._say(f"[{self._count}/{self._steps}] {step.label} ({seconds:.1f} s)")

    @override
    def failed(self, step: Step, reason: str, dropped: int) -> None:
        self._count += 1 + dropped
        what = "1 step that needs it is" if dropped == 1 else f"{dropped} steps that need it are"
        more = f"; {what} dropped" if dropped else ""
        self._say(f"[{self._count}/{self._steps}] FAILED {step.label}: {reason}{more}")

    def _say(self, line: str) -> None:
        self._console.say(line)


class BarReporter(Reporter):
    """A bar for the run and one for every step that is being made: for terminals."""

    def __init__(self, console: TextConsole) -> None:
        """Draw on `console`."""
        self._console = console
        self._bars = Progress(
            TextColumn(
                "{task.description}",
                markup=False,
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
            BarColumn(bar_width=16),
            TextColumn("{task.percentage:>3.0f}%", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            expand=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._run: TaskID | None = None

    @override
    def begin(self, steps: int, stored: int) -> None:
        if not steps:
            return
        self._bars.start()
        self._run = self._bars.add_task(f"{steps} steps ({stored} in the store)", total=steps)

    @override
    def started(self, step: Step) -> None:
        self._tasks[step.key] = self._bars.add_task(shown(step.label), total=None)

    @override
    def advanced(self, step: Step, done: int, total: int) -> None:
        self._bars.update(self._tasks[step.key], completed=done, total=total)

    @override
    def finished(self, step: Step, seconds: float) -> None:  # the bar shows it
        self._close(step, 1)

    @override
    def failed(self, step: Step, reason: str, dropped: int) -> None:
        self._console.say(f"FAILED {step.label}: {reason}", style="red")
        self._close(step, 1 + dropped)

    @override
    def end(self) -> None:
        self._bars.stop()

    def _close(self, step: Step, count: int) -> None:
        self._bars.remove_task(self._tasks.pop(step.key))
        if self._run is not None:
            self._bars.advance(self._run, count)
