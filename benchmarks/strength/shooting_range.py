"""Where runs are killed: suites, what they come to undisturbed, and stores that are shot at."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from typing_extensions import override

Mark: TypeAlias = tuple[int, int]
"""Inode and time, in ns, of the file that says that an artifact is finished."""

KEPT: Final = {".lock", "artifacts", "plans"}
"""What a finished store holds."""

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
attack = ["noise", "hag:steps=3", "pgd-hamming:steps=3", "sdha:steps=3", "smooth-ap:steps=3"]
[training]
epochs = {epochs}
batch = 2
[budget]
epochs = {epochs}
inner_steps = 1
"""

MANY: Final = """
name = "many"
plugin = "{plugin}"
dataset = "tiny"
loss = "csq"
backbone = "small-cnn:width=4,hidden=16"
bits = [8, 16]
eps = [{eps}]
defense = "none"
attack = ["noise", "hag:steps=1", "pgd-hamming:steps=1", "sdha:steps=1"]
seed = [{seeds}]
[training]
epochs = 1
batch = 8
"""
"""Cells: 2 lengths x seeds x (1 + 4 attacks x radii)."""

_TOOL: Final = [sys.executable, "-P", "-m", "hashbench"]


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

    def __init__(self, folder: Path, seed: int, engine: str = "local") -> None:
        """Use a folder that is empty or not there; runs go by this engine."""
        self.engine = engine
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self.rng = random.Random(seed)  # noqa: S311 - where to shoot
        self._references: dict[str, bytes] = {}
        self._number = 0

    def suite(self, name: str, defense: str, epochs: int) -> Path:
        """A suite file; its CSV is made, once, by a run that nobody disturbs.

        Args:
            name: of the file.
            defense: beside none.
            epochs: of trainings.
        """
        path = self.folder / f"{name}.toml"
        path.write_text(GRID.format(plugin=TINY, defense=f'"{defense}"', epochs=epochs))
        self._make_reference(path)
        return path

    def many(self, seeds: int, radii: int) -> Path:
        """A suite of many cells that are made in a blink; see `MANY`."""
        path = self.folder / f"many-{seeds}-{radii}.toml"
        eps = ", ".join(f'"{8 + 4 * at}/255"' for at in range(radii))
        numbers = ", ".join(map(str, range(seeds)))
        path.write_text(MANY.format(plugin=TINY, eps=eps, seeds=numbers))
        self._make_reference(path)
        return path

    def _make_reference(self, suite: Path) -> None:
        if suite.stem not in self._references:
            out = self.whole(suite)
            run = self.start(suite, out, engine="local")
            _, errors = run.communicate()
            assert run.returncode == 0, errors
            self._references[suite.stem] = self.csv(out)

    def start(
        self,
        suite: Path,
        out: Path,
        extra: Mapping[str, str] | None = None,
        *,
        workers: int = 2,
        before: Sequence[str] = (),
        errors: int = subprocess.PIPE,
        engine: str | None = None,
    ) -> subprocess.Popen[str]:
        """Begin a run in a process group of its own, behind other words of a command perhaps."""
        how = ["--workers", str(workers), "--engine", engine or self.engine]
        return subprocess.Popen(  # noqa: S603 - our own command
            [*before, *_TOOL, "run", str(suite), "--out", str(out), *how],
            stdout=subprocess.DEVNULL,
            stderr=errors,
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

    def whole(self, suite: Path) -> Path:
        """The store of the run that nobody disturbed."""
        return self.folder / f"{suite.stem}-whole"


def finished(store: Path) -> dict[str, Mark]:
    """Inode and time of every marker: a second making would show in either."""
    found = {}
    for path in store.glob("artifacts/*/*/done.json"):
        if not path.parent.name.startswith("."):
            with contextlib.suppress(FileNotFoundError):  # renamed just now
                status = path.stat()
                found[str(path)] = (status.st_ino, status.st_mtime_ns)
    return found


def changed(before: Mapping[str, Mark], now: Mapping[str, Mark]) -> list[str]:
    """Of each marker that is not what it was, a sentence."""
    return [
        f"{path} was made twice, or lost" for path, mark in before.items() if now.get(path) != mark
    ]


def left_over(out: Path) -> list[str]:
    """Names in a finished store that do not belong there."""
    found = {path.name for path in out.iterdir()} - KEPT
    found |= {path.name for path in out.rglob(".*") if path.name != ".lock"}
    return sorted(found)


class Store:
    """One store that runs are killed in until one of them comes to the end."""

    def __init__(self, place: Range, suite: Path, tally: Tally) -> None:
        """Begin with nothing."""
        self.place = place
        self.suite = suite
        self.tally = tally
        self.out = place.fresh()
        self.kept: dict[str, Mark] = {}
        self.damaged: dict[str, Mark] = {}

    def check(self, run: subprocess.Popen[str]) -> bool:
        """After a run has ended: what was kept still is; whether it came to its end.

        A run that did is looked over, and its store deleted.
        """
        errors = run.stderr.read() if run.stderr is not None else ""
        run.wait()
        found = finished(self.out)
        now = {path: mark for path, mark in found.items() if self.damaged.get(path) != mark}
        self.tally.wrong += changed(self.kept, now)
        self.kept = now
        if run.returncode == -signal.SIGKILL:
            return False
        if run.returncode != 0:
            self.tally.wrong.append(f"{self.out}: exit {run.returncode}: {errors[-500:]}")
        elif self.place.csv(self.out) != self.place.reference(self.suite):
            self.tally.wrong.append(f"{self.out}: another CSV")
        if left := left_over(self.out):
            self.tally.wrong.append(f"{self.out}: {left} is left over")
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


def workers_of(out: Path) -> list[tuple[int, int]]:
    """Worker processes that write into a store, each with its parent: an actor, where Ray is."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):  # it has just ended
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"hashbench.runner.engines.worker" in words and str(out).encode() in words:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                found.append((int(folder.name), int(fields[1])))
    return sorted(found)
