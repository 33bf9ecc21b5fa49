"""The table of step kinds: complete, counted in closed form, and open to a new kind."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from hashbench.plugins import TrainedDefense
from hashbench.progress import Progress, no_progress
from hashbench.results.artifacts import CODES
from hashbench.results.store import Store
from hashbench.runner import evaluation_steps, step_kinds, steps
from hashbench.runner.estimate import estimate
from hashbench.runner.evaluation_steps import AdversarialCodes
from hashbench.runner.execute import execute
from hashbench.runner.loading import read_npz
from hashbench.runner.matching import steps as matching
from hashbench.runner.plan import make_plan
from hashbench.runner.step_kinds import ATTACKER_BATCH, KINDS, NO_WORK, StepKind, Work, kind_of
from hashbench.runner.steps import BaseModel, DefendedModel, ModelCodes, Step, StepOnModel
from hashbench.runner.suite import Suite

TinySuite = Callable[..., Suite]

COMPANIONS = Path(__file__).resolve().parents[1] / "plugins" / "companions.py"


PARTS = (steps.DatabaseCodes, evaluation_steps.DistanceTallies)
"""Of large databases alone; see `test_database_parts`."""

BASES = {
    step
    for room in (steps, evaluation_steps, matching)
    for step in vars(room).values()
    if isinstance(step, type) and issubclass(step, Step) and not hasattr(step, "kind")
} | {matching.MatchCellStep}
"""What steps share: they describe no artifact of their own."""

OF_MATCHES = {step for step in KINDS if issubclass(step, matching.MatchStep)}
"""Of fixed hashes; see `test_matching_runs`."""


def test_every_step_that_is_described_stands_in_the_table() -> None:
    described = {
        step
        for room in (steps, evaluation_steps, matching)
        for step in vars(room).values()
        if isinstance(step, type) and issubclass(step, Step) and step not in BASES
    }
    assert described == set(KINDS)
    for step, kind in KINDS.items():
        assert kind.step is step
        for function in (kind.make, kind.work):
            first = next(iter(inspect.signature(function).parameters))
            assert issubclass(step, get_type_hints(function)[first])


def test_a_step_that_no_table_knows_is_an_error_of_ours(make_step: Callable[..., Step]) -> None:
    with pytest.raises(TypeError, match="no such step"):
        kind_of(make_step("unknown"))
    assert estimate([make_step("unknown")]).passes == 0  # an estimate ends no run


def test_all_steps_of_a_cell_have_its_setting(tiny_suite: TinySuite) -> None:
    plan = make_plan(tiny_suite(defense="cgat", keep_images=1, certify=True))
    every = (*plan.steps, *plan.images)
    (model,) = (step for step in plan.steps if isinstance(step, BaseModel))
    assert {type(step) for step in every} == set(KINDS) - {
        steps.GivenModel,
        evaluation_steps.TrainedAttacker,
        *PARTS,
        *OF_MATCHES,
    }
    assert all(step.setting is model.setting for step in every)


def work_of(step: Step) -> Work:
    return kind_of(step).work(step)


def test_work_is_counted_in_closed_form(tiny_suite: TinySuite) -> None:
    suite = tiny_suite(
        plugin=[COMPANIONS],
        defense=["cgat", "none"],
        attack=["noise", "learn", "pgd-hamming:steps=3"],
        training={"epochs": 5, "batch": 8},
        budget={"epochs": 3, "inner_steps": 2},
        keep_images=2,
        certify=True,
    )
    seen = set()
    plan = make_plan(suite)
    for step in (*plan.steps, *plan.images):
        seen.add(type(step))
        protocol = step.setting.source.protocol
        match step:
            case BaseModel():
                assert work_of(step) == Work(5 * protocol.train, 8)
                assert work_of(replace(step, checkpoint=Path("somewhere"))) == NO_WORK
            case DefendedModel(defense=TrainedDefense() as defense):
                assert defense.card.name == "cgat"
                recipe, passes = defense.recipe(step.budget), defense.passes(step.budget)
                assert work_of(step) == Work(3 * passes * protocol.train, recipe.batch)
            case evaluation_steps.TrainedAttacker():
                passes = step.attack.training_passes(protocol.train)
                assert work_of(step) == Work(passes, ATTACKER_BATCH)
            case AdversarialCodes():
                batch = min(step.setting.compute.attack_batch, protocol.query)
                assert work_of(step) == Work(step.attack.passes() * protocol.query, batch)
            case evaluation_steps.MoreImages():
                # Fewer queries than a batch, or than a block that is encoded: all of them.
                assert work_of(step) == work_of(step.adversarial)
            case ModelCodes():
                images = protocol.train + protocol.query + protocol.database
                assert work_of(step) == Work(-(-images // 3), 500)
            case evaluation_steps.Probe():
                # Encoded twice and once moved, a third each; one step each; 60 steps of up to 100.
                moved = protocol.query + 60 * min(protocol.query, 100)
                assert work_of(step) == Work(protocol.query + moved, 100)
            case evaluation_steps.Certificate():
                # Both ends of the bounds of every query, forward alone.
                assert work_of(step) == Work(-(-2 * protocol.query // 3), 100)
            case _:
                assert work_of(step) == NO_WORK
    assert seen == set(KINDS) - {steps.GivenModel, *PARTS, *OF_MATCHES}


@dataclass(frozen=True)
class CountedBits(StepOnModel):
    """How many bits of the query codes are +1: a kind of step that the runner has never seen."""

    kind = "counted"

    @property
    def label(self) -> str:
        return f"count {self.codes.model.label}"

    def described(self) -> dict[str, Any]:
        return {}


def count(step: CountedBits, store: Store, progress: Progress) -> Mapping[str, bytes]:
    codes = read_npz(store, step.codes, CODES)["query"]
    progress(1, 1)
    return {"count.json": json.dumps(int((codes > 0).sum())).encode()}


def test_a_new_kind_of_step_is_one_entry(
    tiny_suite: TinySuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = StepKind(CountedBits, count, lambda step: Work(7 * step.setting.bits, 2))
    table: dict[type[Step], StepKind[Any]] = {**KINDS, CountedBits: kind}
    monkeypatch.setattr(step_kinds, "KINDS", table)
    plan, store = make_plan(tiny_suite()), Store(tmp_path)
    (codes,) = (step for step in plan.steps if isinstance(step, ModelCodes))
    new = CountedBits(codes)
    for step in (*codes.model.upstream, codes.model, codes):
        execute(step, store, no_progress)
    heard = []
    execute(new, store, lambda done, total: heard.append((done, total)))
    assert heard == [(1, 1)]
    found = json.loads(store.file(new.address, "count.json").read_text())
    queries = read_npz(store, codes, CODES)["query"]
    assert found == sum(bit == 1 for row in queries.tolist() for bit in row)
    ahead = estimate([new])
    assert ahead.passes == 7 * 8
    assert ahead.seconds > 0
