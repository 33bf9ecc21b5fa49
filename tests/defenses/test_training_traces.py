"""Whole adversarial trainings against traces of the research repositories.

The trainer, both defenses, the inner attack and the hashing loss run as they do in a benchmark, but
in float64, so that only the traces' own rounding is left. What the repositories drew is handed in:
batch orders, random starts, and for ATRDH the codes that its prototype network gave.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.defending import AdversarialTraining, DefenseSetup, InnerAttack
from hashbench.defending.center_guided import CenterGuided, CenterGuidedTraining
from hashbench.hashing import (
    Batch,
    HashModel,
    Objective,
    relevant,
    train,
)
from support.exact import in_float64, same_outputs

Arrays = Mapping[str, NDArray[Any]]
Vectors = Callable[[str], Arrays]
Named = Callable[..., AdversarialTraining]
SetupOf = Callable[..., DefenseSetup]
Tiny = Callable[[Arrays], HashModel]

ATRDH = importlib.import_module("hashbench.defenses.atrdh")


class FixedStarts(InnerAttack):
    """An inner attack whose random starts are handed in, one for each call."""

    def starting_from(self, starts: Tensor) -> FixedStarts:
        self._starts = iter(starts)
        return self

    def noise(self, images: Tensor) -> Tensor:
        start: Tensor = next(self._starts)
        assert start.shape == images.shape
        return start


def fixed(inner: InnerAttack, starts: NDArray[Any]) -> FixedStarts:
    same = {field.name: getattr(inner, field.name) for field in fields(inner)}
    return FixedStarts(**same).starting_from(torch.from_numpy(starts))


def run(
    defense: AdversarialTraining,
    objective: Objective,
    setup: DefenseSetup,
    given: Arrays,
    name: str,
) -> tuple[float, ...]:
    """Train as the trace did: batches of 8 in its orders, whose first row filled the memory."""
    orders = [torch.from_numpy(order) for order in given[f"{name}_orders"][1:]]
    # So few steps have no whole milestones (1.5 of 3): the scripts' decays there never happen.
    recipe = replace(
        defense.recipe(setup.budget), batch=8, epochs=len(orders), float_milestones=True
    )
    labels = given["Y"].astype(np.uint8)
    log = train(setup.model, objective, recipe, given["X"], labels, orders)
    return log.losses


def same_weights(model: HashModel, given: Arrays, name: str) -> None:
    hidden = model.backbone[1]  # type: ignore[index]
    for layer, wanted in ((hidden, "W1"), (model.hash_layer, "W2")):
        found = layer.weight.detach().T.numpy()
        moved = np.abs(given[f"{name}_{wanted}_final"] - given[f"{wanted}_init"]).max()
        np.testing.assert_allclose(found, given[f"{name}_{wanted}_final"], rtol=0, atol=1e-6)
        # The trace moves the weights by far more than they may differ.
        assert moved > 1e-4


def test_cgat_trace(
    vectors: Vectors, defense_named: Named, setup_of: SetupOf, vector_model: Tiny
) -> None:
    given = vectors("train_traces")
    model = vector_model(given)
    setup = setup_of(model, given["X"], given["Y"], spec="dph")
    defense = defense_named("cgat@released")
    assert isinstance(defense, CenterGuidedTraining)
    inner = fixed(
        defense.inner_attack(model, setup.budget, setup.generator), given["cgat_DPH_delta0"]
    )
    assert (inner.steps, inner.step_size, inner.threat.radius) == (7, 2 / 255, 8 / 255)
    objective = in_float64(CenterGuided(defense.terms(), setup, inner))
    parts: list[tuple[float, float]] = []

    class Parted(Objective):
        """The same loss, with its two terms kept."""

        def loss(self, batch: Batch) -> Tensor:
            total: Tensor = objective.loss(batch)
            memory = setup.loss.memory
            assert isinstance(memory, Tensor)
            # DPH again, over the memory that it has just updated.
            similar = memory[batch.index] @ memory.T / memory.shape[1]
            clean = (similar - (2 * relevant(batch.labels, setup.labels) - 1)).square().mean()
            parts.append((clean.item(), total.item() - clean.item()))
            return total

    losses = run(defense, Parted(), setup, given, "cgat_DPH")
    wanted = given["cgat_DPH_losses"]  # printed with five digits
    assert losses == pytest.approx(wanted[:, 0], abs=6e-6)
    np.testing.assert_allclose(parts, wanted[:, 1:], atol=6e-6)
    same_weights(model, given, "cgat_DPH")
    same_outputs(objective._codes, given["cgat_DPH_B_ben_final"])


def test_cgats_memory_of_codes_is_an_option(
    vectors: Vectors, defense_named: Named, setup_of: SetupOf, vector_model: Tiny
) -> None:
    # Without `soft_memory` the memory holds codes, and the training is another one.
    given = vectors("train_traces")
    model = vector_model(given)
    setup = setup_of(model, given["X"], given["Y"], spec="dph")
    defense = defense_named("cgat@released", soft_memory=False)
    assert isinstance(defense, CenterGuidedTraining)
    inner = fixed(
        defense.inner_attack(model, setup.budget, setup.generator), given["cgat_DPH_delta0"]
    )
    objective = in_float64(CenterGuided(defense.terms(), setup, inner))
    losses = run(defense, objective, setup, given, "cgat_DPH")
    assert objective._codes.abs().eq(1).all()
    assert np.abs(np.array(losses) - given["cgat_DPH_losses"][:, 0]).min() > 1e-3


def test_atrdh_trace(
    vectors: Vectors, defense_named: Named, setup_of: SetupOf, vector_model: Tiny
) -> None:
    given = vectors("train_traces")
    model = vector_model(given)
    setup = setup_of(model, given["X"], given["Y"], spec="dph")
    defense = defense_named("atrdh@saat")
    inner = fixed(
        defense.inner_attack(model, setup.budget, setup.generator), given["atrdh_DPH_delta0"]
    )
    codes = iter(torch.from_numpy(given["atrdh_DPH_target_codes"]))
    objective = in_float64(ATRDH.PrototypeGuided(defense, setup, inner, lambda *_: next(codes), {}))
    run(defense, objective, setup, given, "atrdh_DPH")
    same_weights(model, given, "atrdh_DPH")


def test_atrdhs_targets_are_the_distinct_label_rows(
    vectors: Vectors, defense_named: Named, setup_of: SetupOf, vector_model: Tiny
) -> None:
    given = vectors("train_traces")
    setup = setup_of(vector_model(given), given["X"], given["Y"], spec="dph")
    training = ATRDH.PrototypeTraining(defense_named("atrdh"), setup)
    drawn, _ = training._targets.draw(2_000, setup.generator, square_mask=False)
    assert np.array_equal(drawn.unique(dim=0).numpy(), given["atrdh_unique_labels"])
