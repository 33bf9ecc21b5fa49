"""Certified training: what a batch costs, its codes and start, its recipe, what it refuses."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench import plugins
from hashbench.certifying import Box, logit_bounds
from hashbench.defending import (
    BoxLoss,
    BoxSchedule,
    BoxTraining,
    Budget,
    DefenseSetup,
    mean_codes,
    start_afresh,
)
from hashbench.eps import Eps
from hashbench.errors import UncertifiableError, UsageError
from hashbench.hashing import (
    Augment,
    BackboneNet,
    Batch,
    HashModel,
    Objective,
    OptimizerName,
    RateShape,
    similarity_codes,
    train,
)
from hashbench.hashing.trainer import random_orders
from hashbench.plugins import TrainedDefense
from hashbench.plugins.parameters import resolved
from support.batches import batch_of
from support.box_loss import restated
from support.exact import ExactModel

SetupOf = Callable[..., DefenseSetup]
Data = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def certified(spec: str = "certified", **parameters: Any) -> TrainedDefense:
    plugin = plugins.get("defense", spec, **parameters)
    assert isinstance(plugin, TrainedDefense)
    return plugin


def plain_model(seed: int = 0, bits: int = 6, kind: type[HashModel] = HashModel) -> HashModel:
    """Layers that have bounds, for (1, 4, 4) images."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Conv2d(1, 4, 2, stride=2), nn.ReLU(), nn.Flatten())
        return kind(BackboneNet(net, 16, (0.5,), (0.25,)), bits).eval()


@pytest.fixture
def data(pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Data:
    return pixels, labels


@pytest.fixture
def setup(data: Data, setup_of: SetupOf) -> DefenseSetup:
    found = setup_of(plain_model(kind=ExactModel), *data, eps="24/255")
    return replace(found, images=data[0])


def objective_of(setup: DefenseSetup, **parameters: Any) -> Objective:
    return certified(**parameters).objective(setup)


class Passes(HashModel):
    """Counts clean passes."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.passes = Counter[str]()

    def logits(self, images: Tensor) -> Tensor:
        if isinstance(images, Tensor):  # not where its code is followed, by torch.fx
            self.passes["clean"] += 1
        return super().logits(images)


def test_what_weighs_nothing_is_not_computed(
    data: Data, setup_of: SetupOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 2, stride=2), nn.ReLU(), nn.Flatten())
    model = Passes(BackboneNet(net, 16, (0.5,), (0.25,)), 6)
    objective = objective_of(setup_of(model, *data))
    objective.loss(replace(batch_of(*data, [0]), progress=1.0))  # its code is followed once
    boxed = []

    def counted(model: HashModel, box: Box, *, finite: bool) -> Box:
        boxed.append(box)
        return logit_bounds(model, box, finite=finite)

    monkeypatch.setattr("hashbench.defending.box_training.logit_bounds", counted)
    batch = batch_of(*data, [0, 1, 2])
    for progress, clean, box in ((0.0, 1, 0), (0.05, 1, 0), (0.3, 1, 1), (0.5, 0, 1), (0.9, 0, 1)):
        model.passes.clear()
        boxed.clear()
        objective.loss(replace(batch, progress=progress))
        assert (model.passes["clean"], len(boxed)) == (clean, box), progress


@pytest.mark.parametrize("progress", [0.0, 0.2, 0.275, 0.5, 0.95])
def test_a_batchs_loss_mixes_clean_images_and_boxes_by_the_schedule(
    progress: float, setup: DefenseSetup, data: Data
) -> None:
    defense = certified(codes="similarity", mix=0.6, scale=0.4, over=1.2, kappa=0.25)
    objective = defense.objective(setup)
    model = setup.model
    codes = similarity_codes(*data, 6, torch.Generator().manual_seed(0)).double().numpy()
    batch = batch_of(*data, [4, 9, 2])
    images = batch.images.double()
    batch = replace(batch, images=images, progress=progress)
    growth = min(1.0, max(0.0, (progress - 0.05) / 0.45))
    radius = 1.2 * 24 / 255 * growth
    logits = model.logits(images).detach().numpy()
    bounds = logit_bounds(model, Box((images - radius).clamp(0, 1), (images + radius).clamp(0, 1)))
    low, high = bounds.lower.detach().numpy(), bounds.upper.detach().numpy()
    rows = batch.labels.numpy()
    kappa = 1 - 0.75 * growth
    wanted = kappa * restated(logits, logits, rows, codes, 0.6, 0.4)
    wanted += (1 - kappa) * restated(low, high, rows, codes, 0.6, 0.4)
    assert float(objective.loss(batch).detach()) == pytest.approx(wanted, rel=1e-12)


def test_at_radius_0_boxes_are_points(setup: DefenseSetup, data: Data) -> None:
    model = setup.model
    codes = torch.ones(3, 6, dtype=torch.float64)
    codes[1, ::2], codes[2, 1::2] = -1, -1
    batch = batch_of(*data, [1, 2, 3])
    batch = replace(batch, images=batch.images.double(), progress=1.0)
    terms, schedule = BoxLoss(codes, 0.85, 0.3), BoxSchedule(0.0, 0.5, 0.0)
    logits = model.logits(batch.images)
    wanted = float(terms(Box(logits, logits), batch.labels).detach())
    points = logit_bounds(model, Box(batch.images, batch.images))
    for found in (
        BoxTraining(model, terms, schedule, 0.0).loss(batch),
        BoxTraining(model, terms, schedule, 1e-15).loss(batch),
        terms(points, batch.labels),
    ):
        # 1e-15 of a pixel moves a logit by rounding alone
        assert float(found.detach()) == pytest.approx(wanted, rel=1e-11)


def test_it_trains_in_the_mode_that_is_proven_and_leaves_the_training_mode(
    data: Data, setup_of: SetupOf
) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 8), nn.ReLU())
    model = HashModel(BackboneNet(net, 8, (0.5,), (0.25,)), 6)
    model.train()
    objective = objective_of(setup_of(model, *data))
    batch = batch_of(*data, [0, 5])
    assert torch.equal(objective.loss(batch), objective.loss(batch))
    assert all(module.training for module in model.modules())


def test_the_codes_are_the_losss_or_of_the_images_or_of_the_outputs(
    data: Data, setup_of: SetupOf
) -> None:
    def codes(spec: str, **parameters: object) -> Tensor:
        setup = replace(setup_of(plain_model(), *data, spec=spec), images=data[0])
        objective = objective_of(setup, **parameters)
        found: Tensor = objective._loss.codes  # type: ignore[attr-defined]
        return found

    seeded = torch.Generator().manual_seed(0)
    alike = similarity_codes(*data, 6, seeded)
    own = setup_of(plain_model(), *data, spec="csq").loss.class_codes()
    assert own is not None
    assert torch.equal(codes("csq"), own)
    assert torch.equal(codes("csq", codes="similarity"), alike)
    assert torch.equal(codes("dpsh"), alike)
    setup = setup_of(plain_model(), *data)
    wanted = torch.stack([setup.outputs[c::3].mean(dim=0) for c in range(3)]).sign()
    assert torch.equal(codes("dpsh", codes="means"), wanted)
    assert torch.equal(mean_codes(setup.outputs, setup.labels), wanted)


def test_without_images_a_loss_of_pairs_is_told_what_to_do(data: Data, setup_of: SetupOf) -> None:
    setup = setup_of(plain_model(), *data, spec="dpsh")
    with pytest.raises(UsageError, match=r"made from the train images.*codes=means"):
        objective_of(setup)
    objective_of(setup, codes="means")


def test_a_model_with_a_layer_that_has_no_bounds_is_refused_before_it_is_trained(
    data: Data, setup_of: SetupOf
) -> None:
    class Strange(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            return values.sin()

    net = nn.Sequential(nn.Flatten(), Strange())
    model = HashModel(BackboneNet(net, 16, (0.5,), (0.25,)), 6).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    setup = replace(setup_of(model, *data), images=data[0])
    with pytest.raises(UncertifiableError, match="Strange"):
        objective_of(setup)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_fresh_start_depends_on_its_generator_alone() -> None:
    def started(base: int, seed: int, noise: int) -> dict[str, Tensor]:
        model = plain_model(base)
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        start_afresh(model, torch.Generator().manual_seed(seed))
        assert torch.equal(torch.get_rng_state(), before)
        return model.state_dict()

    one = started(0, 5, 1)
    for name, value in started(3, 5, 2).items():
        assert torch.equal(value, one[name]), name
    assert not torch.equal(started(0, 6, 1)["hash_layer.weight"], one["hash_layer.weight"])
    assert not torch.equal(plain_model(0).hash_layer.weight, one["hash_layer.weight"])


def test_a_batch_norm_that_starts_afresh_does_nothing_in_eval_mode(
    small_model: Callable[..., HashModel],
) -> None:
    model = small_model()
    norm = model.get_submodule("backbone.2")
    assert isinstance(norm, nn.BatchNorm1d)
    with torch.no_grad():
        norm(torch.randn(4, 12))
        norm.train()(3 * torch.randn(4, 12) + 1)
    start_afresh(model, torch.Generator().manual_seed(0))
    values = torch.randn(3, 12)
    # but for its epsilon of 1e-5
    assert norm.eval()(values).detach().numpy() == pytest.approx(values.numpy(), rel=1e-5)


def test_the_base_models_weights_are_kept_where_it_is_told_to(setup: DefenseSetup) -> None:
    before = {name: value.clone() for name, value in setup.model.state_dict().items()}
    objective_of(setup, start="base")
    after = setup.model.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    objective_of(setup)
    assert not torch.equal(setup.model.hash_layer.weight, before["hash_layer.weight"])


def test_the_recipe_is_the_measured_one() -> None:
    budget = Budget(12, 7, Eps.parse("24/255"))
    recipe = certified().recipe(budget)
    assert (recipe.epochs, recipe.batch, recipe.learning_rate) == (12, 64, 4e-3)
    assert (recipe.optimizer, recipe.momentum, recipe.weight_decay) == (OptimizerName.ADAM, 0.9, 0)
    assert (recipe.rate_shape, recipe.clip_norm) == (RateShape.WARM_UP_LINEAR, 8)
    assert recipe.augment is Augment.NONE
    quick, full = (certified(f"certified@{name}").recipe(budget) for name in ("quick", "full"))
    assert quick == replace(recipe, epochs=40)
    assert full == replace(recipe, epochs=600, augment=Augment.FLIP_SHIFT)
    for name in ("quick", "full"):
        assert resolved(certified(f"certified@{name}"))["codes"] == "similarity"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"epochs": -1}, "epochs must be 0 or more, found -1"),
        ({"batch": 0}, "batch must be 1 or more"),
        ({"eps": Eps.parse("l2:0.5")}, "eps is l2:0.5, but boxes are trained around balls of linf"),
        ({"learning_rate": 0}, "learning_rate must be above 0"),
        ({"clip_norm": -8}, "clip_norm must be above 0"),
        ({"scale": 0}, "scale must be above 0"),
        ({"over": -1.05}, "over must be above 0"),
        ({"mix": 1.1}, "mix must lie from 0 to 1, found 1.1"),
        ({"kappa": -0.5}, "kappa must lie from 0 to 1"),
        ({"scale": math.nan}, "parameter 'scale': expected a number, found 'nan'"),
        ({"begin": 0.5}, "0 <= begin < end <= 1, found 0.5 and 0.5"),
        ({"end": 1.5}, "0 <= begin < end <= 1"),
    ],
)
def test_an_impossible_parameter_is_refused_in_a_sentence(
    parameters: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        certified(**parameters)


def proven_lead(model: HashModel, data: Data, codes: Tensor, eps: float) -> float:
    """Mean over images and bits of how far the worst end of a bit is on its code's side."""
    images = torch.from_numpy(data[0]).float() / 255
    with torch.no_grad():
        bounds = logit_bounds(model, Box((images - eps).clamp(min=0), (images + eps).clamp(max=1)))
    target = torch.from_numpy(data[1]).float() @ codes
    return float(torch.minimum(target * bounds.lower, target * bounds.upper).sign().mean())


def test_after_it_nearly_every_bit_of_a_linear_task_is_proven(setup_of: SetupOf) -> None:
    """Two classes, bright left or bright right: what separates them is 10 times the radius wide."""
    rng = np.random.default_rng(0)
    images = np.full((40, 1, 4, 4), 64, np.uint8)
    images[::2, :, :, :2], images[1::2, :, :, 2:] = 192, 192
    images += rng.integers(0, 8, images.shape, dtype=np.uint8)
    labels = np.eye(2, dtype=np.uint8)[np.arange(40) % 2]
    model = plain_model()
    setup = replace(setup_of(model, images, labels, eps="12/255"), images=images)
    defense = certified(epochs=60, batch=20, codes="similarity")
    objective = defense.objective(setup)
    codes: Tensor = objective._loss.codes  # type: ignore[attr-defined]
    data = images, labels
    before = proven_lead(model, data, codes, 12 / 255)
    recipe = defense.recipe(setup.budget)
    train(model, objective, recipe, images, labels, random_orders(40, 60, seed=1))
    assert before < 0.9
    assert proven_lead(model, data, codes, 12 / 255) == 1.0


def test_a_batch_without_any_label_gives_a_loss_of_0_with_its_graph(setup: DefenseSetup) -> None:
    objective = objective_of(setup)
    images = torch.rand(3, 1, 4, 4)
    for progress in (0.0, 0.3, 0.9):
        found = objective.loss(Batch(images, torch.zeros(3, 3), torch.arange(3), progress))
        assert float(found.detach()) == 0
        assert found.requires_grad
