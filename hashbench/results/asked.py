"""What the runs of a folder were asked for, one after the other. Plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from typing_extensions import override

from hashbench.results.cell import Cell
from hashbench.results.suite_text import suite_text


class CellsOfRun(AbstractSet[Cell]):
    """The cells of a run, looked up when they are first asked for: of most runs nobody asks."""

    def __init__(self, read: Callable[[], Iterable[Cell]]) -> None:
        """Take the function that gives them."""
        self._read = read

    @cached_property
    def _cells(self) -> frozenset[Cell]:
        return frozenset(self._read())

    @override
    def __contains__(self, cell: object) -> bool:
        return cell in self._cells

    @override
    def __iter__(self) -> Iterator[Cell]:
        return iter(self._cells)

    @override
    def __len__(self) -> int:
        return len(self._cells)

    @override
    def __hash__(self) -> int:
        return hash(self._cells)


@dataclass(frozen=True)
class Asked:
    """What one run was asked for.

    Attributes:
        folder: of results, as it was named.
        suite: the name of its suite; empty where a plan does not say.
        cells: all of them, clean ones included.
        date: when, ISO 8601; empty where nobody wrote it down.
        command: what asks for the same cells, without the paths of a machine: `hashbench run NAME`
            of a suite that ships, options, or `hashbench run NAME.toml`, whose text is
            `suite_text`. Empty in older folders, and for a model in memory.
        asked: the suite as plain data, the keys of a suite file.
        made_with: versions, processor, device, threads and git state of the run, by name.
    """

    folder: str
    suite: str
    cells: AbstractSet[Cell]
    date: str = field(default="", compare=False)
    command: str = field(default="", compare=False)
    asked: Mapping[str, Any] = field(default_factory=dict, compare=False)
    made_with: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def suite_text(self) -> str:
        """A suite file, TOML, for `hashbench run`; empty where there can be none."""
        return suite_text(self.asked)


def last_of_each(asked: Iterable[Asked]) -> tuple[Asked, ...]:
    """The last run of every folder.

    Args:
        asked: the runs, each after those that were asked for before it.
    """
    return tuple({run.folder: run for run in asked}.values())
