"""Reporters of installed packages: found by entry point, told of every run beside the screen.

    [project.entry-points."hashbench.reporters"]
    my-tracker = "my_package.tracker"

An entry point names a subclass of `Reporter`, or a module that defines some; each is made without
arguments when a run starts. One that is broken, or raises, is told of once and left out from there:
no run fails for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from hashbench.errors import FileError, UsageError
from hashbench.plugins.blame import place_in_module
from hashbench.plugins.discovery import broken_by
from hashbench.plugins.registered import Broken, Origin, origin_of
from hashbench.results.scored import Measured, measured
from hashbench.results.store import Store
from hashbench.runner.evaluation_steps import Certificate, Scores
from hashbench.runner.reporter import Reporter
from hashbench.runner.steps import Step

if TYPE_CHECKING:
    from hashbench.results.asked import Asked
    from hashbench.results.cell import Cell
    from hashbench.results.results import Results
    from hashbench.runner.plan import Plan

GROUP: Final = "hashbench.reporters"
"""Of entry points."""


@dataclass(frozen=True)
class Outside:
    """A reporter of an installed package.

    Attributes:
        name: of its entry point.
        origin: the package.
        make: the class.
    """

    name: str
    origin: Origin
    make: type[Reporter]

    @property
    def summary(self) -> str:
        """The first line of what it says of itself."""
        return (self.make.__doc__ or "").strip().partition("\n")[0]


def installed() -> tuple[list[Outside], list[Broken]]:
    """All reporters of installed packages, and what does not load."""
    found: list[Outside] = []
    broken: list[Broken] = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        origin = origin_of(point)
        try:
            made = [Outside(point.name, origin, one) for one in _classes(point)]
        except (Exception, SystemExit) as error:  # an import may raise anything
            where = place_in_module(error, point.module)
            broken.append(broken_by(None, point.name, origin, error, where))
            continue
        found += [one for one in made if all(one.make is not other.make for other in found)]
    return found, broken


def _classes(point: EntryPoint) -> list[type[Reporter]]:
    """The reporters of an entry point: the class that it names, or all that a module defines."""
    named: Any = point.load()
    members = list(vars(named).values()) if isinstance(named, ModuleType) else [named]
    found = [
        one
        for one in members
        if isinstance(one, type) and issubclass(one, Reporter) and one is not Reporter
        if not isinstance(named, ModuleType) or f"{one.__module__}.".startswith(f"{point.module}.")
    ]
    if not found:
        raise UsageError(f"it names no subclass of hashbench.Reporter ({point.value})")
    return found


def with_installed(
    reporter: Reporter, plan: Plan, store: Store, known: dict[str, Measured]
) -> Several:
    """A reporter that tells the given one, and those of installed packages.

    Args:
        reporter: whoever asked for the run hears by; what it raises ends the run.
        plan: of the run.
        store: where results will lie.
        known: by the keys of scores, what was read of them; gets what is read now.
    """
    found, broken = installed()
    guests: list[_Guest] = []
    for one in found:
        try:
            guests.append(_Guest(one, one.make()))
        except (Exception, SystemExit) as error:
            where = place_in_module(error, one.make.__module__)
            broken.append(broken_by(None, one.name, one.origin, error, where))
    for lost in broken:
        reporter.note(
            f"reporter '{lost.name}' of {lost.origin} is broken and left out: {lost.reason}"
        )
    return Several(reporter, guests, _Cells(plan, store, known))


@dataclass
class _Guest:
    """A reporter of a package in one run."""

    origin: Outside
    reporter: Reporter
    left_out: bool = False


@dataclass(frozen=True)
class _Cells:
    """Reads what was just measured."""

    plan: Plan
    store: Store
    known: dict[str, Measured]

    def of(self, step: Step) -> list[tuple[Cell, Mapping[str, float]]]:
        """The cells that a step has scored, with their metrics."""
        if not isinstance(step, Scores | Certificate):
            return []
        try:
            found = measured(
                self.store,
                step.address,
                step.setting.source.protocol,
                certificate=isinstance(step, Certificate),
            )
        except FileError:
            return []
        if found is None:
            return []
        self.known[step.key] = found
        return [(cell, found.scores.metrics) for cell in self._by_key[step.key]]

    @cached_property
    def _by_key(self) -> Mapping[str, list[Cell]]:
        cells: dict[str, list[Cell]] = {}
        for one in self.plan.cells:
            cells.setdefault(one.scores.key, []).append(one.cell)
        return cells


class Several(Reporter):
    """One reporter for the asker of a run, and those of installed packages."""

    def __init__(self, own: Reporter, guests: Sequence[_Guest], cells: _Cells) -> None:
        """Tell `own` first, then the guests; read cells where somebody wants to hear of them."""
        self._own = own
        self._guests = guests
        self._cells = cells
        everyone = (own, *(guest.reporter for guest in guests))
        self._scored = any(type(one).scored is not Reporter.scored for one in everyone)

    @override
    def reading(self, done: int, total: int) -> None:
        self._tell(lambda one: one.reading(done, total))

    @override
    def planned(self, asked: Asked) -> None:
        self._tell(lambda one: one.planned(asked))

    @override
    def begin(self, steps: int, stored: int) -> None:
        self._tell(lambda one: one.begin(steps, stored))

    @override
    def started(self, step: Step) -> None:
        self._tell(lambda one: one.started(step))

    @override
    def advanced(self, step: Step, done: int, total: int) -> None:
        self._tell(lambda one: one.advanced(step, done, total))

    @override
    def finished(self, step: Step, seconds: float) -> None:
        self._tell(lambda one: one.finished(step, seconds))
        for cell, metrics in self._cells.of(step) if self._scored else ():
            self.scored(cell, metrics)

    @override
    def elsewhere(self, step: Step) -> None:
        self._tell(lambda one: one.elsewhere(step))

    @override
    def scored(self, cell: Cell, metrics: Mapping[str, float]) -> None:
        self._tell(lambda one: one.scored(cell, metrics))

    @override
    def failed(self, step: Step, reason: str, dropped: int) -> None:
        self._tell(lambda one: one.failed(step, reason, dropped))

    @override
    def again(self, step: Step, reason: str, tried: int, most: int) -> None:
        self._tell(lambda one: one.again(step, reason, tried, most))

    @override
    def note(self, text: str) -> None:
        self._tell(lambda one: one.note(text))

    @override
    def results(self, results: Results) -> None:
        self._tell(lambda one: one.results(results))

    @override
    def end(self) -> None:
        try:
            self._own.end()
        finally:
            # Also those that were left out, so that they can close what they have opened.
            for guest in self._guests:
                self._try(guest, lambda one: one.end())

    def _tell(self, tell: Callable[[Reporter], None]) -> None:
        tell(self._own)
        for guest in self._guests:
            if not guest.left_out:
                self._try(guest, tell)

    def _try(self, guest: _Guest, tell: Callable[[Reporter], None]) -> None:
        try:
            tell(guest.reporter)
        except (Exception, SystemExit) as error:  # what others wrote may raise anything
            if guest.left_out:
                return
            guest.left_out = True
            one = guest.origin
            where = place_in_module(error, one.make.__module__)
            told = broken_by(None, one.name, one.origin, error, where)
            self._own.note(
                f"reporter '{one.name}' of {one.origin} failed, and hears no more of this run: "
                f"{told.reason}"
            )
