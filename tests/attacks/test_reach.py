"""How far an attack says that its steps can go: as far as they do, and never less."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hashbench import plugins
from hashbench.attacking import AdamStep, StepSchedule, adam_reach
from hashbench.plugins import Attack
from support.acting import Actor

RADIUS = 24 / 255


def reach(spec: str, radius: float = RADIUS, images: int = 160) -> float | None:
    attack = plugins.get("attack", spec)
    assert isinstance(attack, Attack)
    return attack.reach_of_steps(radius, images)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("pgd-hamming:steps=10", 10 / 255),
        ("pgd-hamming@inner", 14 / 255),
        ("pgd-hamming:steps=10,step_schedule=cosine", 5.5 / 255),
        ("pgd-hamming:steps=10,rule=vmi", 10 / 255),
        ("pgd-hamming:steps=0", 0.0),
        ("transfer:steps=7,step_size=2/255", 14 / 255),
        ("nag", 32 / 255),
        ("p2p@sigir", 10 / 255),
        ("mainstay:targeted=true,steps=3", 3 / 255),
        ("tha:steps=3", 3 / 255),
        ("smooth-ap:steps=1", RADIUS),
        ("smooth-ap:steps=9,first_step=0.1", 0.5 * RADIUS),
        ("smooth-ap:steps=0", 0.0),
        ("universal:epochs=1,batch=32", 0.1 * RADIUS * 3),  # 5 steps
        ("universal:epochs=0", 0.0),
        ("auto", RADIUS * 289 / 2),
        ("hag:steps=1", None),
        ("noise", None),
        ("random-search", None),
        ("ranked-search", None),
        ("pros-gan", None),
    ],
)
def test_the_reach_of_built_in_attacks(spec: str, expected: float | None) -> None:
    found = reach(spec)
    if expected is None:
        assert found is None
    else:
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-15)


@given(steps=st.integers(0, 200), schedule=st.sampled_from(StepSchedule))
def test_the_total_of_a_schedule_is_the_sum_of_its_sizes(
    steps: int, schedule: StepSchedule
) -> None:
    total = math.fsum(schedule.sizes(0.3, steps))
    assert schedule.total(0.3, steps) == pytest.approx(total, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("huge", [10**9, 10**15])
def test_many_steps_are_added_up_at_once(huge: int) -> None:
    found = reach(f"pgd-hamming:steps={huge},step_schedule=cosine")
    assert found == pytest.approx((huge + 1) / 2 / 255, rel=1e-12)
    assert reach(f"sdha:steps={huge}") == pytest.approx(0.01 * 7.27 * huge, rel=1e-3)


@pytest.mark.parametrize("steps", [1, 2, 5, 40])
def test_adam_never_goes_farther_and_its_last_step_can_be_as_long(steps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    for gradients in (
        torch.ones(steps, 1),
        1.1 ** torch.arange(steps)[:, None],
        torch.rand(steps, 500, generator=generator) ** 8,
    ):
        update, point = AdamStep(0.01), torch.zeros(gradients.shape[1], dtype=torch.float64)
        for gradient in gradients.double():
            point = update(point, gradient)
        assert float(point.abs().max()) <= adam_reach(0.01, steps) * (1 + 1e-12)
    assert adam_reach(0.01, 1) == pytest.approx(0.01, rel=1e-12)
    # Gradients that are w_i / q_i meet the bound of Cauchy and Schwarz in the last step.
    power = torch.arange(steps - 1, -1, -1, dtype=torch.float64)
    update, point = AdamStep(0.01), torch.zeros(1, dtype=torch.float64)
    before = point
    for gradient in (0.9 / 0.999) ** power:
        before, point = point, update(point, gradient[None])
    last = adam_reach(0.01, steps) - adam_reach(0.01, steps - 1)
    assert float((before - point).abs()) == pytest.approx(last, rel=1e-6)


@dataclass(frozen=True)
class Stepping(Actor):
    """An outsider's attack with parameters of the usual names."""

    steps: Any = 10
    step_size: Any = 2 / 255


def outsider(**changes: Any) -> float | None:
    return Stepping(lambda _model, images, _goal: images, **changes).reach_of_steps(RADIUS, 10)


def test_an_outsiders_attack_is_judged_by_its_parameters() -> None:
    assert outsider() == pytest.approx(20 / 255)
    assert outsider(steps=None) is None
    assert outsider(step_size="auto") is None
    assert outsider(step_size=True) is None
    plain = Actor(lambda _model, images, _goal: images)
    assert plain.reach_of_steps(RADIUS, 10) is None
