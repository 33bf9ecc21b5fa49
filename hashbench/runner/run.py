"""One run: plan, what is stored already, engine, results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import Unpack

from hashbench.errors import FileError, StoreError, UsageError, WriteError
from hashbench.plugins.paths import at_home
from hashbench.results.artifacts import ArtifactKind
from hashbench.results.asked import Asked, CellsOfRun
from hashbench.results.load import load_plan, read_plan
from hashbench.results.matches.plans import holds_matches
from hashbench.results.results import Results
from hashbench.results.scored import Measured
from hashbench.results.store import Store
from hashbench.runner.alone import READ_ONLY, ReadOnlyError
from hashbench.runner.engines.contract import Resources
from hashbench.runner.engines.lookup import LOCAL, find_engine
from hashbench.runner.engines.shared import SharedSchedule
from hashbench.runner.evaluation_steps import MoreImages
from hashbench.runner.galleries import keep_missing_galleries
from hashbench.runner.images import has_images
from hashbench.runner.outside import with_installed
from hashbench.runner.plan import Plan, make_plan
from hashbench.runner.plan_record import plan_record
from hashbench.runner.reporter import Reporter
from hashbench.runner.shared_folder import SharedFolder, shared_folder
from hashbench.runner.steps import Step
from hashbench.runner.stored import add_unmade, is_usable
from hashbench.runner.suite import KEYS, Source, load
from hashbench.runner.suite_keys import SuiteKeys
from hashbench.runner.train import refuse_untrained
from hashbench.runner.watching import reporter_for, tried
from hashbench.suggestions import did_you_mean

if TYPE_CHECKING:
    from hashbench.runner.engines.contract import Engine

_GALLERIES: Final = "galleries"
"""What one run at a time does in a folder, besides the steps and what is in `shared_folder`."""

_OWN: Final = ("suite", "out", "workers", "engine", "devices", "address", "reporter", "progress")


def run(
    suite: Source | None = None,
    *,
    out: Path | str = "results",
    workers: int = 1,
    engine: str = LOCAL,
    devices: Sequence[int] = (),
    address: str | None = None,
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
        workers: steps that are made at the same time, each in a process of its own; with 1 the
            engine `local` makes them in this process.
        engine: who makes the steps: `local`, this process and others of this machine; or `ray`, a
            Ray cluster (`docs/engines.md`).
        devices: numbers of the GPUs that workers are spread over; by default torch chooses.
        address: of the cluster, for an engine that has one; by default `ray` starts one here.
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
    maker = find_engine(engine)  # a wrong name is told before data is read
    resources = Resources(workers, tuple(devices), address)
    chosen = load(suite, **asked)
    maker.check(chosen, resources)
    folder = Path(at_home(str(out), "out"))
    told = reporter_for(progress) if reporter is None else reporter
    known: dict[str, Measured] = {}
    try:
        plan = make_plan(chosen, told.reading)
        for words in plan.left_out:
            told.note(words)
        tried(missing_steps(plan, Store(folder), known), told, workers)
    except BaseException:
        told.end()
        raise
    return run_plan(
        plan, out=folder, resources=resources, engine=engine, reporter=told, known=known
    )


def run_plan(
    plan: Plan,
    *,
    out: Path,
    reporter: Reporter,
    resources: Resources | None = None,
    engine: str = LOCAL,
    known: dict[str, Measured] | None = None,
) -> Results:
    """Run a plan; see `run`, and `missing_steps` for what is known.

    Raises:
        UsageError: the folder holds results of `hashbench match`.
    """
    known = {} if known is None else known
    if holds_matches(out):
        raise UsageError(
            f"folder {out}: it holds results of 'hashbench match'; name another one with --out"
        )
    maker = find_engine(engine)
    resources = resources or Resources()
    maker.check(plan.suite, resources)
    store = Store(out)
    reporter = with_installed(reporter, plan, store, known)
    try:
        return _written(plan, store, resources, maker, reporter, known)
    except (ReadOnlyError, WriteError) as error:
        if isinstance(error, WriteError) and error.errno not in READ_ONLY:
            raise
        if missing_steps(plan, store, known):
            raise
    reporter.note(
        f"folder {out}: it is read-only, and nothing is to do; this run is not noted there, so "
        "'hashbench report' shows the one before"
    )
    record = plan_record(plan, datetime.now(UTC).isoformat(), 0)
    try:
        results = read_plan(store, record, known)
        reporter.planned(asked_by(plan, record, out))
        reporter.begin(0, len({step.key for step in plan.steps}))
        reporter.results(results)
    finally:
        reporter.end()
    return results


def _written(
    plan: Plan,
    store: Store,
    resources: Resources,
    maker: Engine,
    reporter: Reporter,
    known: dict[str, Measured],
) -> Results:
    """Run a plan in a folder that can be written.

    Raises:
        ReadOnlyError, WriteError: it cannot.
    """
    with shared_folder(store, reporter) as place:
        try:
            return _made(plan, place, resources, maker, reporter, known)
        finally:
            reporter.end()


def _made(
    plan: Plan,
    place: SharedFolder,
    resources: Resources,
    maker: Engine,
    reporter: Reporter,
    known: dict[str, Measured],
) -> Results:
    """Make what a plan still needs, and read its results."""
    store = place.store
    out = store.folder
    record = place.note(plan)
    reporter.planned(asked_by(plan, record, out))
    del record  # of a large plan it is some 100 MB
    todo = missing_steps(plan, store, known)
    refuse_untrained(todo, plan.suite.name, out)
    keys = {step.key for step in plan.steps}
    place.begin(todo, planned=keys, wanted={step.key for step in todo})
    stored = keys - {step.key for step in todo}
    schedule = SharedSchedule(
        todo,
        stored,
        claims=place.claims,
        is_there=lambda step: _is_there(step, store, known),
        reporter=reporter,
    )
    reporter.begin(len(todo), len(stored))
    maker.make(plan, schedule, store, reporter, resources)
    with place.claims.waiting(_GALLERIES, "pictures for reports"):
        keep_missing_galleries(plan, store, reporter)
    results = load_plan(out, plan.name, known)
    reporter.results(results)
    return results


def asked_by(plan: Plan, record: Mapping[str, Any], out: Path) -> Asked:
    """What a run is asked for, as its reporters are told before it is done.

    Args:
        plan: of the run.
        record: the plan as it is stored.
        out: the folder of the store.
    """
    return Asked(
        folder=str(out),
        suite=str(record["suite"].get("name", "")),
        cells=CellsOfRun(lambda: (planned.cell for planned in plan.cells)),
        date=record["asked"],
        command=record["command"],
        asked=record["suite"],
        made_with=record["environment"],
    )


def _is_there(step: Step, store: Store, known: dict[str, Measured]) -> bool:
    """Whether a step that was to be made is done by now.

    So is a part of what another run has made since, however that divides it.
    """
    if isinstance(step, MoreImages):
        return _has_images(step, store)
    if step.whole is not None and is_usable(step.whole, store, known):
        return True
    return is_usable(step, store, known)


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
    listed = {str(kind): store.folder_names(kind) for kind in ArtifactKind}

    def is_there(step: Step) -> bool:
        if step.key in usable:
            return True
        names = listed.get(step.kind)
        if names is not None and step.address.folder_name not in names:
            return False
        if is_usable(step, store, known):
            usable.add(step.key)
        return step.key in usable

    for planned in plan.cells:
        add_unmade(planned.scores, needed, is_there)
    for images in plan.images:
        # An attack that has to be made keeps its images itself.
        if images.adversarial.key not in needed and not _has_images(images, store):
            for before in images.reads:
                add_unmade(before, needed, is_there)
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
