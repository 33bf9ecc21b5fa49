"""Ray: one job of a cluster, a run whose steps are made by the engine `ray`."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import override

from hashbench.characters import shortened
from hashbench.errors import UsageError
from hashbench.runner.submitting.contract import Asked, Scheduler, Submission, opening, refuse_text


class RayJobs(Scheduler):
    """Ray's own queue of jobs: the cluster starts the run on its head node."""

    program = "ray"
    several = False

    @override
    def check(self, asked: Asked, out: Path) -> None:
        slurm = {
            "--jobs": asked.jobs,
            "--cells-per-job": asked.cells,
            "--partition": asked.partition,
            "--account": asked.account,
            "--qos": asked.qos,
            "--mem": asked.memory,
            "--gpus": asked.gpus,
            "--at-once": asked.at_once,
            "--sbatch": asked.extra or None,
        }
        for name, value in slurm.items():
            if value is not None:
                raise UsageError(
                    f"{name}: Ray gets one job, whose steps it spreads over its machines; "
                    "--workers says how many are made at the same time"
                )
        # Ray puts the words of a command into one text for a shell, and quotes spaces alone.
        found = re.search(r"[^\w@%+=:,./ -]", str(out), re.ASCII)
        if found is not None:
            raise UsageError(
                f"--out '{shortened(str(out))}' holds the character {found[0]!r}, which Ray cannot "
                "hand on to a job; name another folder"
            )
        if asked.address is not None:
            refuse_text("--address", asked.address, " ", "which no address has")

    @override
    def script(self, submission: Submission) -> str:
        run = [*submission.driver, "--engine", "ray", "--address", "auto"]
        lines = ["#!/bin/bash", *opening(submission), f"exec {shlex.join(run)}"]
        return "\n".join(lines) + "\n"

    @override
    def command(self, submission: Submission, script: Path) -> Sequence[str]:
        address = submission.asked.address
        return [
            *(self.program, "job", "submit", "--no-wait"),
            *([] if address is None else ["--address", address]),
            *("--submission-id", f"{submission.name}-{secrets.token_hex(3)}"),
            *("--", "bash", str(script)),
        ]

    @override
    def job(self, answer: str) -> str:
        found = re.search(r"Job '([\w.-]+)' submitted", answer)
        return "" if found is None else found[1]
