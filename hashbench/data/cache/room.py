"""Memory that decoders may take at the same time, over all threads of the process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Room:
    """So many bytes, which are taken and given back."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, amount: int) -> Iterator[None]:
        """Wait until so many bytes are free, and hold them; more than there are means all."""
        amount = min(amount, self.size)
        with self._changed:
            self._changed.wait_for(lambda: self._taken + amount <= self.size)
            self._taken += amount
        try:
            yield
        finally:
            with self._changed:
                self._taken -= amount
                self._changed.notify_all()
