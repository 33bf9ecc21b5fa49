"""The one training loop: to the bit what a plain loop with torch's own optimisers does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench.errors import TrainingError
from hashbench.hashing import (
    Batch,
    BoundLoss,
    HashModel,
    Objective,
    OptimizerName,
    Recipe,
    train,
)
from hashbench.hashing.trainer import PlainObjective, TrainingLog, random_orders

Build = Callable[..., HashModel]
Bind = Callable[..., BoundLoss]

COUNT, CLASSES = 23, 3


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(4).integers(0, 256, (COUNT, 3, 4, 4), dtype=np.uint8)


@pytest.fixture(scope="module")
def labels() -> NDArray[np.uint8]:
    return np.eye(CLASSES, dtype=np.uint8)[np.arange(COUNT) % CLASSES]


class Centered(BoundLoss):
    """A loss with a layer of its own, which is trained with the model."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.centers = nn.Linear(CLASSES, bits)
        nn.init.constant_(self.centers.weight, 0.1)
        nn.init.constant_(self.centers.bias, -0.05)

    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:  # noqa: ARG002
        difference: Tensor = outputs - self.centers(labels)
        return difference.square().mean()


def plain_loop(
    model: HashModel,
    loss: BoundLoss,
    recipe: Recipe,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    orders: list[Tensor],
) -> list[float]:
    """As a script would write it: torch's optimiser, torch's MultiStepLR, a step per batch."""
    images = torch.from_numpy(pixels).float() / 255
    rows = torch.from_numpy(labels).float()
    parameters = [*model.parameters(), *loss.parameters()]
    rate, decay = recipe.learning_rate, recipe.weight_decay
    optimizer: torch.optim.Optimizer = torch.optim.SGD(
        parameters, lr=rate, momentum=recipe.momentum, weight_decay=decay
    )
    if recipe.optimizer is OptimizerName.ADAM:
        betas = (recipe.momentum, 0.999)
        optimizer = torch.optim.Adam(parameters, lr=rate, betas=betas, weight_decay=decay)
    steps = recipe.epochs * math.ceil(len(pixels) / recipe.batch)
    milestones: list[float] = [steps / 2, 3 * steps / 4]
    if not recipe.float_milestones:
        milestones = [int(step) for step in milestones]
    schedule = torch.optim.lr_scheduler.MultiStepLR(
        optimizer,
        milestones=milestones,  # type: ignore[arg-type]
        gamma=recipe.gamma,
    )
    losses = []
    model.train()
    for order in orders:
        for start in range(0, len(pixels), recipe.batch):
            index = order[start : start + recipe.batch]
            value = loss(model(images[index]), rows[index], index)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
            losses.append(float(value.detach()))
    return losses


@pytest.mark.parametrize("optimizer", list(OptimizerName))
@pytest.mark.parametrize(("epochs", "floats"), [(4, False), (5, False), (5, True), (8, True)])
@pytest.mark.parametrize("spec", ["dph", "own layers"])
def test_training_is_a_plain_loop_to_the_bit(
    optimizer: OptimizerName,
    epochs: int,
    floats: bool,
    spec: str,
    small_model: Build,
    bound: Bind,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
) -> None:
    # 3 batches an epoch, the last one smaller. 4 epochs: decays at 6 and 9; 5: at 7.5 and 11.25.
    recipe = Recipe(
        epochs, batch=9, optimizer=optimizer, learning_rate=0.02, float_milestones=floats
    )
    orders = list(random_orders(COUNT, epochs, seed=3))

    def loss() -> BoundLoss:
        return Centered(6) if spec != "dph" else bound(spec, torch.from_numpy(labels).float(), 6)

    model, reference = small_model(), small_model()
    ours, theirs = loss(), loss()
    log = train(model, PlainObjective(model, ours), recipe, pixels, labels, orders)
    wanted = plain_loop(reference, theirs, recipe, pixels, labels, orders)
    assert list(log.losses) == wanted
    assert len(wanted) == 3 * epochs
    for found, expected in ((model, reference), (ours, theirs)):
        for name, value in expected.state_dict().items():
            assert torch.equal(found.state_dict()[name], value), name
    if spec != "dph":
        assert not torch.equal(ours.state_dict()["centers.weight"], torch.full((6, CLASSES), 0.1))


def trained(
    model: HashModel, loss: BoundLoss, recipe: Recipe, data: tuple[NDArray[np.uint8], ...]
) -> TrainingLog:
    orders = random_orders(COUNT, recipe.epochs, seed=9)
    return train(model, PlainObjective(model, loss), recipe, data[0], data[1], orders)


def test_training_twice_is_the_same_to_the_bit(
    small_model: Build, bound: Bind, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    rows = torch.from_numpy(labels).float()
    runs = []
    for noise in (1, 2):
        torch.manual_seed(noise)  # the process-wide state takes no part: no dropout here
        model = small_model()
        log = trained(model, bound("csq", rows, 6), Recipe(3, batch=8), (pixels, labels))
        runs.append((log, model.state_dict()))
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(value, runs[1][1][name]) for name, value in runs[0][1].items())


def test_training_lowers_the_loss(
    small_model: Build, bound: Bind, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    rows = torch.from_numpy(labels).float()
    recipe = Recipe(30, batch=8, learning_rate=0.05)
    losses = trained(small_model(), bound("csq", rows, 6), recipe, (pixels, labels)).losses
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])


def norm_of(model: HashModel) -> nn.BatchNorm2d:
    return next(module for module in model.modules() if isinstance(module, nn.BatchNorm2d))


def test_losses_are_computed_in_training_mode(
    small_model: Build,
    bound: Bind,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
) -> None:
    model = small_model(dropout=0.5)
    before = {name: value.clone() for name, value in norm_of(model).state_dict().items()}
    recipe = Recipe(2, batch=8)
    objective = PlainObjective(model, bound("csq", torch.from_numpy(labels).float(), 6))
    seen: list[bool] = []

    class Watching(Objective):
        def loss(self, batch: Batch) -> Tensor:
            seen.extend(module.training for module in model.modules())
            return objective.loss(batch)

    orders = list(random_orders(COUNT, 2, seed=1))
    train(model, Watching(), recipe, pixels, labels, orders)
    after = norm_of(model).state_dict()
    for name in ("running_mean", "running_var", "num_batches_tracked", "weight"):
        assert not torch.equal(after[name], before[name])
    assert seen
    assert all(seen)
    assert not model.training, "the trained model is left in the mode that is evaluated"


def test_no_epoch_trains_nothing(
    small_model: Build, bound: Bind, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    model, before = small_model(), small_model().state_dict()
    loss = bound("csq", torch.from_numpy(labels).float(), 6)
    assert trained(model, loss, Recipe(0), (pixels, labels)).losses == ()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Breaking(Objective):
    """A loss that turns into something else at one step."""

    def __init__(self, model: HashModel, step: int, value: float) -> None:
        self._model = model
        self._step = step
        self._value = value
        self._count = 0

    def loss(self, batch: Batch) -> Tensor:
        self._count += 1
        factor = self._value if self._count == self._step else 1.0
        return factor * self._model.outputs(batch.images).square().mean()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_not_finite_ends_the_training(
    value: float, small_model: Build, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    model = small_model()
    objective = Breaking(model, step=5, value=value)
    recipe = Recipe(3, batch=8, learning_rate=0.125)
    orders = list(random_orders(COUNT, 3, seed=0))
    with pytest.raises(TrainingError, match=r"step 5 of 9 \(learning rate 0\.125\)"):
        train(model, objective, recipe, pixels, labels, orders)


def test_each_batch_is_the_next_slice_of_the_order(
    small_model: Build, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    model = small_model()
    batches: list[Batch] = []

    class Recording(Objective):
        def loss(self, batch: Batch) -> Tensor:
            batches.append(batch)
            value: Tensor = model(batch.images).sum()
            return value

        def parameters(self) -> Iterable[nn.Parameter]:
            return ()

    orders = list(random_orders(COUNT, 2, seed=8))
    told: list[tuple[int, int]] = []
    train(
        model,
        Recording(),
        Recipe(2, batch=10),
        pixels,
        labels,
        orders,
        progress=lambda *done: told.append(done),
    )
    assert [len(batch.index) for batch in batches] == [10, 10, 3] * 2
    assert torch.equal(torch.cat([batch.index for batch in batches]), torch.cat(orders))
    images, rows = torch.from_numpy(pixels).float() / 255, torch.from_numpy(labels).float()
    for batch in batches:
        assert torch.equal(batch.images, images[batch.index])
        assert torch.equal(batch.labels, rows[batch.index])
    assert told == [(step, 6) for step in range(1, 7)]


def test_orders_are_permutations_that_the_seed_alone_decides() -> None:
    torch.manual_seed(0)
    first = list(random_orders(50, 3, seed=5))
    torch.manual_seed(1)
    assert all(map(torch.equal, first, random_orders(50, 3, seed=5)))
    assert all(order.sort().values.tolist() == list(range(50)) for order in first)
    distinct = {tuple(order.tolist()) for order in [*first, *random_orders(50, 3, seed=6)]}
    assert len(distinct) == 6


@pytest.mark.parametrize("clip", [0.05, 1e9])
def test_a_gradient_is_cut_to_its_greatest_length(
    clip: float, small_model: Build, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    """One step of SGD with rate 1 moves the weights by the gradient."""

    class Pull(Objective):
        def loss(self, batch: Batch) -> Tensor:
            return model.logits(batch.images).square().sum()

    moved = []
    for length in (None, clip):
        model = small_model()
        before = [value.detach().clone() for value in model.parameters()]
        recipe = Recipe(
            1, batch=COUNT, learning_rate=1.0, weight_decay=0, milestones=(), clip_norm=length
        )
        train(model, Pull(), recipe, pixels, labels, [torch.arange(COUNT)])
        steps = [new.detach() - old for new, old in zip(model.parameters(), before, strict=True)]
        moved.append(torch.cat([step.flatten() for step in steps]))
    whole, cut = moved
    length = float(whole.norm())
    assert length > 0.05
    # What is left of float32's rounding where a weight and its step are added.
    assert cut.numpy() == pytest.approx((whole * min(1.0, clip / length)).numpy(), abs=1e-6)


def test_every_batch_knows_the_share_of_steps_that_is_done(
    small_model: Build, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    model, seen = small_model(), []

    class Watch(Objective):
        def loss(self, batch: Batch) -> Tensor:
            seen.append(batch.progress)
            return model.logits(batch.images).square().mean()

    train(model, Watch(), Recipe(3, batch=8), pixels, labels, random_orders(COUNT, 3, seed=0))
    assert seen == [step / 9 for step in range(9)]
