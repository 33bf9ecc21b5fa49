"""At work in a folder of results, beside whoever else is: joined first, tidied by the last."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hashbench.characters import shown
from hashbench.results.artifacts import PLANS
from hashbench.results.claims import Claims
from hashbench.results.store import Store
from hashbench.results.unfinished import sweep_unfinished, tidy_unfinished
from hashbench.runner.alone import FolderLock, folder_lock
from hashbench.runner.plan import Plan
from hashbench.runner.plan_record import plan_record
from hashbench.runner.reporter import Reporter
from hashbench.runner.steps import Step


@dataclass(frozen=True)
class SharedFolder:
    """A folder that this run has joined.

    Attributes:
        store: of the folder.
        claims: of this run.
        failed: the first digits of the keys of steps that failed in runs of before; `None` beside a
            run that may have noted them just now.
    """

    store: Store
    claims: Claims
    failed: frozenset[str] | None

    def note(self, plan: Plan) -> dict[str, Any]:
        """Write down what is asked for, as the folder's latest plan; gives what was written."""
        with self.claims.waiting(PLANS, "the number of a plan"):
            record = plan_record(plan, datetime.now(UTC).isoformat(), self.store.next_number())
            self.store.write_plan(plan.name, record)
        return record

    def begin(
        self, todo: Sequence[Step], *, planned: Collection[str], wanted: Collection[str]
    ) -> None:
        """Forget failures of steps that are tried again, and trainings that nobody goes on with.

        Beside another run both stay: it may have noted them just now, and its own results say so.

        Args:
            todo: the steps that will be made.
            planned: keys of all steps of the plan.
            wanted: keys of those whose unfinished training is kept.
        """
        if self.failed is None:
            return
        for step in todo:
            if self.store.failure_path(step.address).stem in self.failed:
                self.store.clear_failure(step.address)
        sweep_unfinished(self.store.folder, planned, wanted)


@contextmanager
def shared_folder(store: Store, reporter: Reporter) -> Iterator[SharedFolder]:
    """Join whoever is at work in a folder; who is alone there tidies it, first and last.

    Raises:
        ReadOnlyError: it cannot be written to.
        UsageError: there can be no such folder, or another run keeps it for itself.
        StoreError: one of its folders is a link or a file.
    """
    claims = Claims(store.folder)
    with folder_lock(store.folder) as lock:
        store.refuse_links()
        failed = _joined(store, claims, lock, reporter)
        try:
            yield SharedFolder(store, claims, failed)
        finally:
            claims.close()
            tidy_unfinished(store.folder)
            if lock.last() and not claims.others():
                _sweep(store, claims)


def _joined(
    store: Store, claims: Claims, lock: FolderLock, reporter: Reporter
) -> frozenset[str] | None:
    """Join the others, or tidy the folder where there are none; see `SharedFolder.failed`."""
    failed = None
    if lock.alone() and not claims.others():
        _sweep(store, claims)
        failed = store.failed_keys()
    lock.join()
    if failed is not None:
        return failed
    if not lock.works:
        # Nothing is swept: it might be what another run is writing just now.
        reporter.note(
            f"folder {store.folder}: its file system has no locks, so what a killed run left "
            "half-written stays there"
        )
    hosts = sorted({claim.holder.host for claim in claims.others() if claim.holder.host})
    if hosts or lock.works:
        where = f" (on {shown(', '.join(hosts))})" if hosts else ""
        reporter.note(
            f"folder {store.folder}: another run is at work there{where}; the steps are shared"
        )
    return None


def _sweep(store: Store, claims: Claims) -> None:
    """Delete what killed runs left; nobody else is at work there."""
    store.sweep()
    claims.sweep()
