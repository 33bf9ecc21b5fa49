"""How far the cells of a folder have come, and who is at work there: read, and nothing else."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from hashbench.characters import shortened
from hashbench.errors import FileError
from hashbench.results.artifacts import KEY_DIGITS
from hashbench.results.cell import Cell
from hashbench.results.claim_files import Claim, ClaimFiles, each, name_of
from hashbench.results.holders import Holder, this_process
from hashbench.results.load import plans_of
from hashbench.results.planned import StoredCell
from hashbench.results.store import Store
from hashbench.results.versions import Latest

_MOST_HOST: Final = 100


class CellState(StrEnum):
    """What became of a cell so far."""

    DONE = "done"
    AT_WORK = "at-work"
    FAILED = "failed"
    WAITING = "waiting"

    @property
    def words(self) -> str:
        """As sentences write it: `at work`."""
        return self.replace("-", " ")


class Life(StrEnum):
    """What is known of a run that holds claims."""

    ALIVE = "alive"
    SILENT = "silent"
    GONE = "gone"


@dataclass(frozen=True)
class RunStatus:
    """A run that holds steps.

    Attributes:
        host: the name of its machine; empty where its claims are damaged.
        pid: its process there.
        life: `alive`; `silent`: it gave no sign for longer than its lease, so others may take over;
            `gone`: its process has ended.
        since: when it took the first of these steps, ISO 8601, by its own clock.
        silent: for how many seconds it gave no sign, by the clock of who asks.
        lease: how many of them others wait for.
        steps: what it makes.
    """

    host: str
    pid: int
    life: Life
    since: str
    silent: float
    lease: float
    steps: tuple[str, ...]

    @property
    def left(self) -> float:
        """Seconds until others may take over if there is no further sign."""
        return 0.0 if self.life is Life.GONE else max(0.0, self.lease - self.silent)


@dataclass(frozen=True)
class SuiteStatus:
    """The cells of one suite, as the folder's latest plans name them.

    Attributes:
        name: of the suite.
        asked: when it was last asked for, ISO 8601.
        number: of that plan in its folder.
        cells: how many there are in each state.
    """

    name: str
    asked: str
    number: int
    cells: Mapping[CellState, int]


@dataclass(frozen=True)
class FolderStatus:
    """A folder of results, at one moment.

    Attributes:
        folder: it.
        cells: of all its plans, each once, how many there are in each state.
        suites: the same by plan, the one that was last asked for at the end.
        runs: who is at work.
        failed: cells that failed, with their reasons.
        hosts: how many finished cells each machine has scored; those of older versions do not say.
        troubles: what cannot be read, a sentence each.
    """

    folder: Path
    cells: Mapping[CellState, int]
    suites: tuple[SuiteStatus, ...]
    runs: tuple[RunStatus, ...]
    failed: tuple[tuple[Cell, str], ...]
    hosts: Mapping[str, int]
    troubles: tuple[str, ...]


def status_of(folder: Path, now: float | None = None) -> FolderStatus:
    """Look at a folder; nothing is written, and no run is disturbed.

    Args:
        folder: of results.
        now: seconds since 1970, by default the clock's.

    Raises:
        UsageError: it holds no results.
    """
    store = Store(folder)
    plans = plans_of(store)
    moment = time.time() if now is None else now
    runs = _runs(list(each(ClaimFiles(folder))), moment, this_process())
    look = _Look(store, _claimed(runs), store.failed_keys())
    latest = Latest(plans.plans)
    states = {cell: look.state(planned, latest) for cell, planned in latest.cells.items()}
    suites = tuple(
        SuiteStatus(
            name=str(plan.suite.get("name", "")),
            asked=plan.asked,
            number=plan.number,
            cells=_counts(Counter(states[planned.cell] for planned in plan.cells)),
        )
        for plan in plans.plans
    )
    return FolderStatus(
        folder=folder,
        cells=_counts(Counter(states.values())),
        suites=suites,
        runs=tuple(sorted((status for status, _ in runs), key=_order)),
        failed=tuple((cell, look.reasons[cell]) for cell in sorted(look.reasons)),
        hosts=dict(sorted(look.hosts.items())),
        troubles=plans.troubles,
    )


def _counts(found: Counter[CellState]) -> dict[CellState, int]:
    return {state: found[state] for state in CellState}


@dataclass
class _Look:
    """Looks at cells.

    Attributes:
        store: where they lie.
        claimed: names of the steps that somebody makes.
        noted: of those whose failure is noted.
        reasons: of the cells that failed.
        hosts: machines of those that are done.
    """

    store: Store
    claimed: frozenset[str]
    noted: frozenset[str]
    reasons: dict[Cell, str] = field(default_factory=dict)
    hosts: Counter[str] = field(default_factory=Counter)

    def state(self, planned: StoredCell, latest: Latest) -> CellState:
        if not latest.outdated(planned) and self._is_done(planned):
            return CellState.DONE
        steps = (*planned.steps, planned.scores)
        if any(name_of(step.key) in self.claimed for step in steps):
            return CellState.AT_WORK
        for step in steps:
            if step.key[:KEY_DIGITS] in self.noted:
                failure = self.store.failure(step)
                if failure is not None:
                    self.reasons[planned.cell] = failure.reason
                    return CellState.FAILED
        return CellState.WAITING

    def _is_done(self, planned: StoredCell) -> bool:
        """By the record alone: a report that reads the values looks closer."""
        try:
            found = self.store.artifact(planned.scores)
        except FileError:
            return False
        if found is None:
            return False
        host = found.record.get("host")
        if isinstance(host, str) and host:
            self.hosts[shortened(host, _MOST_HOST)] += 1
        return True


def _runs(claims: list[Claim], now: float, here: Holder) -> list[tuple[RunStatus, list[Claim]]]:
    """Each run, and the claims that are its own."""
    by_run: dict[str, list[Claim]] = {}
    for claim in claims:
        # Of a damaged one nothing is known, not even which others it belongs to.
        by_run.setdefault(claim.run or f"{claim.name}.{claim.number}", []).append(claim)
    return [(_run(its_own, now, here), its_own) for its_own in by_run.values()]


def _claimed(runs: list[tuple[RunStatus, list[Claim]]]) -> frozenset[str]:
    """Names of the steps that are being made: a run that is gone or silent makes none."""
    held = [claim for status, claims in runs if status.life is Life.ALIVE for claim in claims]
    # A plan names no parts: who makes one is at work on the whole.
    return frozenset(name for claim in held for name in (claim.name, claim.part_of) if name)


def _run(claims: list[Claim], now: float, here: Holder) -> RunStatus:
    first = min(claims, key=lambda claim: claim.since)
    silent = max(0.0, now - max(claim.renewed for claim in claims))
    life = Life.SILENT if silent > first.lease else Life.ALIVE
    if first.holder.is_gone(here):
        life = Life.GONE
    return RunStatus(
        host=first.holder.host,
        pid=first.holder.pid,
        life=life,
        since=first.since,
        silent=silent,
        lease=first.lease,
        steps=tuple(claim.label for claim in sorted(claims, key=lambda claim: claim.since)),
    )


def _order(run: RunStatus) -> tuple[str, int, str]:
    return (run.host, run.pid, run.since)
