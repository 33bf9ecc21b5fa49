"""Three machines that share a folder, on one box; one of them is killed, and nothing is lost.

    python benchmarks/strength/machines.py [--seeds 2] [--radii 6] [--lease 5] [--folder FOLDER]

A machine is a container of processes: names of its own, numbers of processes of its own (each has a
process 1), no network, nothing in common with the others but the folder of results. `unshare` makes
them (util-linux), which needs the right to. One of them is killed while it makes something; the
others find out by its lease alone, since its process numbers say nothing to them.

What has to hold: the CSV is to the byte that of an undisturbed run; every artifact was made once;
nothing is left in the folder but artifacts, plans and the lock. Exits with 1 otherwise, and with 2
where there can be no such containers.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from hashbench.benchmarks.strength.crowd import Crowd
from hashbench.benchmarks.strength.shooting_range import Range, finished

HOSTS: Final = ("ada", "bob", "cleo")

_CONTAINER: Final = (
    "unshare",
    *("--uts", "--pid", "--net", "--mount", "--ipc", "--fork", "--mount-proc", "--kill-child"),
)


def container(host: str) -> list[str]:
    """The words that a command is put behind to be run on a machine of its own."""
    return [*_CONTAINER, "sh", "-c", f'hostname {host} && exec "$@"', host]


def why_not() -> str:
    """Why there can be no containers here; empty where there can."""
    if shutil.which("unshare") is None:
        return "there is no command unshare"
    tried = subprocess.run(  # noqa: S603 - our own words
        [*container("trial"), "true"], capture_output=True, text=True, check=False
    )
    return tried.stderr.strip() if tried.returncode else ""


def kill_one_of_three(place: Range, suite: Path, lease: float) -> Crowd:
    """Three machines on one suite; one that holds something is killed at a random moment.

    Args:
        place: where it is done.
        suite: with its reference, as `Range.many` makes it.
        lease: seconds until a claim of a dead machine is free.

    Returns:
        The runs, checked.
    """
    crowd = Crowd(place, suite)
    total = len(finished(place.whole(suite)))
    machines = [crowd.start(container(host), HASHBENCH_LEASE=str(lease)) for host in HOSTS]
    moment = place.rng.uniform(0.1, 0.6) * total
    holders: list[int] = []

    def caught() -> bool:
        """Whether it is time, and some machine holds what the others will have to wait for."""
        holders[:] = [number for number, host in enumerate(HOSTS) if _holds(crowd.out, host)]
        return bool(holders) and len(finished(crowd.out)) >= moment

    crowd.watch(caught)
    if not holders or not crowd.kill(machines[holders[0]]):
        crowd.wrong.append("the machine that was to be killed had ended")
    crowd.watch(lambda: False)
    crowd.check()
    return crowd


def _holds(store: Path, host: str) -> bool:
    for path in store.glob("claims/*.json"):
        try:
            if f'"host": "{host}"' in path.read_text():
                return True
        except FileNotFoundError:  # it has ended just now
            continue
    return False


def main() -> int:
    """Start them; print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="of the moment")
    parser.add_argument("--seeds", type=int, default=2, help="of the grid")
    parser.add_argument("--radii", type=int, default=6, help="of the grid")
    parser.add_argument("--lease", type=float, default=5.0)
    parser.add_argument("--folder", type=Path, help="kept; by default a temporary one")
    asked = parser.parse_args()
    reason = why_not()
    if reason:
        sys.stderr.write(f"no containers here: {reason}\n")
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        place = Range(asked.folder or Path(temporary), asked.seed)
        suite = place.many(asked.seeds, asked.radii)
        began = time.monotonic()
        crowd = kill_one_of_three(place, suite, asked.lease)
        sys.stdout.write(f"{', '.join(HOSTS)}: {crowd} ({time.monotonic() - began:.0f} s)\n")
        sys.stdout.write("".join(f"  {one}\n" for one in crowd.wrong))
    return 1 if crowd.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
