"""One run: plan, what is stored already, engine, results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from hashbench.errors import UsageError
from hashbench.results.load import load_results
from hashbench.results.results import Results, only
from hashbench.results.store import Store
from hashbench.results.unfinished import sweep_unfinished
from hashbench.runner.engines.lookup import LOCAL, find_engine
from hashbench.runner.engines.schedule import Schedule
from hashbench.runner.plan import Plan, make_plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.steps import Step
from hashbench.runner.suite import Suite, load


def run(
    suite: Suite | Path | str | None = None,
    *,
    out: Path | str = "results",
    workers: int = 1,
    engine: str = LOCAL,
    reporter: Reporter | None = None,
) -> Results:
    """Run a suite; what the folder already holds is not made again.

    Args:
        suite: a suite, the path of its file, or the name of one that ships with hashbench; the
            quick suite by default.
        out: the folder of the store.
        workers: steps that are made at the same time, each in a process of its own; with 1 they are
            made in this process.
        engine: who makes the steps: `local`, this process and others of this machine.
        reporter: told how it goes; by default nobody.

    Returns:
        The results of this suite's cells, failed ones included.

    Raises:
        UsageError: the suite, a plugin, the engine's name or a folder is wrong; nothing was run.
    """
    find_engine(engine)  # a wrong name is told before data is read
    plan = make_plan(suite if isinstance(suite, Suite) else load(suite))
    return run_plan(
        plan, out=Path(out), workers=workers, engine=engine, reporter=reporter or Reporter()
    )


def run_plan(
    plan: Plan, *, out: Path, workers: int, reporter: Reporter, engine: str = LOCAL
) -> Results:
    """Run a plan; see `run`."""
    maker = find_engine(engine)
    if workers < 1:
        raise UsageError(f"workers is {workers}, but must be 1 or more")
    store = Store(out)
    with _only_writer(out):
        store.sweep()
        store.write_plan(plan.name, plan.record(datetime.now(UTC).isoformat()))
        todo = missing_steps(plan, store)
        for step in todo:
            store.clear_failure(step.address)
        sweep_unfinished(out, {step.key for step in plan.steps}, {step.key for step in todo})
        stored = {step.key for step in plan.steps} - {step.key for step in todo}
        schedule = Schedule(todo, stored)
        reporter.begin(len(todo), len(stored))
        try:
            maker.make(plan, schedule, store, reporter, workers)
        finally:
            reporter.end()
    return only(load_results(out), (planned.cell for planned in plan.cells))


def missing_steps(plan: Plan, store: Store) -> list[Step]:
    """The steps that have to be made, in order: those that a missing result still needs."""
    needed: dict[str, Step] = {}

    def visit(step: Step) -> None:
        if step.key not in needed and not store.has(step.address):
            for before in step.upstream:
                visit(before)
            needed[step.key] = step

    for planned in plan.cells:
        visit(planned.scores)
    return list(needed.values())


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system takes back when a process is killed.

    Raises:
        UsageError: another run is at work there, or it cannot be written to.
    """
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(
            f"folder {folder}: another run is writing there; wait for it, or name another "
            "folder with --out"
        ) from None
    except OSError as error:
        raise UsageError(f"folder {folder}: cannot be written to ({error.strerror})") from None
    try:
        yield
    finally:
        lock.release()
