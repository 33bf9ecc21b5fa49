"""Which process holds a claim, and whether it is known to be gone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hashbench.results.made_by import host

_PROC: Final = Path("/proc")

_ENDED: Final = ("Z", "X")
"""States of a process that has ended, and that its parent has not asked for yet."""

_MOST_PID: Final = 2**31 - 1


@dataclass(frozen=True)
class Holder:
    """A process, as another one can look for it.

    Attributes:
        host: the name of its machine; for people, since two machines may have one name.
        machine: where its number means something: this start of the system, and the space of
            process numbers (a container has one of its own); empty where that is not known.
        pid: its number there.
        began: when it began, in ticks since the system did: another process that got the same
            number later began later. Empty where that is not known.
    """

    host: str = ""
    machine: str = ""
    pid: int = 0
    began: str = ""

    def is_gone(self, seen_from: Holder) -> bool:
        """Whether it has ended for certain; what cannot be known is not certain.

        Args:
            seen_from: the process that asks.
        """
        if not self.machine or self.machine != seen_from.machine or not 0 < self.pid <= _MOST_PID:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # it is another user's
            pass
        try:
            _, state, began = _status(str(self.pid))
        except (OSError, ValueError):  # a system may hide the processes of others
            return False
        return began != self.began or state in _ENDED


def this_process() -> Holder:
    """The process that asks."""
    name, pid = host(), os.getpid()
    try:
        start = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        space = str((_PROC / "self/ns/pid").readlink())
        own, _, began = _status("self")
    except (OSError, ValueError):  # a system without /proc: claims go by their leases alone
        return Holder(name, "", pid, "")
    # Where /proc is that of another space, numbers in it are not ours.
    return Holder(name, f"{start} {space}" if own == pid else "", pid, began)


def _status(name: str) -> tuple[int, str, str]:
    """Number, state and beginning of a process; see proc(5), `stat`."""
    text = (_PROC / name / "stat").read_text(errors="replace")
    number, _, rest = text.partition(" ")
    fields = rest.rpartition(")")[2].split()  # its name stands in brackets, and may hold any
    if len(fields) < 20:
        raise ValueError(f"{name}: no status of a process")
    return int(number), fields[0], fields[19]
