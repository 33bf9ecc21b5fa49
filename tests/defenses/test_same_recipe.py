"""Adversarial trainings can have the recipe of the certified one, and keep their own by default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench import plugins
from hashbench.defending import AdversarialTraining, Budget, DefenseSetup, start_afresh
from hashbench.eps import Eps
from hashbench.errors import UsageError
from hashbench.hashing import HashModel
from hashbench.plugins import TrainedDefense
from hashbench.plugins.parameters import keyed, resolved

Named = Callable[..., AdversarialTraining]
Build = Callable[..., HashModel]
SetupOf = Callable[..., DefenseSetup]
Array = NDArray[Any]

BUDGET = Budget(epochs=4, inner_steps=5, eps=Eps.parse("24/255"))
SAME = {
    "batch": 64,
    "optimizer": "adam",
    "learning_rate": 0.004,
    "rate_shape": "warm-up-linear",
    "clip_norm": 8.0,
}
NAMES = ("cgat", "saat", "atrdh")
LATER = {"batch", "rate_shape", "clip_norm", "start", "ramp"}


@pytest.mark.parametrize("name", NAMES)
def test_told_so_a_training_steps_as_the_certified_one(name: str, defense_named: Named) -> None:
    certified = plugins.get("defense", "certified")
    assert isinstance(certified, TrainedDefense)
    decay = {} if name == "atrdh" else {"weight_decay": 0.0}
    found = defense_named(name, **SAME, **decay).recipe(BUDGET)
    # ATRDH's Adam has the scripts' first beta.
    momentum = 0.5 if name == "atrdh" else 0.9
    assert found == replace(certified.recipe(BUDGET), momentum=momentum)


@pytest.mark.parametrize("name", NAMES)
def test_a_key_says_what_came_later_only_where_it_is_told(name: str, defense_named: Named) -> None:
    later = LATER if name == "atrdh" else LATER | {"optimizer"}
    plain = defense_named(name)
    assert keyed(plain) == {k: v for k, v in resolved(plain).items() if k not in later}
    told = defense_named(name, ramp=0.5, batch=32)
    assert keyed(told) == {**keyed(plain), "ramp": 0.5}
    for key, value in (("clip_norm", 8.0), ("start", "scratch"), ("batch", 64)):
        assert keyed(defense_named(name, **{key: value})) == {**keyed(plain), key: value}


@pytest.mark.parametrize("share", [0.0, 0.125, 0.25])
def test_the_radius_of_the_inner_attack_grows_in_a_line(
    share: float, small_model: Build, defense_named: Named
) -> None:
    inner = defense_named("cgat", ramp=0.5).inner_attack(small_model(), BUDGET, torch.Generator())
    grown = inner.at(share)
    assert grown.threat.eps.fraction == inner.threat.eps.fraction * int(8 * share) / 4
    assert grown.step_size == inner.step_size * 2 * share
    images = torch.full((3, 1, 4, 4), 0.5)
    moved = (grown.away_from(images, torch.ones(3, 6)) - images).abs().max()
    assert moved <= 2 * share * 24 / 255 + 1e-6
    assert inner.at(0.5) is inner
    assert inner.at(1.0) is inner


def test_without_a_ramp_the_radius_is_whole_from_the_start(
    small_model: Build, defense_named: Named
) -> None:
    inner = defense_named("saat").inner_attack(small_model(), BUDGET, torch.Generator())
    assert inner.at(0.0) is inner


@pytest.mark.parametrize("name", NAMES)
def test_from_scratch_it_begins_with_fresh_weights_and_the_bases_memory(
    name: str,
    small_model: Build,
    setup_of: SetupOf,
    pixels: Array,
    labels: Array,
    defense_named: Named,
) -> None:
    model, fresh = small_model(), small_model()
    setup = setup_of(model, pixels, labels)
    start_afresh(fresh, torch.Generator().set_state(setup.generator.get_state()))
    outputs = setup.outputs.clone()
    objective = defense_named(name, start="scratch").objective(setup)
    for found, wanted in zip(model.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(found, wanted)
    kept = objective.keeps()
    assert kept is not None
    codes = kept["codes"]
    assert isinstance(codes, Tensor)
    assert torch.equal(codes, outputs.sign())


@pytest.mark.parametrize(
    ("field", "value"), [("batch", 0), ("clip_norm", 0), ("ramp", -0.1), ("ramp", 1.5)]
)
@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_is_refused(
    name: str, field: str, value: float, defense_named: Named
) -> None:
    with pytest.raises(UsageError, match=field):
        defense_named(name, **{field: value})
