"""What a plan in a store says: the cells asked for, and the artifacts that they come from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hashbench.data.protocol import Protocol
from hashbench.errors import StoreError, UsageError
from hashbench.records import migrated, read
from hashbench.results.artifacts import SCORES as SCORES_FILE
from hashbench.results.cell import AttackFacts, Cell
from hashbench.results.migrations import MIGRATIONS, PLAN, SCORES
from hashbench.results.store import SCHEMA, Address, Store


@dataclass(frozen=True)
class StoredCell:
    """One cell of a plan.

    Attributes:
        cell: what was asked for.
        scores: where its result lies.
        steps: all that it is made from, each after what it reads from; may repeat.
        attack: a hash of the attack's parameters, version and source; empty for clean queries.
        facts: what reports have to know of the attack; `None` for clean queries.
    """

    cell: Cell
    scores: Address
    steps: tuple[Address, ...]
    attack: str = ""
    facts: AttackFacts | None = None


@dataclass(frozen=True)
class StoredPlan:
    """What a run was asked for.

    Attributes:
        cells: every cell, clean ones included.
        protocols: the protocol cards by hash.
        trainings: by hash, what cells of one training share.
        asked: when, ISO 8601: the latest plan speaks for a cell.
        suite: as it was asked for; for people to look at.
    """

    cells: tuple[StoredCell, ...]
    protocols: Mapping[str, Protocol]
    trainings: Mapping[str, Mapping[str, Any]]
    asked: str = ""
    suite: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredCurve:
    """Precision at levels of recall."""

    recall: tuple[float, ...]
    precision: tuple[float, ...]


@dataclass(frozen=True)
class StoredScores:
    """What was measured of a cell.

    Attributes:
        metrics: value by name, see `hashbench.results.metrics`.
        curve: averaged over the queries.
    """

    metrics: Mapping[str, float]
    curve: StoredCurve


def stored_scores(store: Store, address: Address) -> StoredScores:
    """The scores of a cell that is there, of whatever format.

    Raises:
        StoreError: they are damaged.
    """
    path = store.file(address, SCORES_FILE)
    record = store.record(address) or {}
    try:
        plain = json.loads(path.read_text())
        since = record.get("schema", SCHEMA)
        return read(StoredScores, migrated(MIGRATIONS, SCORES, plain, since, SCHEMA), str(path))
    except (UsageError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read ({error}); run the suite again") from error


def stored_plans(store: Store) -> Iterator[StoredPlan]:
    """Every plan of a folder, of whatever format, in the order in which they were last asked for.

    Raises:
        StoreError: a damaged plan, or one of a newer hashbench.
    """
    for plan in store.plans():
        where = f"folder {store.folder}: a plan is damaged"
        try:
            yield read(StoredPlan, migrated(MIGRATIONS, PLAN, plan, plan["schema"], SCHEMA), where)
        except UsageError as error:
            raise StoreError(f"{error}; run the suite again") from error
        except (KeyError, TypeError, AttributeError) as error:  # what a migration looks for
            raise StoreError(f"{where} ({error!r}); run the suite again") from error
