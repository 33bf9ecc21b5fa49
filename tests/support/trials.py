"""Runs `hashbench` commands on files that were made to break them, and measures what each costs.

A command line of its own for each of thousands of files would take hours to import. So one process
imports everything once, and forks for each command: what a fork uses, it uses for that file.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

PATIENCE = 120
"""Wall-clock seconds after which a command counts as hung: a file may claim gigabytes, and the sum
of each byte of them takes nine seconds of a processor that does nothing else."""

ROOM = 2 * 2**30
"""Bytes that a command may ask for on top of its imports before the system refuses: a guard for the
machine; what is held against the limit is what was used."""

TRACEBACK = 70
"""The exit code of a command that ended in an exception that is not ours."""

IMPORTED = (
    "hashbench.cli.app",
    "hashbench.runner.run",
    "hashbench.runner.estimate",
    "hashbench.zoo.importing",
    "hashbench.results.load",
    "pandas",
    "torchvision.models",
)
"""What the commands import before they look at a file; all plugins are as well."""


@dataclass(frozen=True)
class Trial:
    """What one command did.

    Attributes:
        code: its exit code; negative: the signal that ended it.
        out, err: what it printed.
        seconds: processor time.
        megabytes: memory beyond what the imports hold, at the highest; without what files on the
            disk fill, which the system takes back.
        hung: it was ended after `PATIENCE` seconds.
    """

    code: int
    out: str
    err: str
    seconds: float
    megabytes: float
    hung: bool

    @property
    def crashed(self) -> bool:
        """Whether it ended in a traceback or by a signal."""
        return self.code == TRACEBACK or self.code < 0 or "Traceback (most recent" in self.err


class Trials:
    """A process that has everything imported; a context manager."""

    def __init__(
        self, modules: Sequence[str] = IMPORTED, env: Mapping[str, str] | None = None
    ) -> None:
        """Import these modules in it; `env` is added to the environment that it starts in."""
        self._server = subprocess.Popen(
            [sys.executable, "-P", __file__, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""} | dict(env or {}),
        )

    def __enter__(self) -> Trials:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._server.stdin is not None:
            self._server.stdin.close()
        self._server.wait(PATIENCE)
        if self._server.stdout is not None:
            self._server.stdout.close()

    def run(self, *arguments: str, cwd: Path, env: Mapping[str, str | None] | None = None) -> Trial:
        """Run `hashbench` with these arguments in a folder.

        Args:
            arguments: after the command's name.
            cwd: the folder.
            env: added to the environment; `None` takes a variable away.
        """
        job = {"arguments": arguments, "cwd": str(cwd), "env": dict(env or {})}
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        return Trial(**json.loads(self._server.stdout.readline()))


def _serve(modules: Sequence[str]) -> None:
    for module in modules:
        __import__(module)
    from hashbench import plugins

    plugins.registry()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(asdict(_forked(json.loads(line)))) + "\n")
        sys.stdout.flush()


def _forked(job: Mapping[str, object]) -> Trial:
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        tempfile.TemporaryFile() as held,
    ):
        child = os.fork()
        if child == 0:
            os.pwrite(held.fileno(), _held(), 0)
            _command(job, out.fileno(), err.fileno(), held.fileno())
        ended, hung = _waited(child)
        code = os.waitstatus_to_exitcode(ended[0])
        texts = []
        held.seek(0)
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="surrogateescape").encode("utf-8", "replace"))
        return Trial(
            code=code,
            out=texts[0].decode(),
            err=texts[1].decode(),
            seconds=ended[1].ru_utime + ended[1].ru_stime,
            megabytes=_beyond(held.read(), ended[1].ru_maxrss) / 1024,
            hung=hung,
        )


def _waited(child: int) -> tuple[tuple[int, resource.struct_rusage], bool]:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found, status, usage = os.wait4(child, os.WNOHANG)
        if found:
            return (status, usage), False
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    return (status, usage), True


def _held() -> bytes:
    """KiB of this process: all, and those of files, 16 characters each.

    A fork begins without the pages of the libraries' files, and has them again as it uses them.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return b"".join(b"%16d" % int(fields[name].split()[0]) for name in ("VmRSS", "RssFile"))


def _beyond(held: bytes, highest: int) -> int:
    """KiB that a command took; `held` is what it had at its start and, unless killed, its end."""
    start, start_files = int(held[:16]), int(held[16:32])
    files = int(held[48:64]) if len(held) == 64 else start_files
    return max(0, highest - start - (files - start_files))


def _command(job: Mapping[str, object], out: int, err: int, held: int) -> None:
    """In the fork: never returns."""
    code = TRACEBACK
    try:
        arguments, env = job["arguments"], job["env"]
        assert isinstance(arguments, list)
        assert isinstance(env, dict)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.chdir(_as_given(str(job["cwd"])))
        for name, value in env.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        used = _virtual_bytes()
        resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
        sys.argv = ["hashbench", *map(_as_given, arguments)]
        from hashbench.cli.app import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # the fork must never go on as the server
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                code = code or TRACEBACK
        os.pwrite(held, _held(), 32)
        os._exit(code)


def _as_given(word: str) -> str:
    """A word as Python finds it at its start: bytes in UTF-8, read as the locale says."""
    return os.fsdecode(word.encode("utf-8", "surrogateescape"))


def _virtual_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[0]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    _serve(sys.argv[1:])
