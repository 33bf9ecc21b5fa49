"""A plan as the store keeps it: every address and every attack once, cells name their places."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hashbench.attacking.contract import Attack
from hashbench.eps import Eps, Norm
from hashbench.plugins.card import Access
from hashbench.plugins.parameters import resolved
from hashbench.results.cell import AttackFacts
from hashbench.results.limits import check_cell, check_facts, check_training
from hashbench.results.made_by import made_by
from hashbench.runner.determinism import environment
from hashbench.runner.evaluation_steps import AdversarialCodes, Certificate
from hashbench.runner.fingerprint import describe, sha256_of
from hashbench.runner.plan import Plan, PlannedCell, ancestors
from hashbench.runner.reach import reach_of
from hashbench.runner.steps import DefendedModel, GivenModel, Step
from hashbench.runner.suite_command import command_of
from hashbench.runner.suite_tables import Compute


def plan_record(plan: Plan, asked: str, number: int) -> dict[str, Any]:
    """The plan as plain data; `hashbench.results.planned` reads it.

    Args:
        plan: what was asked for.
        asked: when, ISO 8601, for people.
        number: of the run, see `Store.next_number`: the latest plan speaks for a cell.

    Raises:
        UsageError: a cell or a training is nothing that a plan can hold.
    """
    writer = _Writer()
    cells = [writer.cell(planned) for planned in plan.cells]
    for training in plan.trainings.values():
        check_training(training)
    return {
        "number": number,
        "asked": asked,
        "suite": _readable(plan.suite.to_plain()),
        "command": _readable(command_of(plan.suite)),
        "environment": _conditions(plan.suite.compute),
        "protocols": {key: value.to_plain() for key, value in plan.protocols.items()},
        "trainings": plan.trainings,
        "addresses": writer.addresses,
        "facts": writer.facts,
        "cells": cells,
    }


def _conditions(compute: Compute) -> dict[str, str]:
    """What the run is made with and on; recorded, no part of a key."""
    return {
        **environment(),
        **made_by(),
        "device": compute.device,
        "threads": str(compute.threads),
        "precision": compute.precision,
        **({} if compute.other_search is None else {"search": compute.other_search}),
    }


class _Writer:
    """Keeps what many cells share.

    Attributes:
        addresses, facts: the tables that cells name places of.
    """

    def __init__(self) -> None:
        self.addresses: list[dict[str, Any]] = []
        self.facts: list[dict[str, Any]] = []
        self._places: dict[str, int] = {}
        self._attacks: dict[tuple[Attack, bool, Eps, int], tuple[str, int]] = {}
        self._made: dict[str, str] = {}

    def cell(self, planned: PlannedCell) -> dict[str, Any]:
        """One cell."""
        check_cell(planned.cell)
        scores = planned.scores
        model = scores.codes.model
        record = {
            "cell": vars(planned.cell).copy(),
            "scores": self._place(scores),
            "model": self._place(model),
            # Parts of a step are not named: another run may divide it in another way.
            "steps": [self._place(step) for step in ancestors(scores) if step.whole is None],
            "made": self._version_of_model(model),
        }
        if isinstance(scores, Certificate):
            # Of one version as attacks are: a table holds no proofs of two.
            return {**record, "attack": sha256_of(scores.described()["code"])}
        if scores.adversarial is None:
            return record
        version, facts = self._attack(scores.adversarial)
        return {**record, "attack": version, "facts": facts}

    def _place(self, step: Step) -> int:
        place = self._places.setdefault(step.key, len(self.addresses))
        if place == len(self.addresses):
            self.addresses.append(vars(step.address).copy())
        return place

    def _version_of_model(self, model: DefendedModel | GivenModel) -> str:
        """A hash of plugins, code and settings that models of all seeds share."""
        if model.key not in self._made:
            described = [
                {name: value for name, value in step.described().items() if name not in _OF_A_SEED}
                for step in (*model.upstream, model)
            ]
            self._made[model.key] = sha256_of(described)
        return self._made[model.key]

    def _attack(self, step: AdversarialCodes) -> tuple[str, int]:
        """A hash of parameters, version and sources of an attack; the place of its facts."""
        # With gradients of the attacked model as well it is a white-box attack.
        transfers = step.surrogate is not None and step.attack.card.access is not Access.GRADIENT
        images = step.setting.source.protocol.train
        known = (step.attack, transfers, step.eps, images)
        if known not in self._attacks:
            facts = AttackFacts(
                name=step.attack.card.name,
                aim=step.attack.aim(),
                access=step.attack.card.access or Access.GRADIENT,
                transfers=transfers,
                parameters=resolved(step.attack),
                reach=reach_of(step.attack, float(step.eps), images)
                if step.eps.norm is Norm.LINF
                else None,
            )
            check_facts(facts)
            version = sha256_of([describe(step.attack), step.described()["code"]])
            self._attacks[known] = (version, len(self.facts))
            self.facts.append(asdict(facts))
        return self._attacks[known]


_OF_A_SEED = frozenset(("seed", "weights", "clean"))
"""In what models of one version differ."""


def _readable(value: Any) -> Any:
    """Paths that are no text, in what is kept for people alone, as near to it as can be."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_readable(key): _readable(item) for key, item in value.items()}
    return [_readable(item) for item in value] if isinstance(value, list | tuple) else value
