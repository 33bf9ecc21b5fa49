"""A Slurm for tests: `sbatch` reads a script as Slurm does and queues it; jobs run when told to."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TAKEN = {
    "account", "array", "constraint", "cpus-per-task", "exclusive", "gres", "job-name", "mem",
    "nodes", "ntasks", "open-mode", "output", "partition", "qos", "requeue", "signal", "time",
}  # fmt: skip
"""Options of sbatch that it knows; any other is refused, as Slurm refuses what it does not know."""


def directives(text: str) -> dict[str, str]:
    """The options of a script.

    They stand in its first lines, up to the first that is neither a comment nor empty; words are
    parted and quoted as by a shell, and a `#` behind a space begins a comment.

    Raises:
        ValueError: an option that Slurm does not know, or one that is said twice.
    """
    found: dict[str, str] = {}
    lines = text.split("\n")
    if not lines[0].startswith("#!"):
        raise ValueError("This does not look like a batch script")
    for line in lines[1:]:
        if line.startswith("#SBATCH"):
            for word in shlex.split(line.removeprefix("#SBATCH"), comments=True):
                name, _, value = word.removeprefix("--").partition("=")
                if not word.startswith("--") or name not in TAKEN:
                    raise ValueError(f"unrecognized option '{word}'")
                if name in found:
                    raise ValueError(f"option '{name}' is said twice")
                found[name] = value
        elif line.strip() and not line.startswith("#"):
            break
    return found


@dataclass(frozen=True)
class Queue:
    """A folder with `sbatch` and `scontrol` in it, and what they were told."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a command finds the programs."""
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "FAKE_SLURM": str(self.folder)}

    @property
    def scripts(self) -> list[Path]:
        """What was submitted, in order."""
        return sorted(self.folder.glob("job-*.sh"))

    @property
    def requeued(self) -> list[str]:
        """What `scontrol requeue` was told."""
        note = self.folder / "requeued"
        return note.read_text().split() if note.exists() else []

    def indices(self, script: Path) -> list[int]:
        """Of the array's jobs."""
        first, last = re.fullmatch(
            r"(\d+)-(\d+)(?:%\d+)?", directives(script.read_text())["array"]
        ).groups()  # type: ignore[union-attr]
        return list(range(int(first), int(last) + 1))

    def start(self, script: Path, index: int, restarts: int = 0) -> subprocess.Popen[bytes]:
        """One job of an array, far from where it was submitted: in another folder."""
        number = script.stem.removeprefix("job-")
        pattern = directives(script.read_text())["output"]
        words = {"%%": "%", "%A": number, "%a": str(index)}
        log = Path(re.sub(r"%.", lambda found: words[found[0]], pattern))
        environment = {
            **self.environment,
            "SLURM_ARRAY_JOB_ID": number,
            "SLURM_ARRAY_TASK_ID": str(index),
            "OMP_NUM_THREADS": "1",
        }
        if restarts:
            environment["SLURM_RESTART_COUNT"] = str(restarts)
        with log.open("ab") as output:  # Slurm makes no folder either
            return subprocess.Popen(
                ["bash", str(script)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=environment,
            )


def installed(folder: Path) -> Queue:
    """Put the programs into a folder."""
    folder.mkdir()
    for name in ("sbatch", "scontrol"):
        program = folder / name
        program.write_text(f"#!{sys.executable} -P\n{Path(__file__).read_text()}")
        program.chmod(0o755)
    return Queue(folder)


def sbatch(words: list[str]) -> int:
    """What the program `sbatch` does."""
    home = Path(os.environ["FAKE_SLURM"])
    if (home / "closed").exists():
        sys.stderr.write("sbatch: error: Batch job submission failed: Invalid account\n")
        return 1
    *options, script = words
    if options != ["--parsable"]:
        sys.stderr.write(f"sbatch: unrecognized options {options}\n")
        return 1
    text = Path(script).read_text()
    try:
        directives(text)
    except ValueError as error:
        sys.stderr.write(f"sbatch: {error}\n")
        return 1
    checked = subprocess.run(["bash", "-n", script], check=False)
    if checked.returncode:
        return checked.returncode
    number = 4711 + len(list(home.glob("job-*.sh")))
    (home / f"job-{number}.sh").write_text(text)
    sys.stdout.write(f"{number};cluster\n")
    return 0


def scontrol(words: list[str]) -> int:
    """What the program `scontrol` does."""
    with (Path(os.environ["FAKE_SLURM"]) / "requeued").open("a") as note:
        note.write(json.dumps(words) + "\n" if words[0] != "requeue" else f"{words[1]}\n")
    return 0


if __name__ == "__main__":
    sys.exit({"sbatch": sbatch, "scontrol": scontrol}[Path(sys.argv[0]).name](sys.argv[1:]))
