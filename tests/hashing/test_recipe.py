"""Recipes: learning rates against torch's MultiStepLR, and the published step counts."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hashbench.defending import Budget
from hashbench.eps import Eps
from hashbench.errors import UsageError
from hashbench.hashing import OptimizerName, RateShape, Recipe

IMAGES = {"FLICKR-25K": 5000, "NUS-WIDE": 10500, "MS-COCO": 10000}


def torch_rates(recipe: Recipe, steps: int, milestones: list[float]) -> list[float]:
    """What a script sees that steps its scheduler after every batch."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.MultiStepLR(
        optimizer,
        milestones=milestones,  # type: ignore[arg-type]  # fractions are the oddity under test
        gamma=recipe.gamma,
    )
    rates = []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return rates


@settings(deadline=None, max_examples=60)
@given(
    steps=st.integers(1, 60),
    milestones=st.sampled_from([(0.5, 0.75), (0.3,), (), (0.1, 0.2, 0.9)]),
    floats=st.booleans(),
    gamma=st.sampled_from([0.1, 0.5]),
)
def test_rates_are_those_of_multistep(
    steps: int, milestones: tuple[float, ...], floats: bool, gamma: float
) -> None:
    recipe = Recipe(epochs=1, milestones=milestones, gamma=gamma, float_milestones=floats)
    found = [recipe.rate_at(step, steps) for step in range(steps)]
    at = [fraction * steps for fraction in milestones]
    # A milestone at step 0 has passed before the first step; torch's scheduler decays there too.
    wanted = torch_rates(recipe, steps, at if floats else [int(step) for step in at])
    assert found == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(
    ("data", "epochs", "steps", "second"),
    [
        ("FLICKR-25K", 30, 4710, 3532.5),
        ("NUS-WIDE", 30, 9870, 7402.5),
        ("MS-COCO", 30, 9390, 7042.5),
    ],
)
def test_cgats_second_decay_never_happens_at_its_published_settings(
    data: str, epochs: int, steps: int, second: float
) -> None:
    assert epochs * math.ceil(IMAGES[data] / 32) == steps
    assert 0.75 * steps == second
    as_released = Recipe(epochs=epochs, float_milestones=True)
    as_meant = Recipe(epochs=epochs)
    half, three_quarters = steps // 2, int(second)
    for recipe, last in ((as_released, 1e-3), (as_meant, 1e-4)):
        assert recipe.rate_at(0, steps) == recipe.rate_at(half - 1, steps) == 0.01
        assert recipe.rate_at(half, steps) == pytest.approx(1e-3)
        assert recipe.rate_at(three_quarters - 1, steps) == pytest.approx(1e-3)
        assert recipe.rate_at(three_quarters + 1, steps) == pytest.approx(last)
        assert recipe.rate_at(steps - 1, steps) == pytest.approx(last)
    assert as_meant.rate_at(three_quarters, steps) == pytest.approx(1e-4)


@pytest.mark.parametrize("data", list(IMAGES))
@pytest.mark.parametrize("epochs", [20, 100])
def test_both_decays_happen_where_the_milestones_are_whole(data: str, epochs: int) -> None:
    # SAAT's 20 and ATRDH's 100 epochs: fractions or not is the same schedule.
    steps = epochs * math.ceil(IMAGES[data] / 32)
    assert 0.75 * steps == int(0.75 * steps)
    released, meant = Recipe(epochs=epochs, float_milestones=True), Recipe(epochs=epochs)
    around = {0, steps - 1} | {int(f * steps) + d for f in (0.5, 0.75) for d in (-1, 0, 1)}
    for step in around:
        assert released.rate_at(step, steps) == meant.rate_at(step, steps)
    assert released.rate_at(steps - 1, steps) == pytest.approx(1e-4)


def test_optimisers_carry_the_recipes_settings() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(2))]
    sgd = Recipe(epochs=1, learning_rate=0.3, momentum=0.7, weight_decay=0.01)
    built = sgd.build_optimizer(parameters)
    assert isinstance(built, torch.optim.SGD)
    group = built.param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.3, 0.7, 0.01)
    assert not group["nesterov"]
    adam = Recipe(epochs=1, optimizer=OptimizerName.ADAM, learning_rate=1e-4, momentum=0.5)
    built = adam.build_optimizer(parameters)
    assert isinstance(built, torch.optim.Adam)
    group = built.param_groups[0]
    assert (group["lr"], group["betas"], group["weight_decay"]) == (1e-4, (0.5, 0.999), 5e-4)


@pytest.mark.parametrize(
    ("field", "value"),
    [("epochs", -1), ("batch", 0), ("learning_rate", 0), ("learning_rate", float("nan"))],
)
def test_an_impossible_recipe_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(UsageError, match=field):
        Recipe(**{"epochs": 1, field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [(-1, 7), (3, -1)])
def test_an_impossible_budget_is_refused(wrong: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="epochs and inner_steps"):
        Budget(*wrong, Eps.parse("8/255"))


@settings(deadline=None, max_examples=60)
@given(steps=st.integers(1, 400), rate=st.sampled_from([4e-3, 1.0]))
def test_the_warm_up_rises_and_the_decay_falls_in_a_line(steps: int, rate: float) -> None:
    recipe = Recipe(epochs=1, learning_rate=rate, rate_shape=RateShape.WARM_UP_LINEAR)
    for step in range(steps):
        rise, fall = 1.0, 1.0
        if step < 0.095 * steps:
            rise = 0.05 + 10 * step / steps
        if step > 0.5 * steps:
            fall = 2 * (steps - step) / steps
        assert recipe.rate_at(step, steps) == pytest.approx(rate * rise * fall, rel=1e-9)
    assert recipe.rate_at(0, steps) == pytest.approx(0.05 * rate)
    assert recipe.rate_at(steps - 1, steps) > 0


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan")])
def test_a_length_that_no_gradient_can_have_is_refused(wrong: float) -> None:
    with pytest.raises(UsageError, match="clip_norm must be above 0"):
        Recipe(epochs=1, clip_norm=wrong)
