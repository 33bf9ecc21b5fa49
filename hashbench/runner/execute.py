"""Makes the artifact of one step from the artifacts before it, under the step's own conditions."""

from __future__ import annotations

import time

from hashbench.errors import TrainingError
from hashbench.progress import Progress
from hashbench.results.store import Store
from hashbench.results.unfinished import UnfinishedTraining
from hashbench.runner.determinism import environment, exact, fixed_randomness, torch_threads
from hashbench.runner.step_kinds import kind_of
from hashbench.runner.steps import Step


def execute(step: Step, store: Store, progress: Progress) -> None:
    """Make one step's artifact and write it into the store.

    Args:
        step: its upstream artifacts are in the store.
        store: read and written.
        progress: told of what is done, often.

    Raises:
        HashbenchError: the step failed for a reason that a person can read.
    """
    began = time.monotonic()
    kind, compute = kind_of(step), step.setting.compute
    unfinished = UnfinishedTraining(store.folder, step.key)
    conditions = exact(compute.device, compute.precision)
    with torch_threads(compute.threads), fixed_randomness(step), conditions:
        try:
            files = kind.make(step, store, progress)
        except TrainingError:
            unfinished.clear()  # a training that fails by itself would only fail again from there
            raise
    about = {
        "label": step.label,
        "made": step.described(),
        "from": [before.key for before in step.upstream],
        "seconds": round(time.monotonic() - began, 3),
        "environment": environment(),
    }
    store.write(step.address, files, about)
    unfinished.clear()
