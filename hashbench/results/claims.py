"""Which run makes which step: several runs share a store, and nothing is made twice.

Before a run makes a step it takes a claim on it; after that, it looks whether the artifact is
there. Since an artifact is written before its claim is deleted, what is finished is never made
again.

A claim is free once all claims on its step are dead. One is dead when its process has ended for
certain (same start of the same system, and no such process any more), or when it was not renewed
for the length of its lease while the one who wants it watched, by that one's own clock: clocks of
machines differ, and none is compared with another. So a killed run frees its steps at once for runs
beside it, and within a lease for those of other machines and of other containers.

Who wants a step writes the next number, which the file system gives to one alone; then looks again,
and withdraws if there is a claim that was not there before. Of two that write at the same time at
least one sees the other, whatever numbers they took; if both do, both try again later. A claim that
was held and is taken for dead is deleted by who holds it now. A run that was suspended for longer
than its lease finds its claim gone: what it was making is then another's, and if it is written
twice, it is written the same.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hashbench.errors import UsageError
from hashbench.results.claim_files import (
    DEFAULT_LEASE,
    LEAST_LEASE,
    MOST_LEASE,
    Claim,
    ClaimFiles,
    each,
    name_of,
)
from hashbench.results.holders import Holder, this_process
from hashbench.results.made_by import now

LEASE: Final = "HASHBENCH_LEASE"
"""The variable that says for how many seconds a claim of this run holds that is not renewed."""

_BEATS: Final = 12
"""How often a claim is renewed in the time of its lease."""

_SECONDS_BETWEEN_TRIES: Final = 0.05


@dataclass
class _Held:
    claim: Claim
    lost: bool = False


class Claims:
    """The claims of one run on the steps of one store."""

    def __init__(
        self,
        store: Path,
        *,
        lease: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        files: ClaimFiles | None = None,
        holder: Holder | None = None,
    ) -> None:
        """Hold nothing yet.

        Args:
            store: its folder.
            lease: seconds; by default what `HASHBENCH_LEASE` says, else 60.
            clock: gives seconds; never goes back.
            files: the claims' files.
            holder: this process.

        Raises:
            UsageError: `HASHBENCH_LEASE` is no such number.
        """
        self._lease = lease_of_surroundings() if lease is None else lease
        self._clock = clock
        self._files = ClaimFiles(store) if files is None else files
        self._holder = this_process() if holder is None else holder
        self._run = secrets.token_hex(8)
        self._held: dict[str, _Held] = {}
        self._watched: dict[tuple[str, int], tuple[tuple[str, int], float]] = {}
        self._alone = threading.Lock()
        self._closed = threading.Event()
        self._heart: threading.Thread | None = None

    def take(self, key: str, label: str, part_of: str = "") -> bool:
        """Take the claim on a step, unless another run holds it, or takes it just now.

        Args:
            key: of the step.
            label: what is made, for people.
            part_of: the key of the step that this one is a part of; empty where it is none.

        Raises:
            WriteError: it cannot be written.
        """
        name = name_of(key)
        before = self._look(name)
        if any(self._holds(claim) for claim in before):
            return False
        number = max((claim.number for claim in before), default=0) + 1
        own = Claim(
            name,
            number,
            run=self._run,
            holder=self._holder,
            label=label,
            since=now(),
            lease=self._lease,
            part_of=name_of(part_of),
        )
        if not self._files.make(own):
            return False
        known = {(claim.number, claim.mark) for claim in before}
        for other in self._look(name):
            if other.number != number and (other.number, other.mark) not in known:
                self._files.delete(own)
                return False
        for dead in before:
            self._files.delete(dead)
        with self._alone:
            self._held[name] = _Held(own)
        self._beat()
        return True

    def is_free(self, key: str) -> bool:
        """Whether no other run holds the claim on a step; looks, takes nothing."""
        return not any(self._holds(claim) for claim in self._look(name_of(key)))

    def release(self, key: str) -> bool:
        """Give a step up, or say that it is done; whether its claim was held to the end."""
        with self._alone:
            held = self._held.pop(name_of(key), None)
        if held is None:
            return False
        lost = held.lost
        with contextlib.suppress(OSError):
            self._files.delete(held.claim)
        return not lost

    def keeps(self, key: str) -> bool:
        """Whether this run holds a step, as far as it has heard."""
        with self._alone:
            held = self._held.get(name_of(key))
            return held is not None and not held.lost

    @contextmanager
    def waiting(self, key: str, label: str) -> Iterator[None]:
        """Hold a claim for a block of code, as soon as nobody else does.

        Raises:
            WriteError: it cannot be written.
        """
        while not self.take(key, label):
            # Two that withdrew for each other must not meet again.
            time.sleep(_SECONDS_BETWEEN_TRIES * (0.5 + secrets.randbelow(1000) / 1000))
        try:
            yield
        finally:
            self.release(key)

    def others(self) -> list[Claim]:
        """The claims that other runs hold, as far as is known by now."""
        return [claim for claim in each(self._files) if self._holds(claim)]

    def renew(self) -> None:
        """Show that the claims of this run are held; those that another run took are lost."""
        with self._alone:
            held = list(self._held.values())
        for one in held:
            with contextlib.suppress(OSError):  # the next time, then
                if not self._files.renew(one.claim):
                    one.lost = True

    def sweep(self) -> None:
        """Delete dead claims and what killed runs left half-written; for the only run there."""
        for claim in each(self._files):
            if claim.run != self._run and not self._holds(claim):
                self._files.delete(claim)
        self._files.sweep()
        self._files.tidy()

    def close(self) -> None:
        """Give up all that is held, and renew nothing any more."""
        self._closed.set()
        heart = self._heart
        if heart is not None:
            heart.join()
        with self._alone:
            held, self._held = list(self._held.values()), {}
        for one in held:
            with contextlib.suppress(OSError):
                self._files.delete(one.claim)
        self._files.tidy()

    def _look(self, name: str) -> list[Claim]:
        looked = (self._files.look(name, number) for number in self._files.numbers(name))
        return [claim for claim in looked if claim is not None]

    def _holds(self, claim: Claim) -> bool:
        """Whether a claim of another run has to be respected."""
        if claim.run == self._run or claim.holder.is_gone(self._holder):
            return False
        place, moment = (claim.name, claim.number), self._clock()
        mark, since = self._watched.get(place, (None, moment))
        if mark != claim.mark:
            self._watched[place] = (claim.mark, moment)
            return True
        return moment - since < claim.lease

    def _beat(self) -> None:
        if self._heart is None:
            # It computes nothing, and may be cut off at any time: a process that ends does not
            # wait for it.
            self._heart = threading.Thread(target=self._renew_all, daemon=True)
            with contextlib.suppress(RuntimeError):  # the system gives no thread: a lease it is
                self._heart.start()
                return
            self._heart = None

    def _renew_all(self) -> None:
        while not self._closed.wait(self._lease / _BEATS):
            self.renew()


def lease_of_surroundings() -> float:
    """Seconds that a claim holds if it is not renewed: `HASHBENCH_LEASE`, or 60.

    Raises:
        UsageError: it is no number of seconds from 0.1 to 3600.
    """
    said = os.environ.get(LEASE, "").strip()
    if not said:
        return DEFAULT_LEASE
    try:
        seconds = float(said)
    except ValueError:
        seconds = math.nan
    if not LEAST_LEASE <= seconds <= MOST_LEASE:
        raise UsageError(
            f"{LEASE} is '{said[:60]}', but must be a number of seconds from {LEAST_LEASE} to "
            f"{MOST_LEASE:,.0f}"
        )
    return seconds
