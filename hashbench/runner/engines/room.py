"""How many workers a cluster has room for, and what one of them takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from hashbench.characters import counted
from hashbench.errors import UsageError
from hashbench.runner.plan import Plan
from hashbench.runner.steps import Step

Machine: TypeAlias = Mapping[str, float]
"""What a machine of a cluster has in all, by Ray's names: CPU, GPU, memory (bytes)."""

IMPORTS: Final = 700 * 2**20
"""Bytes of a worker that has imported torch and read a small data set."""

COPIES: Final = 16
"""How many float32 copies of a batch are held at once, in the attack and in the network: a guess,
between what was measured of small networks and of deep ones."""


@dataclass(frozen=True)
class Need:
    """What one worker takes, as Ray counts it.

    Attributes:
        cpus: the threads of torch.
        gpus: the share of one GPU; 0 where the device is the processor.
        memory: bytes; 0 reserves none.
    """

    cpus: int
    gpus: float = 0.0
    memory: int = 0

    def fits(self, machine: Machine) -> int:
        """How many such workers a machine has room for."""
        counts = [math.floor(machine.get("CPU", 0.0) / self.cpus)]
        if self.gpus:
            # A share is of one card: what is left of two is not one.
            counts.append(math.floor(machine.get("GPU", 0.0)) * math.floor(1 / self.gpus + 1e-9))
        if self.memory:
            counts.append(math.floor(machine.get("memory", 0.0) / self.memory))
        return min(counts)


def need_of(plan: Plan, workers: int, machines: Sequence[Machine]) -> Need:
    """What one worker of a run takes.

    A GPU is one worker's own where there are as many GPUs as workers; else all GPUs are shared by
    as few workers each as can be. Memory is guessed from the batches and pixels of the plan, and
    never more than half of what the largest machine has: a guess must keep no run from starting.

    Args:
        plan: what will be made.
        workers: how many steps are made at the same time.
        machines: of the cluster.

    Raises:
        UsageError: no machine can hold one worker; says what it lacks.
    """
    compute = plan.suite.compute
    cpus = compute.threads
    most = max((int(machine.get("CPU", 0.0)) for machine in machines), default=0)
    if cpus > most:
        raise UsageError(
            f"compute.threads is {cpus}, so a worker takes {counted(cpus, 'CPU')}, but no machine "
            f"of the cluster has more than {most}"
        )
    gpus = 0.0
    if compute.device == "cuda":
        cards = sum(math.floor(machine.get("GPU", 0.0)) for machine in machines)
        if not cards:
            raise UsageError("compute.device is cuda, but no machine of the cluster has a GPU")
        # Ray counts ten-thousandths.
        gpus = math.floor(10_000 / math.ceil(workers / cards)) / 10_000
    largest = max((machine.get("memory", 0.0) for machine in machines), default=0.0)
    need = Need(cpus, gpus, min(memory_of(plan.steps), int(largest / 2)))
    if not any(need.fits(machine) for machine in machines):
        raise UsageError(
            f"no machine of the cluster has {counted(cpus, 'CPU')} and a GPU together, "
            "which a worker takes"
        )
    return need


def memory_of(steps: Sequence[Step]) -> int:
    """Bytes that the largest of these steps may take: a guess.

    What is imported, copies of the batch in the network, and each attacked query once as float32.
    """
    most = 0
    for setting in {id(step.setting): step.setting for step in steps}.values():
        size, queries = setting.source.images, setting.source.protocol.query
        pixels = size.channels * size.height * size.width
        batch = min(setting.compute.attack_batch, queries)
        most = max(most, 4 * pixels * (COPIES * batch + queries))
    return IMPORTS + most
