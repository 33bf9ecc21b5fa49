"""Kills runs at seeded random moments, and checks that nothing is lost, wrong, or made twice.

    python benchmarks/strength/kills.py [--kills 198] [--seed 0] [--folder FOLDER]

Five series, each into stores that are run to their end again and again. `group`: SIGKILL to the
whole process group of `--workers 2`. `second`: the same over a suite with a trained defense.
`calls`: SIGKILL inside one system call of a process that writes to the store (open, write, fsync,
rename, mkdir, unlink; before it, after it, or in the middle of a write), some beside an artifact
that was damaged first; needs a C compiler. `workers`: a single worker process is killed or stopped,
and the run has to end well by itself. `trainings`: killed after a random epoch, and the weights of
the next run compared with those of a training that was never touched.

What has to hold: the CSV is the same to the byte; no finished artifact is made again; when a store
is finished, nothing is left in it but artifacts, plans and the lock. Exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from typing_extensions import override

SHARES: Final = {"group": 130, "calls": 53, "second": 15, "workers": 20, "trainings": 5}
"""Kills of each series."""

WHOLE: Final = sum(SHARES[name] for name in ("group", "calls", "second"))
"""Kills of the first three: what `--kills` counts, 198."""

CALLS: Final = ("open", "write", "fsync", "rename", "mkdir", "unlink")
MOMENTS: Final = ("before", "after", "half")
KEPT: Final = {".lock", "artifacts", "plans"}

TINY: Final = Path(__file__).resolve().parents[2] / "tests" / "plugins" / "tiny_data.py"
"""A data set on which everything takes a blink, so that kills fall into writes, not into sums."""

GRID: Final = """
name = "kills"
plugin = "{plugin}"
dataset = "tiny"
loss = "csq"
backbone = "small-cnn:width=4,hidden=16"
bits = [8, 16]
eps = "24/255"
defense = ["none", {defense}]
attack = ["noise", "hag:steps=3", "pgd-hamming:steps=3", "sdha:steps=3"]
[training]
epochs = {epochs}
batch = 2
[budget]
epochs = {epochs}
inner_steps = 1
"""

SOURCE: Final = Path(__file__).with_name("inside_call.c")


@dataclass
class Tally:
    """What a series came to."""

    name: str
    kills: int = 0
    stores: int = 0
    wrong: list[str] = field(default_factory=list)

    @override
    def __str__(self) -> str:
        """One line."""
        return f"{self.name}: {self.kills} kills, {self.stores} stores, {len(self.wrong)} wrong"


class Range:
    """A folder with suites, what they come to undisturbed, and stores that are shot at."""

    def __init__(self, folder: Path, seed: int) -> None:
        """Use a folder that is empty or not there."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self.rng = random.Random(seed)  # noqa: S311 - where to shoot
        self._references: dict[str, bytes] = {}
        self._number = 0

    def suite(self, name: str, defense: str, epochs: int) -> Path:
        """A suite file; its CSV is made, once, by a run that nobody disturbs."""
        path = self.folder / f"{name}.toml"
        path.write_text(GRID.format(plugin=TINY, defense=f'"{defense}"', epochs=epochs))
        if name not in self._references:
            out = self.folder / f"{name}-whole"
            run = self.start(path, out)
            _, errors = run.communicate()
            assert run.returncode == 0, errors
            self._references[name] = self.csv(out)
        return path

    def start(
        self, suite: Path, out: Path, extra: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Begin a run in a process group of its own."""
        return subprocess.Popen(  # noqa: S603 - our own command
            [*_TOOL, "run", str(suite), "--out", str(out), "--workers", "2"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(extra or {})},
            start_new_session=True,
        )

    def csv(self, out: Path) -> bytes:
        """The report of a store."""
        words = [*_TOOL, "report", str(out), "--format", "csv"]
        made = subprocess.run(words, check=True, capture_output=True)  # noqa: S603
        return made.stdout

    def fresh(self) -> Path:
        """The path of a new store."""
        self._number += 1
        return self.folder / f"store-{self._number}"

    def reference(self, suite: Path) -> bytes:
        """The CSV that a suite has to come to."""
        return self._references[suite.stem]


_TOOL: Final = [sys.executable, "-P", "-m", "hashbench"]


def finished(store: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every marker: a second making would show in either."""
    found = {}
    for path in store.glob("artifacts/*/*/done.json"):
        if not path.parent.name.startswith("."):
            with contextlib.suppress(FileNotFoundError):  # renamed just now
                status = path.stat()
                found[str(path)] = (status.st_ino, status.st_mtime_ns)
    return found


class Store:
    """One store that runs are killed in until one of them comes to the end."""

    def __init__(self, place: Range, suite: Path, tally: Tally) -> None:
        """Begin with nothing."""
        self.place = place
        self.suite = suite
        self.tally = tally
        self.out = place.fresh()
        self.kept: dict[str, tuple[int, int]] = {}
        self.damaged: dict[str, tuple[int, int]] = {}

    def check(self, run: subprocess.Popen[str]) -> bool:
        """After a run has ended: what was kept still is; whether it came to its end.

        A run that did is looked over, and its store deleted.
        """
        errors = run.stderr.read() if run.stderr is not None else ""
        run.wait()
        found = finished(self.out)
        now = {path: mark for path, mark in found.items() if self.damaged.get(path) != mark}
        for path, mark in self.kept.items():
            if now.get(path) != mark:
                self.tally.wrong.append(f"{path} was made twice, or lost")
        self.kept = now
        if run.returncode == -signal.SIGKILL:
            return False
        if run.returncode != 0:
            self.tally.wrong.append(f"{self.out}: exit {run.returncode}: {errors[-500:]}")
        elif self.place.csv(self.out) != self.place.reference(self.suite):
            self.tally.wrong.append(f"{self.out}: another CSV")
        left = {path.name for path in self.out.iterdir()} - KEPT
        left |= {path.name for path in self.out.rglob(".*") if path.name != ".lock"}
        if left:
            self.tally.wrong.append(f"{self.out}: {sorted(left)} is left over")
        if not self.tally.wrong:
            shutil.rmtree(self.out)
        self.tally.stores += 1
        sys.stderr.write(f"{self.tally}\n")
        return True

    def damage(self) -> None:
        """Cut a file of a finished artifact short: it has to be set aside and made again."""
        if not self.kept:
            return
        marker = Path(self.place.rng.choice(sorted(self.kept)))
        files = sorted(path for path in marker.parent.iterdir() if path.name != marker.name)
        if files:
            chosen = self.place.rng.choice(files)
            chosen.write_bytes(chosen.read_bytes()[:-1])
            self.damaged[str(marker)] = self.kept.pop(str(marker))

    def finish(self) -> None:
        """Run to the end."""
        if self.out.exists():
            self.check(self.place.start(self.suite, self.out))


def wait_for_begin(run: subprocess.Popen[str]) -> bool:
    """Until a run says how much there is to do; whether it did."""
    assert run.stderr is not None
    return any("in the store" in line for line in run.stderr)


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
            worker = worker_of(run.pid)
            if worker is not None and run.poll() is None:
                how = signal.SIGSTOP if place.rng.random() < 0.25 else signal.SIGKILL
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, how)
                    tally.kills += 1
        if not store.check(run):
            tally.wrong.append(f"{store.out}: the run was killed with its worker")


def worker_of(parent: int) -> int | None:
    """A process that a run has started; `None` where there is none."""
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    except OSError:
        return None
    return int(children[0]) if children else None


def kill_trainings(place: Range, suite: Path, count: int, tally: Tally) -> None:
    """Killed after a random epoch: the weights come out the same."""
    whole = place.folder / f"{suite.stem}-whole"
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


def main() -> int:
    """Fire; print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=WHOLE, help="of the first three series in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--series", nargs="*", choices=SHARES, default=list(SHARES))
    parser.add_argument("--folder", type=Path, help="kept; by default a temporary one")
    asked = parser.parse_args()
    share = asked.kills / WHOLE
    counts = {name: max(1, round(SHARES[name] * share)) for name in asked.series}
    with tempfile.TemporaryDirectory() as temporary:
        place = Range(asked.folder or Path(temporary), asked.seed)
        series: dict[str, tuple[Callable[[Range, Path, int, Tally], None], tuple[str, str, int]]]
        series = {
            "trainings": (kill_trainings, ("long", "cgat", 20)),
            "workers": (kill_workers, ("wrapped", "jpeg", 3)),
            "calls": (kill_in_calls, ("wrapped", "jpeg", 3)),
            "second": (kill_groups, ("trained", "cgat", 2)),
            "group": (kill_groups, ("wrapped", "jpeg", 3)),
        }
        tallies = []
        for name, (fire, (suite, defense, epochs)) in series.items():
            if name in counts:
                tally = Tally(name)
                began = time.monotonic()
                fire(place, place.suite(suite, defense, epochs), counts[name], tally)
                tallies.append(tally)
                sys.stdout.write(f"{tally} ({time.monotonic() - began:.0f} s)\n")
                sys.stdout.write("".join(f"  {one}\n" for one in tally.wrong))
                sys.stdout.flush()
    return 1 if any(tally.wrong for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
