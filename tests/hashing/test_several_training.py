"""Several processes train the model that one process trains.

In float64 the two agree to 1e-12 for every loss and every trained defense: losses and memories see
whole batches, inner attacks whole gradients, norms whole statistics, dropout the same masks.
"""

from __future__ import annotations

import re
from collections import UserDict
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench import plugins
from hashbench.defending import Budget, DefenseSetup
from hashbench.defending.contract import TrainedDefense
from hashbench.eps import Eps
from hashbench.hashing import BackboneNet, BoundLoss, HashModel, InputSpec, Recipe, train
from hashbench.hashing.divided import divided
from hashbench.hashing.encode import outputs_of
from hashbench.hashing.objective import Batch, Objective
from hashbench.hashing.resuming import FirstReads, Unfinished
from hashbench.hashing.setup import LossSetup
from hashbench.hashing.together import ALONE, Processes
from hashbench.hashing.trainer import PlainObjective, random_orders
from hashbench.plugins import Backbone, Dataset, Loss
from hashbench.plugins.catalog import OWN
from support.exact import ExactModel
from support.several import several

ITEMS, CLASSES, BITS, SIDE = 26, 4, 8, 8
LOSSES = [
    *("csq", "csq@saat", "dch", "dph", "dpn", "dpsh", "dsdh", "dsh", "greedyhash", "hashnet"),
    "ortho",
]
DEFENSES = [
    *("cgat", "cgat@released", "atrdh", "saat", "cgat:training_mode=true"),
    *("cgat:soft_memory=true", "certified", "certified:start=base,kappa=0.5"),
]


def pixels() -> NDArray[np.uint8]:
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (ITEMS, 3, SIDE, SIDE), dtype=np.uint8)


def labels() -> NDArray[np.uint8]:
    """Of one class or two: what is relevant to everything has a center of rounding alone."""
    first = np.arange(ITEMS) % CLASSES
    second = np.where(np.arange(ITEMS) % 2, first, (first + 1) % CLASSES)
    return ((np.eye(CLASSES)[first] + np.eye(CLASSES)[second]) > 0).astype(np.uint8)


def model_of(kind: type[HashModel]) -> HashModel:
    """A network with norms and dropout, as it starts."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(6 * 9, 12),
        nn.BatchNorm1d(12),
        nn.ReLU(),
    )
    return kind(BackboneNet(module, 12, (0.5, 0.5, 0.5), (0.3, 0.3, 0.3)), BITS)


def bound(spec: str) -> BoundLoss:
    loss = plugins.get("loss", spec)
    assert isinstance(loss, Loss)
    generator = torch.Generator().manual_seed(4)
    return loss.bind(LossSetup(torch.from_numpy(labels()).float(), BITS, generator))


def fine(loss: BoundLoss) -> BoundLoss:
    """In float64, but for labels, which the trainer hands on in float32."""
    loss.double()
    if isinstance(held := getattr(loss, "labels", None), Tensor):
        loss.labels = held.float()
    return loss


class Doubled(PlainObjective):
    """With labels in float64."""

    def loss(self, batch: Batch) -> Tensor:
        return super().loss(replace(batch, labels=batch.labels.double()))


def weights_of(model: HashModel) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def trained(
    spec: str,
    processes: Processes,
    *,
    epochs: int,
    batch: int,
    place: Unfinished | None = None,
    kind: type[HashModel] = ExactModel,
) -> dict[str, Tensor]:
    """Weights after a base training."""
    model = model_of(kind)
    loss = bound(spec)
    torch.manual_seed(7)
    with divided(model, processes):
        train(
            model,
            Doubled(model, loss.double()) if kind is ExactModel else PlainObjective(model, loss),
            Recipe(epochs, batch=batch),
            pixels(),
            labels(),
            random_orders(ITEMS, epochs, seed=5),
            unfinished=place,
        )
    return weights_of(model)


def defended(spec: str, loss: str, processes: Processes) -> dict[str, Tensor]:
    """Weights after a trained defense of two epochs, in float64."""
    defense = plugins.get("defense", spec)
    assert isinstance(defense, TrainedDefense)
    model = model_of(ExactModel).eval()
    budget = Budget(epochs=2, inner_steps=3, eps=Eps.parse("8/255"))
    torch.manual_seed(7)
    with divided(model, processes):
        objective: Objective = defense.objective(
            DefenseSetup(
                model=model,
                loss=fine(bound(loss)),
                outputs=outputs_of(model, pixels()),
                labels=torch.from_numpy(labels()).float(),
                database_labels=torch.from_numpy(labels()).float(),
                budget=budget,
                generator=torch.Generator().manual_seed(6),
                images=pixels(),
            )
        )
        if spec == "atrdh":  # its codes are of +1 and -1, and of the type of its prototypes
            inner = objective._inner  # type: ignore[attr-defined]
            codes = inner.codes
            inner.codes = lambda images, outputs: codes(images, outputs).float()
        recipe = Recipe(2, batch=7)
        train(model, objective, recipe, pixels(), labels(), random_orders(ITEMS, 2, seed=5))
    return weights_of(model)


def gap(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("spec", ["csq", "dpsh"])
def test_fifty_steps_in_float32_end_within_1e_5(spec: str, size: int) -> None:
    """On shipped images, as a user has it; 5 epochs of 9 batches of 8 images and one of 5."""
    dataset = plugins.get("dataset", "fashion")
    backbone = plugins.get("backbone", "small-cnn")
    loss = plugins.get("loss", spec)
    assert isinstance(dataset, Dataset)
    assert isinstance(backbone, Backbone)
    assert isinstance(loss, Loss)
    train_set = dataset.load(None).train
    known = train_set.labels[:77]

    def work(processes: Processes) -> tuple[dict[str, Tensor], int]:
        torch.manual_seed(0)
        model = HashModel(backbone.build(InputSpec.of(train_set)), 32)
        own = loss.bind(
            LossSetup(torch.from_numpy(known).float(), 32, torch.Generator().manual_seed(1))
        )
        with divided(model, processes):
            log = train(
                model,
                PlainObjective(model, own),
                Recipe(5, batch=8),
                train_set.images[:77],
                known,
                random_orders(77, 5, seed=0),
            )
        return weights_of(model), len(log.losses)

    (wanted, steps), found = work(ALONE), several(size, work)
    assert steps == 50
    assert gap(found[0][0], wanted) < 1e-5
    assert all(equal(one, other) for (one, _), (other, _) in pairwise(found))


def test_the_same_bytes_twice() -> None:
    def work(processes: Processes) -> dict[str, Tensor]:
        return trained("dpsh", processes, epochs=2, batch=6, kind=HashModel)

    first, second = several(3, work), several(3, work)
    assert all(equal(one, other) for one, other in zip(first, second, strict=True))


class Kept(UserDict[int, bytes]):
    """States in memory, by their number; reading gives the last one."""

    made_by = "a test"

    def read(self, limit: int) -> bytes | None:
        state = self.data[max(self.data)] if self.data else None
        return state if state is None or len(state) <= limit else None

    def write(self, content: bytes) -> None:
        self.data[len(self.data)] = content


def test_it_goes_on_from_its_last_epoch_to_the_byte() -> None:
    """The first process alone has a state; a second run finds only it, and has one epoch to do."""

    def whole_run(processes: Processes) -> tuple[dict[str, Tensor], dict[int, bytes]]:
        kept = Kept()
        place = FirstReads(kept, processes)
        return trained("dpsh", processes, epochs=3, batch=6, place=place, kind=HashModel), kept.data

    runs = several(2, whole_run)
    (wanted, states), (_, others) = runs
    assert sorted(states) == [0, 1]
    assert others == {}

    def second_run(processes: Processes) -> tuple[dict[str, Tensor], int]:
        kept = Kept({0: states[1]} if processes.first else {})
        place = FirstReads(kept, processes)
        return trained("dpsh", processes, epochs=3, batch=6, place=place, kind=HashModel), len(kept)

    for rank, (found, written) in enumerate(several(2, second_run)):
        assert equal(found, wanted)
        assert written == (1 if rank == 0 else 0)  # an epoch done again would have left a state


@pytest.mark.parametrize("spec", LOSSES)
def test_every_loss_in_float64(spec: str) -> None:
    def work(processes: Processes) -> dict[str, Tensor]:
        return trained(spec, processes, epochs=3, batch=6)

    wanted = work(ALONE)
    for found in several(3, work):
        assert gap(found, wanted) < 1e-12


@pytest.mark.parametrize("spec", DEFENSES)
@pytest.mark.parametrize("loss", ["csq", "dpsh"])
def test_every_trained_defense_in_float64(spec: str, loss: str) -> None:
    def work(processes: Processes) -> dict[str, Tensor]:
        return defended(spec, loss, processes)

    wanted = work(ALONE)
    for found in several(2, work):
        assert gap(found, wanted) < 1e-12


def test_all_losses_and_trained_defenses_that_ship_are_held() -> None:
    held = [
        (name, entry.plugin)
        for (_, name), entries in plugins.registry().entries.items()
        for entry in entries
        if entry.origin.source == OWN
    ]
    losses = {name for name, plugin in held if issubclass(plugin, Loss)}
    defenses = {name for name, plugin in held if issubclass(plugin, TrainedDefense)}
    assert {spec.partition("@")[0] for spec in LOSSES} == losses
    assert {re.split("[@:]", spec)[0] for spec in DEFENSES} == defenses
