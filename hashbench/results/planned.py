"""What a plan in a store says: the cells asked for, and the artifacts that they come from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from hashbench.characters import shortened, shown
from hashbench.data.protocol import Protocol
from hashbench.errors import StoreError, UsageError
from hashbench.records import migrated, read
from hashbench.results.address import Address
from hashbench.results.cell import CLEAN, AttackFacts, Cell
from hashbench.results.covering import CoveredPlan, file_sum, newest_first
from hashbench.results.limits import (
    check_cell,
    check_facts,
    check_protocol,
    check_training,
    check_version,
)
from hashbench.results.migrations import MIGRATIONS, PLAN
from hashbench.results.store import Store
from hashbench.results.sums import SCHEMA


@dataclass(frozen=True)
class StoredCell:
    """One cell of a plan.

    Attributes:
        cell: what was asked for.
        scores: where its result lies.
        steps: all that it is made from, each after what it reads from; may repeat.
        attack: a hash of the attack's parameters, version and source, or of the code that proves
            a certificate; empty for clean queries.
        facts: what reports have to know of the attack; `None` for clean queries.
        model: the defended model among the steps; `None` where a plan says of none.
        made: a hash of how the model is made, whatever its seed; empty where it is not known.
    """

    cell: Cell
    scores: Address
    steps: tuple[Address, ...]
    attack: str = ""
    facts: AttackFacts | None = None
    model: Address | None = None
    made: str = ""

    def __post_init__(self) -> None:
        """Refuse what no run can have asked for.

        Raises:
            UsageError: a value is out of its range, or the facts are of another attack.
        """
        check_cell(self.cell)
        check_version(self.attack)
        check_version(self.made)
        if self.facts is not None:
            check_facts(self.facts)
            if self.cell.attack == CLEAN:
                raise UsageError("clean queries have facts of an attack")


@dataclass(frozen=True)
class StoredPlan:
    """What a run was asked for.

    Attributes:
        cells: every cell, clean ones included.
        protocols: the protocol cards by hash.
        trainings: by hash, what cells of one training share.
        number: the largest one of a folder is of the plan that was last asked for; 0 in the formats
            1 and 2, which go by `asked`.
        asked: when, ISO 8601; for people to look at.
        sha256: the sum of the plan.
        suite: as it was asked for; for people to look at.
        command: what asks for the same; for people to look at.
        environment: versions, device, threads and git state of the run.
        covers: by name, the folder's earlier plans whose cells it all names.
    """

    cells: tuple[StoredCell, ...]
    protocols: Mapping[str, Protocol]
    trainings: Mapping[str, Mapping[str, Any]]
    number: int = 0
    asked: str = ""
    sha256: str = ""
    suite: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    covers: Mapping[str, CoveredPlan] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a plan that asks for nothing, or whose parts do not fit together.

        Raises:
            UsageError: it has no cells, a cell twice, or a cell whose protocol or training is not
                described or is another one than it says.
        """
        if not self.cells:
            raise UsageError("it asks for no cell")
        for key, protocol in self.protocols.items():
            check_protocol(protocol)
            if protocol.hash != key:
                raise UsageError(f"the protocol {key[:12]} is not what its hash says")
        for training in self.trainings.values():
            check_training(training)
        for cell in (planned.cell for planned in self.cells):
            protocol_of_cell = self.protocols.get(cell.protocol)
            if protocol_of_cell is None or protocol_of_cell.dataset != cell.dataset:
                raise UsageError(f"it does not describe the protocol {cell.protocol[:12]}")
            if cell.training not in self.trainings:
                raise UsageError(f"it does not describe the training {cell.training[:12]}")
        if len({planned.cell for planned in self.cells}) < len(self.cells):
            raise UsageError("it asks for a cell twice")

    @property
    def place(self) -> tuple[int, str, str]:
        """What plans are ordered by, those of several folders too: the last one speaks for a cell.

        Plans without a number are of older formats and come before all others. Two of one number
        come from folders that were merged, or are read together. None of them is known to be the
        later one: the clock decides, then the sum, so that the order of folders never matters.
        """
        return (self.number, self.asked, self.sha256)


def stored_plans(store: Store) -> Iterator[StoredPlan]:
    """Every plan of a folder, of whatever format, the one that was last asked for at the end.

    Raises:
        StoreError: a damaged plan, or one of a newer hashbench.
    """
    known = _Known()
    plans = [_stored(store, name, known) for name in store.plan_names()]
    yield from sorted(plans, key=lambda plan: plan.place)


@dataclass(frozen=True)
class FolderPlans:
    """The plans of one folder.

    Attributes:
        plans: those that say anything of a cell, the one that was last asked for at the end.
        covered: by name, those whose cells one of these all names.
        troubles: what could not be read, a sentence each.
    """

    plans: tuple[StoredPlan, ...]
    covered: Mapping[str, CoveredPlan] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()


def readable_plans(store: Store) -> FolderPlans:
    """The plans of a folder that can be read; those that a later one covers are not."""
    known = _Known()
    plans: dict[str, StoredPlan] = {}
    covered: dict[str, CoveredPlan] = {}
    troubles: dict[str, str] = {}
    names = store.plan_names()
    for name in (path.stem for path in newest_first([store.plan_path(name) for name in names])):
        if name in covered and file_sum(store.plan_path(name)) == covered[name].file:
            continue
        covered.pop(name, None)  # it was changed since
        try:
            plans[name] = plan = _stored(store, name, known)
        except StoreError as error:
            troubles[name] = str(error)
            continue
        for other, note in plan.covers.items():
            waiting = other in names and other not in plans and other not in troubles
            if waiting and note.number < plan.number:
                covered.setdefault(other, note)
    ordered = sorted(plans.values(), key=lambda plan: plan.place)
    return FolderPlans(tuple(ordered), covered, tuple(troubles.values()))


def stored_plan(store: Store, name: str) -> StoredPlan:
    """One plan of a folder; errors as of `stored_plans`, and where there is none of that name."""
    return _stored(store, name, _Known())


def unwritten_plan(record: Mapping[str, Any]) -> StoredPlan:
    """A plan as it would be written into a folder now, and read from there.

    Args:
        record: see `hashbench.runner.plan_record`.
    """
    written = json.loads(json.dumps(record))  # codes of enums as text
    return read(StoredPlan, _whole(written, _Known()), "")


@dataclass(frozen=True)
class _Known:
    """What other plans of the folder hold.

    Attributes:
        cells: by all that says which of them is the latest; see `_identity`.
        addresses: by kind, slug and key.
    """

    cells: dict[tuple[Any, ...], StoredCell] = field(default_factory=dict)
    addresses: dict[tuple[str, str, str], Address] = field(default_factory=dict)

    def address(self, value: Any) -> Any:
        """An address out of plain data, or what `read` refuses with the right words."""
        if not isinstance(value, Mapping) or value.keys() != _ADDRESS:
            return value
        words = (value["kind"], value["slug"], value["key"])
        if not all(isinstance(word, str) for word in words):
            return value
        if words not in self.addresses:
            self.addresses[words] = read(Address, value, "")
        return self.addresses[words]


def _stored(store: Store, name: str, known: _Known) -> StoredPlan:
    """One plan; a cell that another plan names with the same artifacts is not read once more."""
    plan = store.plan(name)
    try:
        current = migrated(MIGRATIONS, PLAN, plan, plan["schema"], SCHEMA)
        found = read(StoredPlan, _whole(current, known), "")
        known.cells.update((_identity(one), one) for one in found.cells)
        return found
    except UsageError as error:
        cause = str(error)
    except (KeyError, TypeError, AttributeError) as error:  # what a migration looks for
        cause = shortened(repr(error))
    raise StoreError(
        shown(f"{store.plan_path(name)}: the plan is damaged: {cause}; run the suite again")
    )


def _whole(plan: Mapping[str, Any], known: _Known) -> dict[str, Any]:
    """A plan whose cells hold addresses and facts, not their places in the plan's tables.

    A plan names each address and each attack once, and thousands of cells name their places.
    """
    addresses = [known.address(address) for address in plan.get("addresses", ())]
    facts = list(plan.get("facts", ()))

    def address(value: Any) -> Any:
        named = _at(addresses, value, "address") if type(value) is int else value
        return known.address(named)

    whole = (_whole_cell(cell, address, facts) for cell in plan["cells"])
    return {**plan, "cells": [_known_cell(cell, known.cells) for cell in whole]}


_ADDRESS = frozenset(("kind", "slug", "key"))
_FIELDS = tuple(field.name for field in fields(Cell))
_CELL = frozenset(_FIELDS)


def _identity(planned: StoredCell) -> tuple[Any, ...]:
    names = tuple(getattr(planned.cell, name) for name in _FIELDS)
    return (names, planned.scores, planned.model, planned.attack, planned.made)


def _known_cell(whole: Any, known: Mapping[tuple[Any, ...], StoredCell]) -> Any:
    """The same cell of another plan, or what it was."""
    if not known or not isinstance(whole, dict) or not isinstance(whole.get("cell"), dict):
        return whole
    cell = whole["cell"]
    if cell.keys() != _CELL:
        return whole
    names = tuple(cell[name] for name in _FIELDS)
    made = (whole.get("model"), whole.get("attack", ""), whole.get("made", ""))
    try:
        return known.get((names, whole.get("scores"), *made), whole)
    except TypeError:  # a list, say: `read` refuses it
        return whole


def _whole_cell(cell: Any, address: Callable[[Any], Any], facts: list[Any]) -> Any:
    if not isinstance(cell, Mapping):
        return cell
    whole = dict(cell)
    for name in ("scores", "model"):
        if name in cell:
            whole[name] = address(cell[name])
    if isinstance(cell.get("steps"), list | tuple):
        whole["steps"] = tuple(address(step) for step in cell["steps"])
    if type(cell.get("facts")) is int:
        whole["facts"] = _at(facts, cell["facts"], "attack")
    return whole


def _at(table: list[Any], place: int, what: str) -> Any:
    if not 0 <= place < len(table):
        raise UsageError(f"it has no {what} number {shortened(str(place))}")
    return table[place]
