"""A training that goes on from its last finished epoch, to the byte as if it had never stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import numpy as np
from typing_extensions import override

from hashbench.errors import FileError
from hashbench.hashing.kept import (
    Kept,
    Tree,
    UnsaidError,
    copied,
    given,
    packed,
    size_of,
    taken,
    unpacked,
)
from hashbench.hashing.together import Processes

# What a file may have beyond the state at the start: an optimiser's first and second moments, and
# losses, which all come later.
_GROWTH: Final = 4
_SPARE: Final = 1 << 24


class Unfinished(Protocol):
    """Where the state of one unfinished training lies."""

    @property
    def made_by(self) -> str:
        """What the state depends on: it goes on only where that is the same."""

    def read(self, limit: int) -> bytes | None:
        """What was last written; `None` where there is nothing that can be read.

        Args:
            limit: the most bytes that it may have.
        """

    def write(self, content: bytes) -> None:
        """Put a state in the place of the last one, whole or not at all."""


class FirstReads(Unfinished):
    """A place that the first of several processes reads and writes; the others get what it read."""

    def __init__(self, place: Unfinished, processes: Processes) -> None:
        """Share a place between the processes of one training."""
        self._place = place
        self._processes = processes
        said = processes.from_first(place.made_by.encode()) or b""
        self._made_by = said.decode()

    @property
    @override
    def made_by(self) -> str:
        """That of the first one: what it takes for its own, all take."""
        return self._made_by

    @override
    def read(self, limit: int) -> bytes | None:
        first = self._processes.first
        return self._processes.from_first(self._place.read(limit) if first else None)

    @override
    def write(self, content: bytes) -> None:
        if self._processes.first:
            self._place.write(content)


class Resumable:
    """The state of one training, written after every epoch."""

    def __init__(self, kept: Mapping[str, Kept], place: Unfinished | None) -> None:
        """Nothing is read or written without a place, or where a part does not say what changes.

        Args:
            kept: all that changes, by name.
            place: where it is written.
        """
        self._kept = kept
        self._place = place
        self._start: Tree = None
        if place is not None:
            try:
                self._start = copied(self._taken())
            except UnsaidError:
                self._place = None

    def resume(self, steps: int) -> tuple[int, list[float]]:
        """Go on from what was last written, if it is of this training and undamaged.

        Args:
            steps: of the whole training.

        Returns:
            The epochs that are done, and the losses of their steps.
        """
        start, self._start = self._start, None
        if self._place is None:
            return 0, []
        limit = _SPARE + _GROWTH * size_of(start) + 8 * steps
        content = self._place.read(limit)
        if content is None:
            return 0, []
        try:
            state = unpacked(content, self._place.made_by)
            epochs, losses = _done(state)
            for name, one in self._kept.items():
                given(one, state["kept"][name])
        except Exception:  # sums hold, but it is not ours: anything may be wrong with it
            for name, one in self._kept.items():
                given(one, start[name])
            return 0, []
        return epochs, losses

    def keep(self, epochs: int, losses: list[float]) -> None:
        """Write the state after so many epochs."""
        if self._place is not None:
            done = {"epochs": epochs, "losses": np.array(losses, dtype=np.float64)}
            self._place.write(packed({**done, "kept": self._taken()}, self._place.made_by))

    def _taken(self) -> dict[str, Tree]:
        return {name: taken(one) for name, one in self._kept.items()}


def _done(state: Tree) -> tuple[int, list[float]]:
    epochs, losses = state["epochs"], state["losses"]
    if type(epochs) is not int or epochs < 1 or losses.ndim != 1 or losses.dtype != np.float64:
        raise FileError("it does not say how far the training has come")
    return epochs, losses.tolist()
