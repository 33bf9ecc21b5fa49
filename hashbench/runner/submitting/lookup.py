"""Schedulers by name, as `hashbench submit --to` is given one."""

from __future__ import annotations

from typing import Final

from hashbench.characters import shortened
from hashbench.errors import UsageError
from hashbench.runner.submitting.contract import Scheduler
from hashbench.runner.submitting.ray_jobs import RayJobs
from hashbench.runner.submitting.slurm import Slurm
from hashbench.suggestions import did_you_mean

_SCHEDULERS: Final[dict[str, type[Scheduler]]] = {"slurm": Slurm, "ray": RayJobs}


def find_scheduler(name: str) -> Scheduler:
    """The scheduler of this name.

    Raises:
        UsageError: there is none, or none is named; says which there are.
    """
    if not name:
        raise UsageError(f"name the scheduler: --to {' or --to '.join(_SCHEDULERS)}")
    if name not in _SCHEDULERS:
        raise UsageError(
            f"--to {shortened(name)}: there is no such scheduler{did_you_mean(name, _SCHEDULERS)}"
        )
    return _SCHEDULERS[name]()
