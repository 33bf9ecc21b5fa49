"""What runs of matches were asked for, as a folder keeps it: `matches/<hash>.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from hashbench.atomic import write_file
from hashbench.errors import FileError, StoreError, UsageError
from hashbench.files import parsed_json, read_bytes
from hashbench.records import read
from hashbench.results.address import Address
from hashbench.results.artifacts import MATCH_PLANS, MAX_PLAN_BYTES
from hashbench.results.finished import cause_of
from hashbench.results.matches.results import MatchCell, PictureSetCard, Threat
from hashbench.results.store import Store
from hashbench.results.sums import SCHEMA, Summed, checked_record, sealed

_MAX_VALUES: Final = 10_000_000


@dataclass(frozen=True)
class PlannedMatch:
    """One cell of a plan.

    Attributes:
        cell: what was asked for.
        threat: what it shows.
        bits: the length of the hash.
        threshold: the distance up to which two pictures match.
        scores: where its result lies.
        steps: what it is made from.
        black_box: as in `MatchResult`.
        queries: likewise.
        files: where all files of it lie that succeed, if they were asked for.
    """

    cell: MatchCell
    threat: Threat
    bits: int
    threshold: int
    scores: Address
    steps: tuple[Address, ...] = ()
    black_box: bool = False
    queries: int = 0
    files: tuple[Address, ...] = ()

    @property
    def kept(self) -> tuple[Address, ...]:
        """All that lies in a store of it: what it is made from, and what was kept beside it."""
        return (self.scores, *self.steps, *self.files)


@dataclass(frozen=True)
class MatchPlan:
    """What one run was asked for.

    Attributes:
        number: the largest one of a folder is of the plan that was last asked for.
        cells: all of them.
        sets: the cards of the sets of pictures, by the key that cells name.
        asked: when, ISO 8601.
        command: what asks for the same.
        environment: versions, processor and git state of the run.
    """

    number: int
    cells: tuple[PlannedMatch, ...]
    sets: Mapping[str, PictureSetCard]
    asked: str = ""
    command: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> tuple[int, str]:
        """What plans are ordered by: the last one speaks for a cell."""
        return (self.number, self.asked)


def holds_matches(folder: Path) -> bool:
    """Whether a folder holds plans of matches."""
    return any(_paths(folder))


def write_match_plan(store: Store, name: str, plan: MatchPlan) -> None:
    """Note what a run was asked for."""
    record = sealed({"schema": SCHEMA, **json.loads(json.dumps(asdict(plan)))})
    write_file(store.folder / MATCH_PLANS / f"{name}.json", (json.dumps(record) + "\n").encode())


def match_plans(store: Store) -> Iterator[MatchPlan]:
    """The plans of a folder, the one that was last asked for at the end.

    Raises:
        StoreError: one is damaged, or of a newer hashbench.
    """
    yield from sorted((plan for _, plan in named_match_plans(store)), key=_place)


def named_match_plans(store: Store) -> list[tuple[str, MatchPlan]]:
    """The plans of a folder by the names of their files; raises as `match_plans`."""
    return [(path.stem, read_match_plan(path)) for path in _paths(store.folder)]


def readable_match_plans(store: Store) -> tuple[tuple[MatchPlan, ...], tuple[str, ...]]:
    """The plans that can be read, the last one last; and a sentence for each other one."""
    plans, troubles = [], []
    for path in _paths(store.folder):
        try:
            plans.append(read_match_plan(path))
        except StoreError as error:
            troubles.append(str(error))
    return tuple(sorted(plans, key=_place)), tuple(troubles)


def next_match_number(store: Store) -> int:
    """One more than the number of any plan that is there and can be read."""
    plans, _ = readable_match_plans(store)
    return 1 + max((plan.number for plan in plans), default=0)


def read_match_plan(path: Path) -> MatchPlan:
    """One plan; raises as `match_plans`."""
    try:
        content = parsed_json(read_bytes(path, MAX_PLAN_BYTES, links=False), values=_MAX_VALUES)
        record: Any = checked_record(content, Summed.PLAN)
        return read(MatchPlan, {k: v for k, v in record.items() if k not in _AROUND}, "")
    except (OSError, FileError) as error:
        why = cause_of(error)
    except UsageError as error:
        why = f"the plan is damaged: {error}"
    raise StoreError(f"{path}: cannot be read; run 'hashbench match' again to mend it ({why})")


def latest_of(plans: Iterable[MatchPlan]) -> dict[MatchCell, PlannedMatch]:
    """By cell, what the last plan that names it says."""
    return {planned.cell: planned for plan in plans for planned in plan.cells}


_AROUND: Final = ("schema", "sha256")


def _place(plan: MatchPlan) -> tuple[int, str]:
    return plan.place


def _paths(folder: Path) -> list[Path]:
    return sorted((folder / MATCH_PLANS).glob("*.json"))
