"""Kills runs at seeded random moments, and checks that nothing is lost, wrong, or made twice.

    python benchmarks/strength/kills.py [--kills 198] [--seed 0] [--folder FOLDER] [--engine local]
    python benchmarks/strength/kills.py --series group --count 20

Seven series, each into stores that are run to their end again and again. `group`: SIGKILL to the
whole process group of `--workers 2`, over a grid of 24 cells. `second`: the same over a suite with
a trained defense.
`calls`: SIGKILL inside one system call of a process that writes to the store (open, write, fsync,
rename, mkdir, unlink; before it, after it, or in the middle of a write), some beside an artifact
that was damaged first; needs a C compiler. `workers`: a single worker process is killed or stopped,
and the run has to end well by itself. `trainings`: killed after a random epoch, and the weights of
the next run compared with those of a training that was never touched. `joint`: 8 runs at work in
one store of 300 cells at the same time, of which one after the other is killed and another one
started; every step that ends is told once, by one run. `ray`: a grid of 24 cells by the engine
`ray`; the driver is killed, alone or with its group, or a worker, or the actor of one. All but
`ray` go by the engine that is named.

What has to hold: the CSV is the same to the byte; no finished artifact is made again; when a store
is finished, nothing is left in it but artifacts, plans and the lock. Exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from hashbench.benchmarks.strength.crowd import Crowd
from hashbench.benchmarks.strength.shooting_range import (
    Range,
    Store,
    Tally,
    finished,
    wait_for_begin,
    workers_of,
)

SHARES: Final = {
    "group": 130,
    "calls": 53,
    "second": 15,
    "workers": 20,
    "trainings": 5,
    "joint": 5,
    "ray": 20,
}
"""Kills of each series."""

WHOLE: Final = sum(SHARES[name] for name in ("group", "calls", "second"))
"""Kills of the first three: what `--kills` counts, 198."""

CALLS: Final = ("open", "write", "fsync", "rename", "mkdir", "unlink")
MOMENTS: Final = ("before", "after", "half")

DRIVERS: Final = 8
"""Runs of `joint` that are at work at the same time."""

SOURCE: Final = Path(__file__).with_name("inside_call.c")

_Fire: TypeAlias = Callable[[Range, Path, int, Tally], None]
"""A series: so many kills of runs of a suite, told to a tally."""


def kill_groups(place: Range, suite: Path, count: int, tally: Tally) -> None:
    """SIGKILL to the whole group, from before the first step to after the last."""
    store = Store(place, suite, tally)
    while tally.kills < count:
        run = place.start(suite, store.out)
        if place.rng.random() < 0.1:
            time.sleep(place.rng.uniform(0, 3))  # while it starts
        elif wait_for_begin(run):
            time.sleep(place.rng.uniform(0, 3))
        if run.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
                tally.kills += 1
        if store.check(run):
            store = Store(place, suite, tally)
    store.finish()


def kill_in_calls(place: Range, suite: Path, count: int, tally: Tally) -> None:
    """SIGKILL inside one system call on the store."""
    compiler = shutil.which("cc")
    if compiler is None:
        sys.stderr.write("no C compiler: no kills inside system calls\n")
        return
    library = place.folder / "inside.so"
    words = [compiler, "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(words, check=True)  # noqa: S603 - our own source
    store = Store(place, suite, tally)
    while tally.kills < count:
        call = CALLS[tally.kills % len(CALLS)]
        if place.rng.random() < 0.3 or call == "unlink":
            store.damage()
        most = {"write": 60, "fsync": 60, "open": 40, "unlink": 3}.get(call, 12)
        aim = {
            "LD_PRELOAD": str(library),
            "KILL_UNDER": str(store.out),
            "KILL_CALL": call,
            "KILL_AT": str(place.rng.randrange(most)),
            "KILL_WHEN": place.rng.choice(MOMENTS),
        }
        run = place.start(suite, store.out, aim)
        ended = store.check(run)
        tally.kills += not ended
        if ended:
            store = Store(place, suite, tally)
    store.finish()


def kill_workers(place: Range, suite: Path, count: int, tally: Tally) -> None:
    """A single worker is killed, or stopped: the run has to end well by itself."""
    while tally.kills < count:
        store = Store(place, suite, tally)
        run = place.start(suite, store.out)
        wait_for_begin(run)
        for _ in range(2):
            time.sleep(place.rng.uniform(0, 4))
            workers = workers_of(store.out)
            worker = place.rng.choice(workers)[0] if workers else None
            if worker is not None and run.poll() is None:
                how = signal.SIGSTOP if place.rng.random() < 0.25 else signal.SIGKILL
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, how)
                    tally.kills += 1
        if not store.check(run):
            tally.wrong.append(f"{store.out}: the run was killed with its worker")


def kill_ray(place: Range, suite: Path, count: int, tally: Tally) -> None:
    """With the engine `ray`: the driver, its group, a worker, or the actor of one."""
    store = Store(place, suite, tally)
    while tally.kills < count:
        run = place.start(suite, store.out, engine="ray")
        target = place.rng.choice(("driver", "group", "worker", "worker", "actor"))
        if wait_for_begin(run):
            if target in ("worker", "actor") or place.rng.random() < 0.7:
                while not workers_of(store.out) and run.poll() is None:
                    time.sleep(0.1)
            time.sleep(place.rng.uniform(0, 8))
        workers = workers_of(store.out)
        # What is finished by now must be the same at the end.
        store.kept = {**store.kept, **finished(store.out)}
        with contextlib.suppress(ProcessLookupError):
            if run.poll() is not None:
                pass
            elif target == "driver":
                os.kill(run.pid, signal.SIGKILL)
                tally.kills += 1
            elif target == "group":
                os.killpg(run.pid, signal.SIGKILL)
                tally.kills += 1
            elif workers:
                worker, actor = place.rng.choice(workers)
                os.kill(worker if target == "worker" else actor, signal.SIGKILL)
                tally.kills += 1
        if store.check(run):
            store = Store(place, suite, tally)
    if store.out.exists():
        store.check(place.start(suite, store.out, engine="ray"))


def kill_trainings(place: Range, suite: Path, count: int, tally: Tally) -> None:
    """Killed after a random epoch: the weights come out the same."""
    whole = place.whole(suite)
    while tally.kills < count:
        store = Store(place, suite, tally)
        epoch = place.rng.randrange(1, 60)
        run = place.start(suite, store.out)
        written: set[tuple[str, int]] = set()
        while len(written) < epoch and run.poll() is None:
            for path in store.out.glob("unfinished/*.safetensors"):
                with contextlib.suppress(FileNotFoundError):
                    written.add((path.name, path.stat().st_mtime_ns))
            time.sleep(0.005)
        time.sleep(place.rng.uniform(0, 0.02))
        if run.poll() is None and list(store.out.glob("unfinished/*.safetensors")):
            os.killpg(run.pid, signal.SIGKILL)
            tally.kills += 1
        if not store.check(run):
            again = place.start(suite, store.out)
            again.communicate()
            for path in whole.glob("artifacts/model/*/*"):
                other = store.out / path.relative_to(whole)
                if path.name != "done.json" and other.read_bytes() != path.read_bytes():
                    tally.wrong.append(f"{other} differs from the undisturbed one")
            store.finish()


def kill_drivers(place: Range, suite: Path, count: int, tally: Tally) -> None:
    """Several runs in one store; one after the other is killed, and another started."""
    crowd = Crowd(place, suite)
    total = len(finished(place.whole(suite)))
    moments = sorted(place.rng.uniform(0.02, 0.85) for _ in range(count))
    for _ in range(DRIVERS):
        crowd.start()
    for moment in moments:
        crowd.watch(lambda: len(finished(crowd.out)) >= moment * total)  # noqa: B023 - used at once
        alive = [driver for driver in crowd.drivers if driver.run.poll() is None]
        if alive and crowd.kill(place.rng.choice(alive)):
            tally.kills += 1
            crowd.start()
    crowd.watch(lambda: False)
    crowd.check()
    tally.wrong += crowd.wrong
    tally.stores += 1
    sys.stderr.write(f"{crowd}\n")


def tell(tally: Tally, began: float) -> None:
    """Print what a series came to, and what was wrong."""
    sys.stdout.write(f"{tally} ({time.monotonic() - began:.0f} s)\n")
    sys.stdout.write("".join(f"  {one}\n" for one in tally.wrong))
    sys.stdout.flush()


def main() -> int:
    """Fire; print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=WHOLE, help="of the first three series in all")
    parser.add_argument("--count", type=int, help="kills of each series, whatever --kills says")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--series", nargs="*", choices=SHARES, default=list(SHARES))
    parser.add_argument("--engine", default="local", help="of all series but ray")
    parser.add_argument("--folder", type=Path, help="kept; by default a temporary one")
    asked = parser.parse_args()
    share = asked.kills / WHOLE
    counts = {name: max(1, round(SHARES[name] * share)) for name in asked.series}
    if asked.count is not None:
        counts = dict.fromkeys(asked.series, max(1, asked.count))
    with tempfile.TemporaryDirectory() as temporary:
        place = Range(asked.folder or Path(temporary), asked.seed, asked.engine)
        series: dict[str, tuple[_Fire, Callable[[], Path]]] = {
            "trainings": (kill_trainings, lambda: place.suite("long", "cgat", 20)),
            "workers": (kill_workers, lambda: place.suite("wrapped", "jpeg", 3)),
            "calls": (kill_in_calls, lambda: place.suite("wrapped", "jpeg", 3)),
            "second": (kill_groups, lambda: place.suite("trained", "cgat", 2)),
            "ray": (kill_ray, lambda: place.suite("trained", "cgat", 2)),
            "group": (kill_groups, lambda: place.suite("wrapped", "jpeg", 3)),
            "joint": (kill_drivers, lambda: place.many(seeds=6, radii=6)),
        }
        tallies = []
        for name, (fire, suite) in series.items():
            if name in counts:
                tally = Tally(name)
                began = time.monotonic()
                fire(place, suite(), counts[name], tally)
                tell(tally, began)
                tallies.append(tally)
    return 1 if any(tally.wrong for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
