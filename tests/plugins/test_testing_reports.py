"""What the conformance kit takes and returns."""

from __future__ import annotations

import dataclasses
import pickle
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from hashbench import UsageError, plugins
from hashbench.plugins import Attack, Format, Kind, attack, loss
from hashbench.testing import (
    ATTACK_CHECKS,
    CheckReport,
    Outcome,
    Verdict,
    check_attack,
    check_backbone,
    check_defense,
    check_format,
    check_loss,
    check_plugin,
    stage,
)
from hashbench.testing.surroundings import Switches, own_random_state

REPORT = CheckReport(
    Kind.ATTACK,
    "mine:steps=3",
    (
        Outcome("one", Verdict.PASSED, "it is so"),
        Outcome("two", Verdict.FAILED, "it is not so"),
        Outcome("three", Verdict.SKIPPED, "no GPU here"),
        Outcome("four", Verdict.SKIPPED, "untargeted"),
        Outcome("five", Verdict.SKIPPED, "untargeted"),
        Outcome("six", Verdict.EXPECTED, "it never was (by design)"),
    ),
)


@attack("still")
@dataclass(frozen=True)
class Still(Attack):
    """Returns the images."""

    share: float = 1.0

    def perturb(self, model: Any, images: Tensor, goal: Any, threat: Any, rng: Any) -> Tensor:  # noqa: ARG002
        return images


@attack("needy")
@dataclass(frozen=True)
class Needy(Still):
    """Has a parameter without a default."""

    share: float = dataclasses.field(kw_only=True)


class Cardless(Still):
    """Has a base with a card, and none of its own."""


ANYTHING: Any = 3
SOMETHING_ELSE: Any = Still()


def test_counts_say_how_many_and_why() -> None:
    assert REPORT.counts == (
        "1 passed, 1 failed, 1 failed as declared, 3 skipped (2 untargeted; 1 no GPU here)"
    )
    assert not REPORT.ok
    only = CheckReport(Kind.LOSS, "mine", REPORT.passed)
    assert only.counts == "1 passed, 0 failed, 0 skipped"
    assert only.ok
    only.raise_failures()


def test_every_failure_is_raised_at_once() -> None:
    with pytest.raises(AssertionError) as raised:
        REPORT.raise_failures()
    text = str(raised.value)
    assert text.startswith("attack 'mine:steps=3': 1 passed, 1 failed")
    assert text.endswith("\n  two: it is not so")


def test_a_report_is_frozen_and_can_be_kept() -> None:
    assert pickle.loads(pickle.dumps(REPORT)) == REPORT  # noqa: S301
    with pytest.raises(dataclasses.FrozenInstanceError):
        REPORT.subject = "other"  # type: ignore[misc]


def test_an_instance_a_class_and_a_name_are_the_same_question() -> None:
    dpn = plugins.get("loss", "dpn")
    assert isinstance(dpn, plugins.Loss)
    reports = [check_loss("dpn"), check_loss(type(dpn)), check_loss(dpn), check_plugin(dpn)]
    assert len(set(reports)) == 1
    assert reports[0].kind is Kind.LOSS
    assert check_attack(Still(share=0.5)).subject == "still:share=0.5"


def test_nothing_is_printed_and_nothing_is_left_behind(capfd: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(5)
    before, switches = torch.get_rng_state(), Switches.now()
    check_attack(Still)
    assert torch.equal(torch.get_rng_state(), before)
    assert not switches.changed()
    out, err = capfd.readouterr()
    assert out == err == ""


def test_two_reports_of_one_plugin_are_equal() -> None:
    assert check_attack(Still) == check_attack(Still)


def test_an_attack_that_does_nothing_is_no_attack() -> None:
    failed = [outcome.check for outcome in check_attack(Still).failed]
    assert failed == ["leads-away"]


def test_an_attack_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    @attack("endless")
    @dataclass(frozen=True)
    class Endless(Still):
        """Asks and asks."""

        def perturb(self, model: Any, images: Tensor, *rest: Any) -> Tensor:  # noqa: ARG002
            while True:
                model.codes(images)

    monkeypatch.setattr(stage, "LIMIT", 20)
    report = check_attack(Endless)
    said = {outcome.check: outcome.sentence for outcome in report.failed}
    assert "passes without end" in said["answers"]
    skipped = {outcome.sentence for outcome in report.skipped}
    assert "needs answers" in skipped


def test_a_declared_failure_is_counted_and_one_that_does_not_come_fails() -> None:
    report = check_attack(
        Still, expected_failures={"leads-away": "it stands still", "shape": "never true"}
    )
    (expected,) = report.expected
    assert expected.check == "leads-away"
    assert expected.sentence.endswith("(it stands still)")
    (failed,) = report.failed
    assert failed.check == "shape"
    assert failed.sentence == "it is declared to fail (never true), but passes"


def test_a_rule_that_fails_leaves_those_that_rest_on_it_untried() -> None:
    @attack("shapeless")
    @dataclass(frozen=True)
    class Shapeless(Still):
        """Loses its shape."""

        def perturb(self, model: Any, images: Tensor, *rest: Any) -> Tensor:  # noqa: ARG002
            return images.flatten()

    report = check_attack(Shapeless)
    untried = {o.check for o in report.skipped if o.sentence == "needs shape"}
    resting = {one.name for one in ATTACK_CHECKS if "shape" in one.needs}
    assert resting
    assert resting == untried
    assert [outcome.check for outcome in report.failed if outcome.check == "shape"] == ["shape"]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: check_attack("hagg"), "did you mean 'hag'"),
        (lambda: check_attack("hag:step=1"), "did you mean 'steps'"),
        (lambda: check_attack(Needy), "attack 'needy'"),
        (lambda: check_attack(Cardless), "class Cardless has no card: write @attack"),
        (lambda: check_attack(Attack), r"class Attack has no card: write @attack\('name'\)"),
        (lambda: check_format(Format), r"Format has no card: write @report_format\('name'\)"),
        (lambda: check_attack(ANYTHING), "expected attack, found 3"),
        (lambda: check_defense(SOMETHING_ELSE), "expected defense, found"),
        (lambda: check_backbone("small-cn"), "did you mean 'small-cnn'"),
        (lambda: check_attack(Still, expected_failures={"shap": ""}), "did you mean 'shape'"),
    ],
)
def test_what_cannot_be_checked_is_a_usage_error(call: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        call()


def test_an_abstract_plugin_names_what_is_missing() -> None:
    @loss("hollow")
    @dataclass(frozen=True)
    class Hollow(plugins.Loss):
        """Defines nothing."""

    with pytest.raises(UsageError, match="class Hollow does not define bind"):
        check_loss(Hollow)


def test_process_wide_states_are_watched_and_restored() -> None:
    import random

    import numpy as np

    draws = {
        "torch": lambda: torch.rand(1),
        "numpy": lambda: np.random.rand(),  # noqa: NPY002
        "random": random.random,
    }
    for name, draw in draws.items():
        first = draw()
        with own_random_state() as touched:
            one = draw()
        assert touched.generators == [name]
        with own_random_state() as touched:
            two = draw()
        assert one == two
        with own_random_state() as touched:
            pass
        assert not touched.generators
        assert draw() != first
