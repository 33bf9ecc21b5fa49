"""Hands a script to the program of a scheduler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from hashbench.characters import shortened
from hashbench.errors import UsageError
from hashbench.runner.submitting.contract import Scheduler, Submission, SubmissionError

_PATIENCE: Final = 300
"""Seconds until a program that says nothing is given up."""

_MOST_SAID: Final = 600


def check_program(scheduler: Scheduler, to: str) -> None:
    """Make sure that the program which submits is on this machine.

    Raises:
        UsageError: it is not.
    """
    if shutil.which(scheduler.program) is None:
        raise UsageError(
            f"--to {to}: there is no program '{scheduler.program}' here; submit from a machine of "
            "the cluster, or add --print and hand the script over yourself"
        )


def send(scheduler: Scheduler, submission: Submission, script: Path) -> str:
    """Submit a script.

    Returns:
        The number or name of the job; empty where the program told none.

    Raises:
        SubmissionError: it was not taken; with what the program said.
    """
    command = list(scheduler.command(submission, script))
    try:
        done = subprocess.run(  # noqa: S603 - a scheduler's own program
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SubmissionError(
            f"{scheduler.program} said nothing for {_PATIENCE} seconds; look whether the jobs are "
            f"there before you submit again; the script is {script}"
        ) from None
    except OSError as error:
        raise SubmissionError(
            f"{scheduler.program} cannot be started ({error.strerror or error})"
        ) from None
    if done.returncode:
        said = " ".join((done.stderr.strip() or done.stdout.strip()).split())
        raise SubmissionError(
            f"{scheduler.program} did not take it (exit code {done.returncode}): "
            f"{shortened(said, _MOST_SAID) or 'it said nothing'}; the script is {script}"
        )
    return scheduler.job(done.stdout)
