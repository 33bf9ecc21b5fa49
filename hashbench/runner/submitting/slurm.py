"""Slurm: an array of jobs, each of them a run on the same folder."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from typing_extensions import override

from hashbench.characters import shortened
from hashbench.errors import UsageError
from hashbench.runner.submitting.contract import (
    Asked,
    Scheduler,
    Submission,
    opening,
    refuse_text,
)

LOGS: Final = "logs"
"""Where jobs write what they print: a folder beside the results."""

_NOTICE: Final = 180
"""Seconds before the end of a job's time at which it is told: the step that it makes is left, and
of a training the finished epochs are kept already."""

_SETTING: Final = re.compile(r"[a-z][a-z0-9-]*")
_BARE: Final = re.compile(r"[A-Za-z0-9_./:,=@%+*-]+")
_RESERVED: Final = {
    "array": "--jobs and --at-once say it",
    "output": "jobs write under the results, in logs",
    "job-name": "it is made of the suite's name",
    "signal": "the run has to be told before its time is over",
    "time": "--hours says it",
    "partition": "--partition says it",
    "account": "--account says it",
    "qos": "--qos says it",
    "mem": "--mem says it",
}


class Slurm(Scheduler):
    """The scheduler of most clusters of universities.

    Each job of the array is a whole run of the suite; runs on one folder share the work among
    themselves, so no job has cells of its own, and what one leaves unfinished another takes over.
    """

    program = "sbatch"

    @override
    def check(self, asked: Asked, out: Path) -> None:
        if asked.address is not None:
            raise UsageError("--address: Slurm has none; --to ray submits to a cluster by address")
        # What Slurm writes to is named in a directive, where a quote or a backslash is a sign.
        refuse_text(
            "--out", str(out), '"\\', "which a directive of Slurm cannot hold; name another folder"
        )
        for name, value in (
            ("--partition", asked.partition),
            ("--account", asked.account),
            ("--qos", asked.qos),
            ("--mem", asked.memory),
        ):
            if value is not None:
                refuse_text(name, value, "\"\\' #", "which no name of Slurm has")
        for name, value in asked.extra.items():
            if not _SETTING.fullmatch(name):
                raise UsageError(
                    f"--sbatch '{shortened(name)}': a setting is named as in sbatch's manual, "
                    "without hyphens before it, such as constraint=a100"
                )
            if name in _RESERVED:
                raise UsageError(f"--sbatch {name}: {_RESERVED[name]}")
            if value:
                refuse_text(
                    f"--sbatch {name}", value, "\"\\'#", "which a directive of Slurm cannot hold"
                )

    @override
    def script(self, submission: Submission) -> str:
        lines = [
            "#!/bin/bash",
            *(f"#SBATCH {line}" for line in _directives(submission)),
            "",
            *opening(submission),
            "",
            *_LISTENING,
            f"{shlex.join(_driver(submission))} &",
            *_WAITING,
            f"restarts={submission.asked.restarts}",
            'if [ -n "$over" ] && [ "$code" -ne 0 ] &&',
            '    [ "${SLURM_RESTART_COUNT:-0}" -lt "$restarts" ]; then',
            '    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"',
            "fi",
            'exit "$code"',
        ]
        return "\n".join(lines) + "\n"

    @override
    def command(self, submission: Submission, script: Path) -> Sequence[str]:
        return [self.program, "--parsable", str(script)]

    @override
    def job(self, answer: str) -> str:
        found = re.match(r"(\d+)(;\S+)?\s*$", answer)
        return "" if found is None else found[1]


def _directives(submission: Submission) -> Iterator[str]:
    asked, extra = submission.asked, dict(submission.asked.extra)
    at_once = "" if asked.at_once is None else f"%{asked.at_once}"
    cores = asked.workers * submission.threads
    log = submission.out / LOGS / f"{submission.name}-%A_%a.log"
    # Of the folder's own name a % is one that stands for itself.
    output = f"{str(log.parent).replace('%', '%%')}/{log.name}"
    said: dict[str, str | None] = {
        "job-name": submission.name,
        "array": f"0-{submission.jobs - 1}{at_once}",
        "output": output,
        "open-mode": "append",
        "nodes": "1",
        "ntasks": "1",
        "cpus-per-task": str(cores),
        "mem": asked.memory,
        "gres": f"gpu:{submission.gpus}" if submission.gpus else None,
        "time": _clock(asked.hours),
        "partition": asked.partition,
        "account": asked.account,
        "qos": asked.qos,
    }
    for name, value in said.items():
        told = extra.pop(name, value)
        if told is not None:
            yield _setting(name, told)
    yield "--requeue"
    yield f"--signal=B:USR1@{_NOTICE}"
    for name, value in extra.items():
        yield _setting(name, value)


def _setting(name: str, value: str) -> str:
    if not value:
        return f"--{name}"
    return f"--{name}={value}" if _BARE.fullmatch(value) else f'--{name}="{value}"'


def _driver(submission: Submission) -> list[str]:
    several = submission.gpus > 1
    devices = ["--devices", ",".join(map(str, range(submission.gpus)))] if several else []
    return [*submission.driver, *devices]


def _clock(hours: float) -> str:
    minutes = max(1, round(60 * hours))
    return f"{minutes // 60:02d}:{minutes % 60:02d}:00"


_LISTENING: Final = (
    "# Slurm sends USR1 some minutes before the time is over, and TERM where the job is cancelled.",
    "driver=",
    "told=",
    "over=",
    """trap 'told=yes; over=yes; kill -TERM "$driver" 2>/dev/null' USR1""",
    """trap 'told=yes; kill -TERM "$driver" 2>/dev/null' TERM""",
    "",
)

_WAITING: Final = (
    "driver=$!",
    '[ -z "$told" ] || kill -TERM "$driver"',
    'wait "$driver"',
    "code=$?",
    'while [ -n "$told" ]; do  # a signal ends a wait before the run has ended',
    "    told=",
    '    wait "$driver"',
    "    code=$?",
    "done",
)
