"""Radii of two norms in one suite: which cells there are, what is left out, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn
from typing_extensions import override

import hashbench
from hashbench import Eps, UsageError
from hashbench.defending.setup import Budget
from hashbench.eps import Norm
from hashbench.runner.evaluation_steps import AdversarialCodes
from hashbench.runner.plan import Plan, make_plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.steps import DefendedModel
from hashbench.runner.suite import Suite, compose, from_plain
from hashbench.runner.suite_command import command_of
from hashbench.zoo.models import export_model

FILE = Path(__file__).resolve().parents[1] / "support" / "norms.py"
RADII = ("8/255", "24/255", "l2:0.5", "l2:1/2", "l2:2")
WORKS = {"both": {Norm.LINF, Norm.L2}, "flat": {Norm.LINF}, "ball": {Norm.L2}}

TinySuite = Callable[..., Suite]


@pytest.fixture
def suite_of(tiny_suite: TinySuite) -> TinySuite:
    """Builds a suite with the attacks of `norms.py`."""

    def build(**changes: Any) -> Suite:
        return tiny_suite(**{"plugin": [FILE], "attack": list(WORKS), **changes})

    return build


def attacked(plan: Plan) -> set[tuple[str, str]]:
    return {(one.cell.attack, one.cell.eps) for one in plan.cells if one.cell.is_attacked}


@pytest.mark.parametrize(
    "radii", [RADII, RADII[2:3] + RADII[:1], ("l2:2", "linf:8/255", "L2: 0.5")]
)
def test_an_attack_stands_at_the_radii_of_its_norms_alone(
    suite_of: TinySuite, radii: tuple[str, ...]
) -> None:
    plan = make_plan(suite_of(eps=list(radii)))
    asked = {Eps.parse(radius): Eps.parse(radius) for radius in reversed(radii)}
    wanted = {
        (name, str(radius))
        for name, radius in product(WORKS, asked.values())
        if radius.norm in WORKS[name]
    }
    assert attacked(plan) == wanted
    steps = [step for step in plan.steps if isinstance(step, AdversarialCodes)]
    assert len(steps) == len(wanted)
    keys = {step.described()["eps"] for step in steps}
    assert keys == {radius.canonical for radius in asked}


def test_what_is_left_out_is_said_once(suite_of: TinySuite) -> None:
    plan = make_plan(suite_of(eps=["8/255", "l2:0.5", "l2:1"], seed=[0, 1], bits=[8, 16]))
    assert plan.left_out == (
        "attack 'flat' works in linf balls alone: left out at l2:0.5 and l2:1",
        "attack 'ball' works in l2 balls alone: left out at 8/255",
    )
    assert make_plan(suite_of(eps="8/255", attack="flat")).left_out == ()
    assert make_plan(suite_of(eps=["l2:1", "8/255"], attack="both")).left_out == ()


class Told(Reporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    @override
    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_run_and_an_evaluation_tell_their_reporter(suite_of: TinySuite, tmp_path: Path) -> None:
    told = Told()
    suite = suite_of(eps=["8/255", "l2:0.5"], attack=["flat", "both"])
    results = hashbench.run(suite, out=tmp_path / "run", reporter=told)
    said = "attack 'flat' works in linf balls alone: left out at l2:0.5"
    assert told.notes == [said]
    assert not results.failed
    assert {(r.cell.attack, r.cell.eps) for r in results.cells} == {
        *(("none", "0"), ("flat", "8/255"), ("both", "8/255"), ("both", "l2:0.5"))
    }
    told = Told()
    given = hashbench.evaluate(NET, DATA, ["flat", "both"], ["8/255", "l2:0.5"], reporter=told)
    assert told.notes == [said]
    assert {(r.cell.attack, r.cell.eps) for r in given.cells} == {
        (r.cell.attack, r.cell.eps) for r in results.cells
    }
    assert not given.failed


DRAW = np.random.default_rng(0)
DATA = {
    name: (DRAW.integers(0, 255, (count, 1, 8, 8)).astype(np.uint8), DRAW.integers(0, 3, count))
    for name, count in (("train", 20), ("query", 5), ("database", 30))
}
NET = nn.Sequential(nn.Flatten(), nn.Linear(64, 8))


@pytest.mark.parametrize(
    ("attack", "eps", "sentence"),
    [
        (
            "flat",
            "l2:0.5",
            (
                "attack 'flat' works in linf balls alone, but the run's radii are l2:0.5: add a "
                "radius such as 8/255, or leave the attack out"
            ),
        ),
        (
            ["both", "ball:length=2"],
            ["8/255", "24/255"],
            (
                "attack 'ball:length=2.0' works in l2 balls alone, but the run's radii are 8/255 "
                "and 24/255: add a radius such as l2:0.5, or leave the attack out"
            ),
        ),
        (
            ["flat", "flat:length=2"],
            ["l2:1", "l2:2", "l2:3"],
            (
                "attack 'flat' works in linf balls alone, 'flat:length=2.0' works in linf balls "
                "alone, but the run's radii are l2:1, l2:2 and l2:3: add a radius such as 8/255, "
                "or leave the attack out"
            ),
        ),
        ("ball", [], "the run's radii are 8/255: add"),  # the data set's own
    ],
)
def test_an_attack_without_any_radius_is_refused(
    suite_of: TinySuite, attack: Any, eps: Any, sentence: str
) -> None:
    with pytest.raises(UsageError) as raised:
        make_plan(suite_of(attack=attack, eps=eps))
    assert sentence in str(raised.value)


def test_so_it_is_for_a_given_model_and_an_object(suite_of: TinySuite, tmp_path: Path) -> None:
    hashbench.run(suite_of(attack="none"), out=tmp_path / "run")
    export_model(tmp_path / "run", tmp_path / "model", {})
    suite = from_plain(
        {
            "plugin": list(map(str, suite_of().plugin)),
            "model": str(tmp_path / "model"),
            "attack": "flat",
            "eps": "l2:1",
        },
        "x",
    )
    with pytest.raises(UsageError, match="attack 'flat' works in linf balls alone"):
        make_plan(suite)
    with pytest.raises(UsageError, match="attack 'flat' works in linf balls alone"):
        hashbench.evaluate(NET, DATA, "flat", "l2:1")


def budget(plan: Plan) -> Eps:
    (model,) = [step for step in plan.steps if isinstance(step, DefendedModel)]
    return model.budget.eps


@pytest.mark.parametrize(
    ("eps", "given", "wanted"),
    [
        (["8/255", "l2:2", "4/255"], {}, "8/255"),
        (["l2:0.01", "8/255"], {}, "8/255"),
        (["l2:2", "8/255"], {"eps": "2/255"}, "2/255"),
        (["l2:2"], {"eps": "2/255"}, "2/255"),
    ],
)
def test_defenses_are_trained_for_the_largest_radius_of_linf(
    suite_of: TinySuite, eps: list[str], given: dict[str, str], wanted: str
) -> None:
    granted = {"epochs": 1, "inner_steps": 1, **given}
    plan = make_plan(suite_of(attack="both", defense="cgat", eps=eps, budget=granted))
    assert budget(plan) == Eps.parse(wanted)


def test_without_one_a_trained_defense_is_refused(suite_of: TinySuite) -> None:
    defenses = ["none", "bit-depth", "cgat", "saat:epochs=1"]
    with pytest.raises(UsageError) as raised:
        make_plan(suite_of(attack="both", defense=defenses, eps=["l2:0.5", "l2:1"]))
    assert str(raised.value) == (
        "cgat, saat:epochs=1: defenses are trained for a radius of linf, by default the largest of "
        'the run, but its radii are l2:0.5 and l2:1: give budget.eps, as in eps = "8/255" under '
        "[budget] of a suite file"
    )
    plan = make_plan(suite_of(attack="both", defense=defenses[:2], eps=["l2:0.5", "l2:1"]))
    trained = {json.dumps(one["budget"]) for one in plan.trainings.values()}
    usual = make_plan(suite_of(attack="both", eps=[]))
    assert trained == {json.dumps(one["budget"]) for one in usual.trainings.values()}


def test_no_defense_is_trained_in_an_l2_ball(suite_of: TinySuite) -> None:
    with pytest.raises(UsageError, match=r"budget\.eps is l2:0\.5, but defenses are trained insi"):
        suite_of(budget={"epochs": 1, "inner_steps": 1, "eps": "l2:0.5"})
    with pytest.raises(UsageError, match=r"inside linf balls, and eps is l2:1"):
        Budget(1, 1, Eps.parse("l2:1"))


def test_the_suite_and_its_command_keep_the_norm(suite_of: TinySuite) -> None:
    suite = suite_of(eps=["linf:8/255", "l2:0.5", "L2:1/2", "l2:2"])
    assert [str(radius) for radius in suite.eps] == ["8/255", "l2:0.5", "l2:2"]
    assert from_plain(json.loads(json.dumps(suite.to_plain())), "x") == suite
    quick = compose(None, {"eps": ["8/255", "l2:0.5"]})
    assert command_of(quick) == "hashbench run --eps 8/255 --eps l2:0.5"


def test_the_keys_of_linf_do_not_depend_on_the_norm_s_name(suite_of: TinySuite) -> None:
    def keys(*radii: str) -> list[str]:
        plan = make_plan(suite_of(attack="both", eps=list(radii)))
        return sorted(step.key for step in plan.steps)

    assert keys("8/255") == keys("linf:8/255") == keys("16/510")
    assert set(keys("8/255")) < set(keys("8/255", "l2:0.5"))
    assert keys("0.5") != keys("l2:0.5")
