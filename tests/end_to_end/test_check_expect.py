"""`hashbench check --expect RULE=WHY`: what is known not to be kept, told with its reason."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hashbench.cli.expecting import expected_of, parse_expected
from hashbench.defending.contract import TrainedDefense, WrappingDefense
from hashbench.errors import UsageError
from hashbench.plugins import Kind, get, names
from hashbench.testing import (
    ATTACK_CHECKS,
    BACKBONE_CHECKS,
    DATASET_CHECKS,
    DEFENSE_CHECKS,
    FORMAT_CHECKS,
    HASHER_CHECKS,
    LOSS_CHECKS,
)
from hashbench.testing.attack_norms import IN_A_BALL
from hashbench.testing.kit import rules_of

Command = Callable[..., subprocess.CompletedProcess[str]]

TWO = '''
from dataclasses import dataclass
import torch
from hashbench.plugins import Attack, attack

class Step(Attack):
    def perturb(self, model, images, goal, threat, rng):
        point = images.clone().requires_grad_(True)
        loss = (model.outputs(point) * goal.center_codes).sum()
        (gradient,) = torch.autograd.grad(loss, point)
        return threat.project(images - self.share * threat.radius * gradient.sign(), images)
    def passes(self):
        return 1

@attack("half")
@dataclass(frozen=True)
class Half(Step):
    """Half a step."""
    share: float = 0.5

@attack("whole")
@dataclass(frozen=True)
class Whole(Step):
    """A whole step."""
    share: float = 1.0
'''
RULE = "linear-hash-above"


@pytest.fixture
def two(tmp_path: Path) -> Path:
    path = tmp_path / "two.py"
    path.write_text(TWO)
    return path


def test_a_rule_that_is_known_not_to_be_kept_is_told_with_its_reason(
    hashbench: Command, two: Path
) -> None:
    done = hashbench("check", two, "--expect", f"half/{RULE}=half of the ball = by design")
    said = " ".join(done.stdout.split())
    assert f"{RULE} failed as declared" in said
    assert "(half of the ball = by design)" in said
    assert "0 failed, 1 failed as declared" in said
    assert hashbench("check", two, expect=1).stdout.count(" failed ") >= 1


def test_one_that_is_kept_after_all_fails_with_the_reason(hashbench: Command, two: Path) -> None:
    """Without a plugin's name it is of both, and one of them keeps it."""
    done = hashbench("check", two, "--expect", f"{RULE}=half of the ball", expect=1)
    said = " ".join(done.stdout.split())
    assert "it is declared to fail (half of the ball), but passes" in said
    assert f"{RULE} failed as declared" in said


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("linear-hash-abov=why", "did you mean 'linear-hash-above'?"),
        ("linear-hash-above", "expected RULE=WHY"),
        ("linear-hash-above=", "expected RULE=WHY"),
        ("=why", "expected RULE=WHY"),
        ("halv/finite=why", "no plugin 'halv' is checked; did you mean 'half'?"),
        ("attack/finite=why", "before the slash stands a plugin's name, not its kind: half, whole"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_tried(
    hashbench: Command, two: Path, text: str, sentence: str
) -> None:
    done = hashbench("check", two, "--expect", text, expect=2)
    assert sentence in " ".join(done.stderr.split())
    assert done.stdout == ""


def test_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="finite: it is given twice"):
        parse_expected(["finite=one", " finite =other"])


def test_a_reason_with_a_plugin_s_name_goes_before_one_without() -> None:
    plugins = [get(Kind.ATTACK, "noise"), get(Kind.ATTACK, "hag"), get(Kind.LOSS, "csq")]
    expected = parse_expected(["hag/finite=its own", "finite=of all", "documented=as well"])
    found = expected_of(expected, plugins)
    assert [one.get("finite") for one in found[:2]] == ["of all", "its own"]
    assert all(one["documented"] == "as well" for one in found)


def test_a_rule_of_another_kind_is_expected_of_that_kind_alone() -> None:
    plugins = [get(Kind.ATTACK, "noise"), get(Kind.LOSS, "csq")]
    (only,) = {one.name for one in ATTACK_CHECKS} & {"pass-count"}
    assert only not in rules_of(plugins[1])
    assert expected_of(parse_expected(["pass-count=why"]), plugins) == [{"pass-count": "why"}, {}]


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.DEFENSE])
def test_every_plugin_of_a_kind_is_held_to_the_rules_of_its_kind(kind: Kind) -> None:
    rules = {
        Kind.ATTACK: ATTACK_CHECKS,
        Kind.LOSS: LOSS_CHECKS,
        Kind.BACKBONE: BACKBONE_CHECKS,
        Kind.DATASET: DATASET_CHECKS,
        Kind.FORMAT: FORMAT_CHECKS,
        Kind.HASHER: HASHER_CHECKS,
    }[kind]
    name = "random-search" if kind is Kind.ATTACK else names(kind)[0]
    assert rules_of(get(kind, name)) == tuple(one.name for one in rules)


def test_an_attack_is_held_to_the_rules_of_every_norm_of_its_card() -> None:
    plain = tuple(one.name for one in ATTACK_CHECKS)
    rules = rules_of(get(Kind.ATTACK, "auto"))
    assert rules[: len(plain)] == plain
    assert rules[len(plain) :] == tuple(f"l2-{one.name}" for one in IN_A_BALL)


@pytest.mark.parametrize(
    ("name", "sort"), [("cgat", TrainedDefense), ("bit-depth", WrappingDefense)]
)
def test_so_are_both_kinds_of_defenses(
    name: str, sort: type[TrainedDefense] | type[WrappingDefense]
) -> None:
    rules = DEFENSE_CHECKS[sort]
    assert rules_of(get(Kind.DEFENSE, name)) == tuple(one.name for one in rules)
