"""Several runs at work in one store at the same time, of which some are killed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from typing_extensions import override

from hashbench.benchmarks.strength.shooting_range import Mark, Range, changed, finished, left_over


@dataclass
class Driver:
    """One of several runs in a store; what it says is written into a file.

    Attributes:
        run: its process.
        said: the file.
        killed: whether it was.
    """

    run: subprocess.Popen[str]
    said: Path
    killed: bool = False

    @property
    def made(self) -> list[str]:
        """Labels of the steps that it made to the end."""
        found = (_MADE.match(line) for line in self.said.read_text().splitlines())
        return [one[1] for one in found if one is not None]


_MADE: Final = re.compile(r"\[\d+/\d+\] (.*) \([0-9.]+ s\)(?:; about .* left)?$")
"""What a run says of a step that it made, and not another run."""


class Crowd:
    """Several runs in one store, and what is seen of it while they are at work."""

    def __init__(self, place: Range, suite: Path) -> None:
        """Begin with nothing."""
        self.place = place
        self.suite = suite
        self.out = place.fresh()
        self.drivers: list[Driver] = []
        self.wrong: list[str] = []
        self._seen: dict[str, Mark] = {}

    def start(self, before: Sequence[str] = (), **extra: str) -> Driver:
        """One more run, with one worker."""
        said = self.place.folder / f"{self.out.name}-{len(self.drivers)}.txt"
        with said.open("w") as errors:
            run = self.place.start(
                self.suite, self.out, extra, workers=1, before=before, errors=errors.fileno()
            )
        self.drivers.append(Driver(run, said))
        return self.drivers[-1]

    def kill(self, driver: Driver) -> bool:
        """SIGKILL to one of them and all that it started; whether it was still at work."""
        if driver.run.poll() is not None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(driver.run.pid, signal.SIGKILL)
        driver.run.wait()
        driver.killed = driver.run.returncode == -signal.SIGKILL
        return driver.killed

    def watch(self, until: Callable[[], bool]) -> None:
        """See to it that no marker changes, until something is so or all runs have ended."""
        while not until() and any(driver.run.poll() is None for driver in self.drivers):
            self.look()
            time.sleep(0.2)
        self.look()

    def look(self) -> int:
        """Compare all markers with what they were; how many there are."""
        now = finished(self.out)
        self.wrong += changed(self._seen, now)
        self._seen = now
        return len(now)

    def check(self) -> None:
        """Once all have ended: all is there, made once, and what an undisturbed run makes."""
        for driver in self.drivers:
            code = driver.run.wait()
            if not driver.killed and code != 0:
                self.wrong.append(f"{driver.said}: exit {code}")
        self.look()
        whole = self.place.whole(self.suite)
        names = {str(Path(path).relative_to(whole)) for path in finished(whole)}
        if {str(Path(path).relative_to(self.out)) for path in self._seen} != names:
            self.wrong.append(f"{self.out}: not the artifacts of an undisturbed run")
        if self.place.csv(self.out) != self.place.reference(self.suite):
            self.wrong.append(f"{self.out}: another CSV")
        made = Counter(label for driver in self.drivers for label in driver.made)
        # A run that is killed once an artifact is there, and before it says so, says nothing.
        silent = len(self._seen) - self.galleries - made.total()
        if not 0 <= silent <= sum(driver.killed for driver in self.drivers):
            self.wrong.append(f"{made.total()} steps were made, of {len(self._seen)}")
        steps = Counter(_labels(self.out))
        self.wrong += [f"{label}: made twice" for label in made if made[label] > steps[label]]
        if left := left_over(self.out):
            self.wrong.append(f"{self.out}: {left} is left over")

    @property
    def galleries(self) -> int:
        """Artifacts that no step of their own makes."""
        return sum("/gallery/" in path or "/images/" in path for path in self._seen)

    @override
    def __str__(self) -> str:
        """What every run made."""
        each = ", ".join(
            f"{len(driver.made)}{' (killed)' if driver.killed else ''}" for driver in self.drivers
        )
        return f"{len(self._seen)} artifacts; steps made by each run: {each}"


def _labels(store: Path) -> Iterator[str]:
    for path in store.glob("artifacts/*/*/done.json"):
        yield str(json.loads(path.read_text()).get("label", ""))
