"""The engine `ray`: makes the steps on a Ray cluster, of this machine or of many."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from hashbench.characters import counted
from hashbench.errors import UsageError
from hashbench.results.artifacts import PLANS
from hashbench.results.store import Store
from hashbench.runner.engines.actor import Bench
from hashbench.runner.engines.cluster import (
    address_of,
    check_address,
    find_ray,
    joined,
    own_cluster,
)
from hashbench.runner.engines.contract import Engine, Hand, Resources, Seat, Tell
from hashbench.runner.engines.ray_hand import RayHand, last_line
from hashbench.runner.engines.room import Need, need_of
from hashbench.runner.engines.schedule import Schedule
from hashbench.runner.engines.surroundings import (
    answer_to,
    differences,
    kinds_of_processors,
    look_around,
    surroundings,
)
from hashbench.runner.engines.team import run_by_hands
from hashbench.runner.plan import Plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.suite import Suite

_SECONDS_TO_LOOK: Final = 120.0
"""In which a machine has to say what it is: torch is imported there, over a network perhaps."""

_SECONDS_TO_SEE: Final = 10.0
"""In which a file that one machine has written shows on another: shared folders may be late."""

_SECONDS_TO_END: Final = 5.0

_MUTE: Final = "it could not say what it is"


class RayEngine(Engine):
    """A Ray cluster: the one at an address, or one that is started here and ends with the run.

    Each worker is an actor with a worker process, as the engine `local` has them. Ray is asked for
    no second tries: that is the team's, by one rule for all engines.
    """

    @override
    def check(self, suite: Suite, resources: Resources) -> None:
        address = address_of(resources.address)
        ray = find_ray(own=address is None)
        if ray.is_initialized():
            return
        if address is None:
            super().check(suite, resources)
            return
        if resources.devices:
            raise UsageError(
                "devices: on a cluster Ray chooses each worker's GPU; leave devices out, or start "
                "the cluster with CUDA_VISIBLE_DEVICES"
            )
        check_address(address)
        _check_machines(address, _plugin_files(suite))

    @override
    def make(
        self,
        plan: Plan,
        schedule: Schedule,
        store: Store,
        reporter: Reporter,
        resources: Resources,
    ) -> None:
        if not schedule.waiting:
            return
        suite = plan.suite
        workers = min(resources.workers, schedule.waiting)
        address = address_of(resources.address)
        if address is None:
            cpus = max(os.cpu_count() or 1, workers * suite.compute.threads)
            devices = (resources.devices or None) if suite.compute.device == "cuda" else ()
            cluster = own_cluster(cpus, devices)
        else:
            cluster = joined(address)
        with cluster as ray:
            machines = _machines(ray)
            if address is not None:
                _check_folder(ray, machines, store.folder, _plugin_files(suite), reporter)
            room = [machine["Resources"] for machine in machines]
            if address is None:  # who names so many workers of this machine means it
                room = [
                    {name: has for name, has in one.items() if name != "memory"} for one in room
                ]
            need = need_of(plan, workers, room)
            places = sum(need.fits(machine) for machine in room)
            if places < workers:
                reporter.note(
                    f"the cluster has room for {counted(places, 'worker')}, of {workers:,} that "
                    "were asked for"
                )
            _run(ray, need, min(places, workers), (plan, schedule, store, reporter))


def _run(
    ray: Any,
    need: Need,
    workers: int,
    work: tuple[Plan, Schedule, Store, Reporter],
) -> None:
    plan, schedule, store, reporter = work
    given = (
        json.dumps(plan.suite.to_plain()),
        str(store.folder.resolve()),
        plan.suite.compute.threads,
        str(Path.cwd()),
    )
    bench = ray.remote(Bench).options(
        num_cpus=need.cpus,
        num_gpus=need.gpus,
        **({"memory": need.memory} if need.memory else {}),
        max_restarts=0,
        max_task_retries=0,
        max_concurrency=2,
    )
    hands: list[RayHand] = []

    def hire(tell: Tell) -> Hand:
        hand = RayHand(ray, lambda: bench.remote(*given), tell, clock=time.monotonic)
        hands.append(hand)
        return hand

    try:
        run_by_hands(schedule, store, reporter, [Seat(hire)] * workers)
    finally:
        # All are dismissed, so their threads hear of their ends.
        until = time.monotonic() + _SECONDS_TO_END
        for hand in hands:
            hand.thread.join(max(0.0, until - time.monotonic()))


def _plugin_files(suite: Suite) -> tuple[str, ...]:
    return tuple(str(path.absolute()) for path in suite.plugin)


def _machines(ray: Any) -> list[dict[str, Any]]:
    """Those that may get a worker."""
    found = [one for one in ray.nodes() if one["Alive"] and one["Resources"].get("CPU", 0) >= 1]
    if not found:
        raise UsageError("the cluster has no machine with a CPU to give")
    return found


@cache
def _check_machines(address: str, files: tuple[str, ...]) -> None:
    """Refuse a cluster whose machines would get other keys or floats; asked once in a process.

    Raises:
        UsageError: one would; says in what they differ.
    """
    with joined(address) as ray:
        refuse_differences(surroundings(files), _looks(ray, _machines(ray), "", "", files))


def _check_folder(
    ray: Any,
    machines: Sequence[dict[str, Any]],
    folder: Path,
    files: tuple[str, ...],
    reporter: Reporter,
) -> None:
    """Refuse machines that do not see the folder of the results, which all of them write to.

    Raises:
        UsageError: one does not, or would get other keys.
    """
    probe = f".probe.{secrets.token_hex(4)}.tmp"  # swept by the next run, if this one is killed
    home = folder.resolve() / PLANS
    (home / probe).write_bytes(b"")
    try:
        looks = _looks(ray, machines, str(home), probe, files)
        here = surroundings(files)
        refuse_differences(here, looks)
        for name, look in looks.items():
            trouble = look["folder"]
            if not trouble and not _appears(home / answer_to(probe, look["mark"])):
                trouble = "is another folder there"
            if trouble:
                raise UsageError(
                    f"machine {name}: folder {folder} {trouble}; all machines of a cluster write "
                    "into one folder: name one that they share with --out"
                )
    finally:
        for left in home.glob(f"{probe.removesuffix('.tmp')}*"):
            left.unlink(missing_ok=True)
    kinds = kinds_of_processors([here, *looks.values()])
    if len(kinds) > 1:
        reporter.note(
            f"machines of the cluster compute on {', '.join(kinds)}: the last digits of a number "
            "depend on which of them made it"
        )


def _appears(path: Path) -> bool:
    until = time.monotonic() + _SECONDS_TO_SEE
    while not path.exists():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def refuse_differences(here: dict[str, Any], looks: Mapping[str, dict[str, Any]]) -> None:
    """Refuse machines that results would differ on.

    Args:
        here: the surroundings of the driver.
        looks: those of machines, by their names.

    Raises:
        UsageError: names the first that differs, and in what.
    """
    for name, look in looks.items():
        if found := differences(here, look):
            raise UsageError(
                f"machine {name} has {', '.join(found)}: keys and numbers would differ; install "
                "the same there, or leave it out of the cluster"
            )


def _looks(
    ray: Any,
    machines: Sequence[dict[str, Any]],
    folder: str,
    probe: str,
    files: tuple[str, ...],
) -> dict[str, dict[str, Any]]:
    """What every machine says of itself, by its name.

    Raises:
        UsageError: one says nothing.
    """
    strategies = ray.util.scheduling_strategies
    # Its process, which has imported torch, ends with it.
    look = ray.remote(num_cpus=0, max_calls=1, max_retries=0)(look_around)
    asked = {}
    for machine in machines:
        place = strategies.NodeAffinitySchedulingStrategy(machine["NodeID"], soft=False)
        asked[look.options(scheduling_strategy=place).remote(folder, probe, files)] = _name_of(
            machine
        )
    ray.wait(list(asked), num_returns=len(asked), timeout=_SECONDS_TO_LOOK)
    looks = {}
    for reference, name in asked.items():
        with _told_of(ray, name):
            looks[name] = json.loads(ray.get(reference, timeout=0))
    return looks


def _name_of(machine: Mapping[str, Any]) -> str:
    address, host = str(machine["NodeManagerAddress"]), str(machine["NodeManagerHostname"])
    return f"{host} ({address}, {str(machine['NodeID'])[:8]})"


@contextlib.contextmanager
def _told_of(ray: Any, name: str) -> Iterator[None]:
    try:
        yield
    except ray.exceptions.GetTimeoutError:
        raise UsageError(
            f"machine {name}: {_MUTE} within {_SECONDS_TO_LOOK:.0f} s; see whether it is well"
        ) from None
    except ray.exceptions.RayError as error:
        said, last = str(error), last_line(error)
        if "ModuleNotFoundError" in said or "ImportError" in said or "AttributeError" in said:
            raise UsageError(
                f"machine {name}: hashbench is not installed there, or in another version ({last})"
            ) from None
        raise UsageError(f"machine {name}: {_MUTE} ({last})") from None
