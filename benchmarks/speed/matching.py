"""How long the table of fixed hashes takes, and what it holds: run it and read.

    python benchmarks/speed/matching.py PHOTOS [--hash pdq ...] [--workers 2] [--keep FOLDER]

Runs `hashbench match` on a folder of photographs, in a new folder, and reads its report. Prints the
seconds, those of the processor, the most memory that the processes of the run held together (what
several share, such as torch's libraries, counts once), and for every hash what an attacker
needs and what is proven. Ends with 1 if a bar of the project is missed: 10 minutes and 2 GB on two
processors; for PDQ at 256 x 256 evasion at 4/255 at least 0.98, at 2/255 at least 0.85, the mean
least eps at most 1.4/255, the mean proven one at least 0.55/255.
"""

from __future__ import annotations

import argparse
import csv
import io
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from typing_extensions import override

SECONDS: Final = 600.0
BYTES: Final = 2_000_000_000
HASHES: Final = ("pdq", "phash", "dhash", "ahash")
AT_LEAST: Final = {
    ("pdq", "evade", "4/255", "evasion"): 0.98,
    ("pdq", "evade", "2/255", "evasion"): 0.85,
    ("pdq", "none", "least", "proven_eps_mean"): 0.55 / 255,
}
AT_MOST: Final = {("pdq", "evade", "least", "attacked_eps_mean"): 1.4 / 255}

Values = Mapping[tuple[str, str, str, str], float]


def resident(group: int) -> int:
    """Bytes that a group of processes holds now; what n processes share counts an n-th for each."""
    found = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                rollup = (status.parent / "smaps_rollup").read_text()
                found += 1024 * int(rollup.partition("\nPss:")[2].split()[0])
        except (OSError, IndexError, ValueError):
            continue  # it has ended
    return found


class Watch(threading.Thread):
    """Looks at a group of processes twice a second.

    Attributes:
        most: the most bytes that were held at once.
    """

    most: int = 0

    def __init__(self, group: int) -> None:
        """Look at a group."""
        super().__init__(daemon=True)
        self._group = group
        self._over = threading.Event()

    @override
    def run(self) -> None:
        while not self._over.wait(0.5):
            self.most = max(self.most, resident(self._group))

    def stop(self) -> None:
        """End it."""
        self._over.set()
        self.join()


def values_of(folder: Path) -> Values:
    """The numbers of a report."""
    command = [sys.executable, "-m", "hashbench", "report", str(folder), "--format", "csv"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {
        (row["hash"], row["attack"], row["eps"], row["metric"]): float(row["value"])
        for row in csv.DictReader(io.StringIO(told))
        if row["value"]
    }


def missed(values: Values, seconds: float, held: int) -> list[str]:
    """The bars that are missed, in words."""
    found = []
    if seconds > SECONDS:
        found.append(f"{seconds:.0f} s, at most {SECONDS:.0f}")
    if held > BYTES:
        found.append(f"{held / 1e9:.2f} GB, at most {BYTES / 1e9:.0f}")
    for bars, sign in ((AT_LEAST, 1), (AT_MOST, -1)):
        for name, bar in bars.items():
            if name in values and sign * values[name] < sign * bar:
                found.append(f"{' '.join(name)}: {values[name]:.5f}, the bar is {bar:.5f}")
    return found


def table(values: Values, hashes: list[str]) -> None:
    """What an attacker needs, in 255ths, and what he gets."""
    print(f"{'hash':>6} {'proven':>8} {'attacked':>8}   evasion and collision at 1, 2, 4, 8 /255")
    for name in hashes:
        proven = 255 * values.get((name, "none", "least", "proven_eps_mean"), 0.0)
        attacked = 255 * values[name, "evade", "least", "attacked_eps_mean"]
        shares = [
            " ".join(f"{values[name, attack, f'{k}/255', metric]:.3f}" for k in (1, 2, 4, 8))
            for attack, metric in (("evade", "evasion"), ("collide", "collision"))
        ]
        print(f"{name:>6} {proven:8.3f} {attacked:8.3f}   {shares[0]}   {shares[1]}")


def main() -> None:
    """Parse the command line, run, print; exit with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--hash", action="append")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="a folder for the results")
    asked = parser.parse_args()
    hashes = asked.hash or list(HASHES)
    with tempfile.TemporaryDirectory() as scratch:
        out = asked.keep or Path(scratch) / "matches"
        words = [word for name in hashes for word in ("--hash", name)]
        command = [
            *(sys.executable, "-m", "hashbench", "match", *words),
            *("--images", str(asked.photos), "--out", str(out), "--workers", str(asked.workers)),
        ]
        start = time.perf_counter()
        with subprocess.Popen(command, start_new_session=True) as process:
            watch = Watch(process.pid)
            watch.start()
            code = process.wait()
        watch.stop()
        seconds = time.perf_counter() - start
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        if code:
            sys.exit(f"hashbench match ended with {code}")
        values = values_of(out)
    busy = used.ru_utime + used.ru_stime
    print(f"{seconds:.0f} s, {busy:.0f} of processors, {watch.most / 1e9:.2f} GB at most")
    table(values, hashes)
    faults = missed(values, seconds, watch.most)
    print("\n".join(f"MISSED {fault}" for fault in faults) or "all bars are kept")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
