"""Checks of attacks that learn something of the model before they meet a query."""
# ruff: noqa: D103 - the rule of a check says what it does

from __future__ import annotations

import torch

from hashbench.testing.case import ordinary
from hashbench.testing.checking import Check, check, require, skip_unless
from hashbench.testing.stage import AttackStage, Training


@check("training", "training changes its network, to finite weights", needs=["answers"])
def training(stage: AttackStage) -> None:
    done = _done(stage)
    after = done.network.state_dict()
    require(bool(after), "its network holds nothing that could be stored")
    for name, value in after.items():
        require(bool(torch.isfinite(value).all()), f"it trains '{name}' to NaN or infinity")
    require(
        any(not torch.equal(value, done.start[name]) for name, value in after.items()),
        "training changes no weight of its network",
    )


@check("training-repeats", "the same generator gives the same network", needs=["training"])
def training_repeats(stage: AttackStage) -> None:
    one, two = _done(stage), stage.train(ordinary(), stage.radii.usual)
    again = two.network.state_dict()
    for name, value in one.network.state_dict().items():
        require(
            torch.equal(value, again[name]),
            f"a second training from the same generator gives another '{name}'",
        )


@check("training-leaves-rng-alone", "training draws from setup.generator", needs=["training"])
def training_leaves_rng_alone(stage: AttackStage) -> None:
    touched = _done(stage).touched
    require(
        not touched,
        f"training draws from the process-wide generator of {' and '.join(touched)}: draw from "
        "setup.generator",
    )


@check("training-leaves-model-alone", "training changes no weight of the model", needs=["training"])
def training_leaves_model_alone(stage: AttackStage) -> None:
    require(_done(stage).left_model_alone, "training changes the attacked model's weights")


def _done(stage: AttackStage) -> Training:
    skip_unless(stage.is_trained, "learns nothing beforehand")
    return stage.training(ordinary(), stage.radii.usual)


TRAINING: tuple[Check[AttackStage], ...] = (
    training,
    training_repeats,
    training_leaves_rng_alone,
    training_leaves_model_alone,
)
