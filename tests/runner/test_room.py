"""What a worker takes of a cluster, and how many of them it has room for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest

from hashbench.errors import UsageError
from hashbench.runner.engines.room import COPIES, IMPORTS, Need, memory_of, need_of
from hashbench.runner.plan import Plan, make_plan
from hashbench.runner.suite import Suite, quick

TinySuite = Callable[..., Suite]


def plan_of(threads: int = 1, device: str = "cpu") -> Plan:
    suite = quick()
    compute = replace(suite.compute, threads=threads, device=device)
    return Plan(replace(suite, compute=compute), (), (), {}, {})


@pytest.mark.parametrize(
    ("need", "machine", "workers"),
    [
        (Need(1), {"CPU": 4.0}, 4),
        (Need(3), {"CPU": 8.0}, 2),
        (Need(3), {"CPU": 2.0}, 0),
        (Need(1), {"GPU": 4.0}, 0),
        (Need(1, 1.0), {"CPU": 8.0}, 0),
        (Need(1, 1.0), {"CPU": 8.0, "GPU": 2.0}, 2),
        (Need(1, 0.3333), {"CPU": 8.0, "GPU": 2.0}, 6),
        (Need(4, 0.3333), {"CPU": 8.0, "GPU": 2.0}, 2),
        (Need(1, 0.0, 10), {"CPU": 8.0, "memory": 35.0}, 3),
        (Need(1, 0.0, 10), {"CPU": 8.0}, 0),
    ],
)
def test_a_machine_holds_what_its_scarcest_part_allows(
    need: Need, machine: dict[str, float], workers: int
) -> None:
    assert need.fits(machine) == workers


def test_gpus_are_shared_by_as_few_workers_as_can_be() -> None:
    for workers, cards in product(range(1, 14), range(1, 6)):
        machine = {"CPU": 64.0, "GPU": float(cards)}
        need = need_of(plan_of(device="cuda"), workers, [machine])
        on_each = round(1 / need.gpus)
        assert on_each * need.gpus <= 1
        assert need.fits(machine) == on_each * cards >= workers
        assert on_each == 1 or (on_each - 1) * cards < workers


def test_threads_are_processors() -> None:
    assert need_of(plan_of(threads=3), 2, [{"CPU": 2.0}, {"CPU": 4.0}]).cpus == 3


@pytest.mark.parametrize(
    ("plan", "machines", "message"),
    [
        (
            plan_of(threads=8),
            [{"CPU": 2.0}, {"CPU": 4.0}],
            (
                "compute.threads is 8, so a worker takes 8 CPUs, but no machine of the cluster "
                "has more than 4"
            ),
        ),
        (
            plan_of(device="cuda"),
            [{"CPU": 2.0}],
            "compute.device is cuda, but no machine of the cluster has a GPU",
        ),
        (
            plan_of(threads=4, device="cuda"),
            [{"CPU": 8.0}, {"CPU": 2.0, "GPU": 4.0}],
            "no machine of the cluster has 4 CPUs and a GPU together, which a worker takes",
        ),
    ],
)
def test_what_no_machine_has_is_refused(
    plan: Plan, machines: list[dict[str, float]], message: str
) -> None:
    with pytest.raises(UsageError) as raised:
        need_of(plan, 2, machines)
    assert str(raised.value) == message


def test_memory_is_guessed_from_the_batch_and_never_more_than_half_a_machine(
    tiny_suite: TinySuite,
) -> None:
    plan = make_plan(tiny_suite())  # 8 queries of 64 pixels, fewer than an attack batch
    guess = IMPORTS + 4 * 64 * (COPIES * 8 + 8)
    assert memory_of(plan.steps) == guess
    assert need_of(plan, 1, [{"CPU": 1.0, "memory": 1e12}]).memory == guess
    small = need_of(plan, 1, [{"CPU": 1.0, "memory": 1000.0}, {"CPU": 1.0, "memory": 800.0}])
    assert small.memory == 500
    assert need_of(plan, 1, [{"CPU": 1.0}]).memory == 0
