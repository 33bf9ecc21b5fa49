"""Telling people how a run goes: bars on a terminal, plain lines elsewhere, nothing by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.table import Column
from rich.text import Text
from typing_extensions import override

from hashbench.characters import counted, shown
from hashbench.console import TextConsole
from hashbench.progress import duration
from hashbench.runner.remaining import Forecast
from hashbench.runner.steps import Step

if TYPE_CHECKING:
    from hashbench.results.asked import Asked
    from hashbench.results.cell import Cell
    from hashbench.results.results import Results


class Reporter:
    """Told of everything that happens in a run; this one reports nothing.

    Subclass it, override what you want to hear of, and give one to `hashbench.run` or
    `hashbench.evaluate`. A step is one piece of work: `step.label` says in words what it makes,
    `step.key` is the same for the same work. All methods are called in the process and thread that
    called `run`; what they raise ends the run.

    An installed package may have reporters that hear of every run beside the screen, by the entry
    point `hashbench.reporters`; what these raise ends nothing, see `hashbench.runner.outside`.
    """

    def planned(self, asked: Asked) -> None:
        """A run is laid out, and will begin.

        Args:
            asked: its suite's name, its text as a suite file (`suite_text`), its cells, its folder,
                the command that asks for the same, versions and device.
        """

    def reading(self, done: int, total: int) -> None:
        """Images are read for the first time, before the run begins: so many of how many."""

    def begin(self, steps: int, stored: int) -> None:
        """A run starts: so many steps to do, so many already in the store."""

    def started(self, step: Step) -> None:
        """A step starts."""

    def advanced(self, step: Step, done: int, total: int) -> None:
        """How far a step has come, in its own units."""

    def finished(self, step: Step, seconds: float) -> None:
        """A step is done."""

    def elsewhere(self, step: Step) -> None:
        """A step is done: another run that shares the folder made it. It was not started here."""

    def scored(self, cell: Cell, metrics: Mapping[str, float]) -> None:
        """The scores of a cell were made just now, behind `finished` of their step.

        Args:
            cell: which one: data set, loss, backbone, bits, defense, attack, radius, seed.
            metrics: value by name, as in the column `metric` of the CSV.
        """

    def failed(self, step: Step, reason: str, dropped: int) -> None:
        """A step failed, and so many steps that needed it are dropped."""

    def again(self, step: Step, reason: str, tried: int, most: int) -> None:
        """The process that was making a step has ended: it is tried again.

        Args:
            step: which then starts anew.
            reason: how the process ended.
            tried: how often it was tried so far; 0 where the process ended before it had begun.
            most: how often it is tried at most.
        """

    def note(self, text: str) -> None:
        """Something about the run that a person should know."""

    def results(self, results: Results) -> None:
        """All cells of the run, those that were stored already among them; before `end`.

        Not called where the run is ended before all of its steps were tried.
        """

    def end(self) -> None:
        """The run is over, however it ended."""


class Forecasting(Reporter):
    """Hands on what happens to a forecast, where there is one."""

    def __init__(self, forecast: Forecast | None) -> None:
        self._forecast = forecast

    def foresee(self, forecast: Forecast) -> None:
        """Tell remaining times from now on; before the run begins."""
        self._forecast = forecast

    @override
    def started(self, step: Step) -> None:
        if self._forecast is not None:
            self._forecast.started(step)

    @override
    def advanced(self, step: Step, done: int, total: int) -> None:
        if self._forecast is not None:
            self._forecast.advanced(step, done, total)

    @override
    def finished(self, step: Step, seconds: float) -> None:
        if self._forecast is not None:
            self._forecast.finished(step, seconds)

    @override
    def elsewhere(self, step: Step) -> None:
        if self._forecast is not None:
            self._forecast.elsewhere(step)

    @override
    def failed(self, step: Step, reason: str, dropped: int) -> None:
        if self._forecast is not None:
            self._forecast.failed(step)

    @override
    def again(self, step: Step, reason: str, tried: int, most: int) -> None:
        if self._forecast is not None:
            self._forecast.again(step)


class LineReporter(Forecasting):
    """One line when a step ends: for log files."""

    def __init__(self, console: TextConsole, forecast: Forecast | None = None) -> None:
        """Write to `console`; the remaining time too, where there is a forecast."""
        super().__init__(forecast)
        self._console = console
        self._steps = 0
        self._count = 0

    @override
    def begin(self, steps: int, stored: int) -> None:
        self._steps = steps
        self._say(f"{counted(steps, 'step')} to do, {stored:,} in the store")

    @override
    def finished(self, step: Step, seconds: float) -> None:
        super().finished(step, seconds)
        self._count += 1
        self._say(f"[{self._count}/{self._steps}] {step.label} ({seconds:.1f} s){self._left()}")

    @override
    def elsewhere(self, step: Step) -> None:
        super().elsewhere(step)
        self._count += 1
        self._say(f"[{self._count}/{self._steps}] {step.label} (made by another run){self._left()}")

    @override
    def failed(self, step: Step, reason: str, dropped: int) -> None:
        super().failed(step, reason, dropped)
        self._count += 1
        line = f"[{self._count}/{self._steps}] FAILED {step.label}: {reason}{_dropped(dropped)}"
        self._say(line + self._left())
        self._steps -= dropped

    @override
    def again(self, step: Step, reason: str, tried: int, most: int) -> None:
        super().again(step, reason, tried, most)
        self._say(_again(step, reason, tried, most))

    @override
    def note(self, text: str) -> None:
        self._say(f"Note: {text}")

    def _left(self) -> str:
        if self._forecast is None or self._count >= self._steps:
            return ""
        return f"; about {duration(max(1.0, self._forecast.left()))} left"

    def _say(self, line: str) -> None:
        self._console.say(line)


class BarReporter(Forecasting):
    """A bar for the run and one for every step that is being made: for terminals."""

    def __init__(self, console: TextConsole, forecast: Forecast | None = None) -> None:
        """Draw on `console`; the remaining times too, where there is a forecast."""
        super().__init__(forecast)
        self._console = console
        # A step's words are wrapped, never cut, so on a narrow screen the bar is what gets shorter.
        width = 16 if console.width >= 100 else 8
        self._bars = Progress(
            TextColumn(
                "{task.description}",
                markup=False,
                table_column=Column(ratio=1, overflow="fold"),
            ),
            BarColumn(bar_width=width),
            TextColumn("{task.percentage:>3.0f}%", markup=False),
            _Times(),
            console=console,
            transient=True,
            expand=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._run: TaskID | None = None
        self._read: TaskID | None = None
        self._steps = 0

    @override
    def reading(self, done: int, total: int) -> None:
        if self._read is None:
            self._bars.start()
            self._read = self._bars.add_task("reading images", left=None)
        self._bars.update(self._read, completed=done, total=total)

    @override
    def begin(self, steps: int, stored: int) -> None:
        if self._read is not None:
            self._bars.remove_task(self._read)
        if not steps:
            return
        self._steps = steps
        forecast = self._forecast
        self._bars.start()
        self._run = self._bars.add_task(
            f"{counted(steps, 'step')} ({stored:,} in the store)",
            total=steps if forecast is None else 1.0,
            left=None if forecast is None else forecast.left,
        )

    @override
    def started(self, step: Step) -> None:
        super().started(step)
        forecast = self._forecast
        self._tasks[step.key] = self._bars.add_task(
            shown(step.label),
            total=None,
            left=None if forecast is None else lambda: forecast.left_of(step),
        )
        self._move()

    @override
    def advanced(self, step: Step, done: int, total: int) -> None:
        super().advanced(step, done, total)
        self._bars.update(self._tasks[step.key], completed=done, total=total)
        self._move()

    @override
    def finished(self, step: Step, seconds: float) -> None:  # the bar shows it
        super().finished(step, seconds)
        self._close(step, 1)

    @override
    def elsewhere(self, step: Step) -> None:
        super().elsewhere(step)
        self._close(step, 1)

    @override
    def failed(self, step: Step, reason: str, dropped: int) -> None:
        super().failed(step, reason, dropped)
        self._say(f"FAILED {step.label}: {reason}{_dropped(dropped)}", "red")
        self._close(step, 1 + dropped)

    @override
    def again(self, step: Step, reason: str, tried: int, most: int) -> None:
        super().again(step, reason, tried, most)
        self._say(_again(step, reason, tried, most), "yellow")
        self._close(step, 0)

    @override
    def note(self, text: str) -> None:
        self._say(f"Note: {text}", "yellow")

    @override
    def end(self) -> None:
        self._bars.stop()

    def _close(self, step: Step, count: int) -> None:
        task = self._tasks.pop(step.key, None)
        if task is not None:  # one that could not even be started has none
            self._bars.remove_task(task)
        if self._run is not None and self._forecast is None:
            self._bars.advance(self._run, count)
        self._move()

    def _move(self) -> None:
        if self._run is not None and self._forecast is not None:
            self._bars.update(self._run, completed=self._forecast.share())

    def _say(self, line: str, style: str) -> None:
        self._console.say(line, style)


class _Times(ProgressColumn):
    """How long it has been at work, and how long it will be: in words, as there is no heading."""

    max_refresh = 0.5

    @override
    def render(self, task: Task) -> Text:
        gone = "" if task.elapsed is None else f"{_clock(task.elapsed)} so far"
        ask = task.fields.get("left")
        left = None if ask is None else ask()
        return Text(gone if left is None else f"{gone}, {_clock(left)} left")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _dropped(dropped: int) -> str:
    if not dropped:
        return ""
    return f"; {counted(dropped, 'step that needs it is', 'steps that need it are')} dropped"


def _again(step: Step, reason: str, tried: int, most: int) -> str:
    tries = f" ({tried} of {most} tries)" if tried else ""
    return f"the process of {step.label} ended ({reason}): it is tried again{tries}"
