"""What commands on crafted files may cost: held against limits, and written for whoever looks."""

from __future__ import annotations

import sys

from support.trials import Trial

MOST_MEGABYTES = 200
"""Beyond the imports."""


class Largest:
    """What some commands cost at most."""

    def __init__(self) -> None:
        self._count = 0
        self._seconds = self._megabytes = 0.0
        self._slowest: object = None

    def note(self, trial: Trial, what: object) -> None:
        """A command has ended: not in a traceback, not hung, within its memory."""
        self._count += 1
        if trial.seconds > self._seconds:
            self._seconds, self._slowest = trial.seconds, what
        self._megabytes = max(self._megabytes, trial.megabytes)
        assert not trial.hung, what
        assert not trial.crashed, (what, trial.err)
        assert trial.megabytes <= MOST_MEGABYTES, (what, trial.megabytes)

    def show(self) -> None:
        """The largest figures; pytest shows them with `-s`."""
        sys.stdout.write(
            f"{self._count} commands: at most {self._seconds:.2f} s of processor time "
            f"({self._slowest}), {self._megabytes:.0f} MB\n"
        )
