"""One run of matches: plan, what is stored already, workers, results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hashbench.errors import FileError, StoreError, UsageError
from hashbench.results.address import Address
from hashbench.results.artifacts import MATCH_PLANS, PLANS
from hashbench.results.made_by import made_by
from hashbench.results.matches.load import measured_match, of_plan
from hashbench.results.matches.plans import (
    MatchPlan,
    PlannedMatch,
    next_match_number,
    write_match_plan,
)
from hashbench.results.matches.results import MatchResults
from hashbench.results.store import Store
from hashbench.runner.determinism import environment
from hashbench.runner.engines.local import run_here, run_in_processes
from hashbench.runner.engines.shared import SharedSchedule
from hashbench.runner.matching.command import command_of
from hashbench.runner.matching.plan import MatchRun
from hashbench.runner.matching.steps import AllFiles, MatchCellStep
from hashbench.runner.plan import ancestors
from hashbench.runner.reporter import Reporter
from hashbench.runner.shared_folder import shared_folder
from hashbench.runner.steps import Step
from hashbench.runner.stored import add_unmade

MOST_WORKERS: Final = 8
"""Workers that a run starts unless it is told how many: each takes some 0.5 GB."""


def run_matches(plan: MatchRun, *, out: Path, workers: int, reporter: Reporter) -> MatchResults:
    """Run a plan; what the folder already holds is not made again.

    Args:
        plan: what is asked for.
        out: the folder of the store.
        workers: steps that are made at the same time, each in a process of its own but one.
        reporter: told how it goes.

    Returns:
        The results of the plan's cells, failed ones included.

    Raises:
        UsageError: the folder holds results of another kind, or cannot be one.
        NoRoomError: an artifact cannot be written for lack of space. What is done is kept.
    """
    refuse_other_results(out)
    store = Store(out)
    try:
        with shared_folder(store, reporter) as place:
            with place.claims.waiting(MATCH_PLANS, "the number of a plan"):
                record = record_of(plan, next_match_number(store))
                write_match_plan(store, plan.name, record)
            todo = missing_match_steps(plan, store)
            keys = {step.key for step in plan.steps}
            place.begin(todo, planned=keys, wanted={step.key for step in todo})
            stored = keys - {step.key for step in todo}
            schedule = SharedSchedule(
                todo,
                stored,
                claims=place.claims,
                is_there=lambda step: is_made(step, store),
                reporter=reporter,
            )
            reporter.begin(len(todo), len(stored))
            if workers == 1 or len(todo) < 2:
                run_here(schedule, store, reporter)
            else:
                run_in_processes(plan, schedule, store, reporter, workers - 1, take_part=True)
        return of_plan(store, record)
    finally:
        reporter.end()


def refuse_other_results(out: Path) -> None:
    """Make sure that a folder holds no results of `hashbench run`.

    Raises:
        UsageError: it does: a report could not tell which of the two is asked for.
    """
    if any((out / PLANS).glob("*.json")):
        raise UsageError(
            f"folder {out}: it holds results of 'hashbench run'; name another one with --out"
        )


def record_of(plan: MatchRun, number: int) -> MatchPlan:
    """A plan as the store keeps it."""
    compute = plan.suite.compute
    files: dict[str, list[Address]] = {step.key: [] for step in plan.cells}
    for one in plan.images:
        files[one.attacked.key].append(one.address)
    return MatchPlan(
        number=number,
        cells=tuple(replace(_planned(step), files=tuple(files[step.key])) for step in plan.cells),
        sets=plan.sets,
        asked=datetime.now(UTC).isoformat(),
        command=command_of(plan.suite),
        environment={
            **environment(),
            **made_by(),
            "threads": str(asdict(compute)["threads"]),
        },
    )


def _planned(step: MatchCellStep) -> PlannedMatch:
    return PlannedMatch(
        cell=step.cell,
        threat=step.threat,
        bits=step.of.hasher.bits,
        threshold=step.of.hasher.threshold,
        scores=step.address,
        steps=tuple(one.address for one in ancestors(step)),
        black_box=step.black_box,
        queries=step.queries,
    )


def missing_match_steps(plan: MatchRun, store: Store) -> list[Step]:
    """The steps that have to be made, in order: those that a missing result still needs."""
    needed: dict[str, Step] = {}
    for step in plan.cells:
        add_unmade(step, needed, lambda one: is_made(one, store))
    own = {step.key: step for step in plan.steps}
    needed = {key: own.get(key, step) for key, step in needed.items()}
    for files in plan.images:
        # An attack that has to be made keeps its files itself.
        if files.attacked.key not in needed and not is_made(files, store):
            add_unmade(files, needed, lambda one: is_made(one, store))
    return list(needed.values())


def is_made(step: Step, store: Store) -> bool:
    """Whether a step need not be made again: what reads its artifact would take it."""
    if not store.has(step.address):
        return False
    if not isinstance(step, MatchCellStep):
        return True
    try:
        return measured_match(store, _planned(step)) is not None
    except (FileError, StoreError):
        return False


def files_not_kept(plan: MatchRun, store: Store) -> list[tuple[AllFiles, str]]:
    """After a run, the files that were asked for and are not there, each with the reason."""
    found = []
    for files in plan.images:
        if is_made(files.attacked, store) and not is_made(files, store):
            failure = store.noted_failure(files.address)
            found.append((files, "they were not made" if failure is None else failure.reason))
    return found


def failures_of(steps: Iterable[Step], store: Store) -> list[tuple[Step, str]]:
    """The steps that failed, each with the traceback of it."""
    found = ((step, store.failure(step.address)) for step in steps)
    return [(step, failure.traceback) for step, failure in found if failure is not None]
