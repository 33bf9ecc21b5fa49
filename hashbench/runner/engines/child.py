"""A worker process as whoever started it sees it: text goes in, lines come out.

Needs nothing but the standard library, so that what only passes its lines on stays small.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import IO, Final

STOPPED_LOOKS: Final = 5
"""How many looks, a second apart, have to find a process stopped: a person may stop it and let it
go on at once."""

GPU_LOST: Final = 86
"""Exit code of a worker whose GPU answers no more: an error there ends a process's use of it, so
that only a new one can go on."""


class Child:
    """A process of this machine that runs `hashbench.runner.engines.worker`."""

    def __init__(
        self,
        suite: str,
        folder: str,
        threads: int,
        hear: Callable[[str | None], None],
        *,
        extra: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> None:
        """Start it; it lays out the plan by itself.

        Args:
            suite: as a line of JSON.
            folder: of the store.
            threads: of torch.
            hear: given every line that it says, and `None` once it has ended; in another thread.
            extra: added to its environment.
            cwd: the folder that relative paths of the suite start from, by default this process's.

        Raises:
            OSError: the system gives no process, or no thread.
        """
        self._hear = hear
        self._stopped = 0
        count = str(threads)
        # -P: the current folder must not shadow the installed package.
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", "hashbench.runner.engines.worker", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "OMP_NUM_THREADS": count,
                "MKL_NUM_THREADS": count,
                **(extra or {}),
            },
            cwd=cwd,
            text=True,
        )
        self.say(suite)
        try:
            threading.Thread(target=self._listen, daemon=True).start()
        except RuntimeError as error:  # the system gives no thread: as if it gave no process
            self.kill()
            raise OSError(errno.EAGAIN, str(error)) from None

    def say(self, line: str) -> None:
        """Give it a line: the suite, or the key of a step."""
        stream = self._stream(self._process.stdin)
        with contextlib.suppress(OSError):  # it died; the listener reports that
            stream.write(line + "\n")
            stream.flush()

    def kill(self) -> None:
        """End it at once: what it was making is not stored."""
        self._process.kill()
        self._process.wait()

    def look(self) -> None:
        """Asked every second: end it if it was stopped."""
        self._stopped = self._stopped + 1 if self._is_stopped() else 0
        if self._stopped >= STOPPED_LOOKS:
            self._process.kill()

    def _is_stopped(self) -> bool:
        if not hasattr(os, "waitid"):  # a system that does not tell
            return False
        try:
            options = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self._process.pid, options) is not None
        except ChildProcessError:  # it has ended
            return False

    def exit_reason(self) -> str:
        """How it ended, as words for a person; asked once it has."""
        code = self._process.wait()
        if self._stopped >= STOPPED_LOOKS and code == -signal.SIGKILL:
            return "it was stopped, and did not go on"
        if code == GPU_LOST:
            return "its GPU answered no more, which a new process may mend"
        return f"signal {-code}: out of memory?" if code < 0 else f"exit code {code}"

    def _listen(self) -> None:
        for line in self._stream(self._process.stdout):
            self._hear(line)
        self._hear(None)

    @staticmethod
    def _stream(stream: IO[str] | None) -> IO[str]:
        if stream is None:
            raise RuntimeError("the worker was started without pipes")
        return stream
