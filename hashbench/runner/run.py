"""One run: plan, what is stored already, engine, results."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from typing_extensions import Unpack

from hashbench.errors import FileError, StoreError, UsageError, WriteError
from hashbench.plugins.paths import at_home
from hashbench.results.load import load_plan, read_plan
from hashbench.results.results import Results
from hashbench.results.scored import Measured
from hashbench.results.store import Store
from hashbench.results.unfinished import sweep_unfinished, tidy_unfinished
from hashbench.runner.alone import READ_ONLY, ReadOnlyError, only_writer
from hashbench.runner.engines.lookup import LOCAL, find_engine
from hashbench.runner.engines.schedule import Schedule
from hashbench.runner.evaluation_steps import MoreImages
from hashbench.runner.images import has_images
from hashbench.runner.plan import Plan, make_plan
from hashbench.runner.plan_record import plan_record
from hashbench.runner.reporter import Reporter
from hashbench.runner.resolve import check_device
from hashbench.runner.steps import Step
from hashbench.runner.stored import is_usable
from hashbench.runner.suite import KEYS, Source, load
from hashbench.runner.suite_keys import SuiteKeys
from hashbench.runner.watching import reporter_for, tried
from hashbench.suggestions import did_you_mean

if TYPE_CHECKING:
    from hashbench.runner.engines.contract import Engine

MOST_WORKERS: Final = 1024


_OWN: Final = ("suite", "out", "workers", "engine", "reporter", "progress")


def run(
    suite: Source | None = None,
    *,
    out: Path | str = "results",
    workers: int = 1,
    engine: str = LOCAL,
    reporter: Reporter | None = None,
    progress: bool | None = None,
    **asked: Unpack[SuiteKeys],
) -> Results:
    """Run a suite; what the folder already holds is not made again.

    For example: `run(defense=["cgat"], attack="hag", out="mine")`, which is the same as
    `run({"defense": ["cgat"], "attack": "hag"}, out="mine")` and as
    `hashbench run --defense cgat --attack hag --out mine`.

    Args:
        suite: a suite, the path of its file, the name of one that ships with hashbench, or a
            mapping with the keys of a suite file; the quick suite by default.
        out: the folder of the store.
        workers: steps that are made at the same time, each in a process of its own; with 1 they are
            made in this process.
        engine: who makes the steps: `local`, this process and others of this machine.
        reporter: told how it goes; by default see `progress`.
        progress: whether a bar shows how it goes. By default it does in a notebook and where
            standard error is a terminal, and nothing is shown elsewhere. `False` shows nothing,
            `True` prints a line a step in a log file too.
        asked: keys of a suite file, laid over the suite: `dataset`, `loss`, `backbone`, `bits`,
            `defense`, `attack`, `eps`, `seed`, `training`, ... A single value stands for a list of
            one, several make a grid; what is not said is taken from the quick suite.

    Returns:
        The results of this suite's cells, failed ones included.

    Raises:
        UsageError: the suite, a keyword, a plugin, the engine's name or a folder is wrong; nothing
            was run. A folder that cannot be written is wrong where something is to do.
        NoRoomError: an artifact cannot be written for lack of space. What is done is kept.
    """
    for name in asked:
        if name not in KEYS:
            raise UsageError(f"run has no parameter '{name}'{did_you_mean(name, (*KEYS, *_OWN))}")
    find_engine(engine)  # a wrong name is told before data is read
    check_workers(workers)
    chosen = load(suite, **asked)
    check_device(chosen.compute.device)
    folder = Path(at_home(str(out), "out"))
    told = reporter_for(progress) if reporter is None else reporter
    known: dict[str, Measured] = {}
    try:
        plan = make_plan(chosen, told.reading)
        tried(missing_steps(plan, Store(folder), known), told, workers)
    except BaseException:
        told.end()
        raise
    return run_plan(plan, out=folder, workers=workers, engine=engine, reporter=told, known=known)


def run_plan(
    plan: Plan,
    *,
    out: Path,
    workers: int,
    reporter: Reporter,
    engine: str = LOCAL,
    known: dict[str, Measured] | None = None,
) -> Results:
    """Run a plan; see `run`, and `missing_steps` for what is known."""
    known = {} if known is None else known
    maker = find_engine(engine)
    check_device(plan.suite.compute.device)
    check_workers(workers)
    store = Store(out)
    try:
        return _written(plan, store, workers, maker, reporter, known)
    except (ReadOnlyError, WriteError) as error:
        if isinstance(error, WriteError) and error.errno not in READ_ONLY:
            raise
        if missing_steps(plan, store, known):
            raise
    reporter.note(
        f"folder {out}: it is read-only, and nothing is to do; this run is not noted there, so "
        "'hashbench report' shows the one before"
    )
    reporter.begin(0, len({step.key for step in plan.steps}))
    reporter.end()
    return read_plan(store, plan_record(plan, datetime.now(UTC).isoformat(), 0), known)


def _written(
    plan: Plan,
    store: Store,
    workers: int,
    maker: Engine,
    reporter: Reporter,
    known: dict[str, Measured],
) -> Results:
    """Run a plan in a folder that can be written.

    Raises:
        ReadOnlyError, WriteError: it cannot.
    """
    out = store.folder
    with only_writer(out) as alone:
        store.refuse_links()
        if alone:
            store.sweep()
        else:
            # Nor is anything swept: it might be what another run is writing just now.
            reporter.note(
                f"folder {out}: its file system has no locks, so this run works without one; "
                "see to it that no other run writes there"
            )
        record = plan_record(plan, datetime.now(UTC).isoformat(), store.next_number())
        store.write_plan(plan.name, record)
        todo = missing_steps(plan, store, known)
        for step in todo:
            store.clear_failure(step.address)
        if alone:
            sweep_unfinished(out, {step.key for step in plan.steps}, {step.key for step in todo})
        stored = {step.key for step in plan.steps} - {step.key for step in todo}
        schedule = Schedule(todo, stored)
        reporter.begin(len(todo), len(stored))
        try:
            maker.make(plan, schedule, store, reporter, workers)
        finally:
            reporter.end()
            tidy_unfinished(out)
    return load_plan(out, plan.name, known)


def check_workers(workers: int) -> None:
    """Refuse a number of processes that no machine starts.

    Raises:
        UsageError: naming it.
    """
    if not 1 <= workers <= MOST_WORKERS:
        raise UsageError(f"workers is {workers:,}, but must be from 1 to {MOST_WORKERS:,}")


def missing_steps(plan: Plan, store: Store, known: dict[str, Measured] | None = None) -> list[Step]:
    """The steps that have to be made, in order: those that a missing result still needs.

    What is damaged, or nothing that a step can have written, is missing.

    Args:
        plan: what is asked for.
        store: what is there.
        known: gets what is read of finished scores, by their keys: each is read once in a run.
    """
    known = {} if known is None else known
    needed: dict[str, Step] = {}
    usable: set[str] = set()

    def visit(step: Step) -> None:
        if step.key in needed or step.key in usable:
            return
        if is_usable(step, store, known):
            usable.add(step.key)
            return
        for before in step.reads:
            visit(before)
        needed[step.key] = step

    for planned in plan.cells:
        visit(planned.scores)
    for images in plan.images:
        # An attack that has to be made keeps its images itself.
        if images.adversarial.key not in needed and not _has_images(images, store):
            for before in images.reads:
                visit(before)
            if images.adversarial.key not in needed:
                needed[images.key] = images
    return list(needed.values())


def images_not_kept(plan: Plan, store: Store) -> list[tuple[MoreImages, str]]:
    """After a run, the images that were asked for and are not there, each with the reason.

    Those of attacks that failed themselves are not among them.
    """
    found = []
    for images in plan.images:
        if is_usable(images.adversarial, store, {}) and not _has_images(images, store):
            failure = store.noted_failure(images.address)  # fewer of them may be there
            reason = "they were not made" if failure is None else failure.reason
            found.append((images, reason))
    return found


def _has_images(images: MoreImages, store: Store) -> bool:
    try:
        return has_images(images, store)
    except (FileError, StoreError):
        return False
