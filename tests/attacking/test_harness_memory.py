"""Out of memory: the harness halves the batch and goes on, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hashbench.attacking import (
    AttackedModel,
    AttackOutcome,
    Goal,
    QueryRandom,
    SignStep,
    Threat,
    descend,
)
from hashbench.hashing import BackboneNet, HashModel
from hashbench.plugins import Attack, attack

Run = Callable[..., AttackOutcome]


class Hungry(nn.Module):
    """A backbone that runs out of memory above some images, where activations are kept.

    Without gradients a forward pass keeps none; the harness takes codes like that, in batches of a
    fixed size, since a different size could change them.
    """

    def __init__(self, most: int, error: type[Exception]) -> None:
        super().__init__()
        self.most = most
        self.error = error
        self.sizes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        if images.requires_grad:
            self.sizes.append(len(images))
            if len(images) > self.most:
                raise self.error("the device is full")
        return images.flatten(1)


@attack("walker")
@dataclass(frozen=True)
class Walker(Attack):
    """Random start, then sign steps: draws numbers before the first pass and between passes."""

    def perturb(
        self, model: AttackedModel, images: Tensor, goal: Goal, threat: Threat, rng: QueryRandom
    ) -> Tensor:
        model.codes(images)
        start = images + rng.uniform(images.shape[1:], -threat.radius, threat.radius)
        moved = descend(
            lambda point, _: (model.outputs(point) * goal.center_codes).mean(dim=1),
            images,
            threat,
            steps=3,
            update=SignStep(0.01),
            start=start,
        )
        return threat.project(moved + 0.001 * rng.normal(images.shape[1:]), images)


def hungry_model(most: int, error: type[Exception] = torch.OutOfMemoryError) -> HashModel:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = BackboneNet(Hungry(most, error), 27, (0.5,) * 3, (0.25,) * 3)
        return HashModel(net, 6).eval()


def same(one: AttackOutcome, other: AttackOutcome) -> None:
    for name in ("codes", "linf", "l2"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    for name in ("forwards", "backwards", "saturated", "zero_gradients"):
        assert getattr(one, name) == getattr(other, name), name


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
def test_a_full_device_gives_the_batch_of_one_result_bit_for_bit(
    error: type[Exception], run: Run
) -> None:
    ample, tight = hungry_model(10**6), hungry_model(1, error)
    wanted = run(Walker(), on=ample, batch=1)
    found = run(Walker(), on=tight, batch=8)
    same(found, wanted)
    assert found.backwards == 3 * 11
    assert found.forwards == 4 * 11
    # 8, 4 and 2 were tried and given up once, then it stayed with 1.
    hungry = tight.backbone
    assert isinstance(hungry, Hungry)
    sizes = hungry.sizes
    assert sizes[:3] == [8, 4, 2]
    assert set(sizes[3:]) == {1}


@pytest.mark.parametrize(("most", "settled"), [(2, 2), (3, 2), (5, 4), (10, 8)])
def test_the_largest_half_that_fits_is_kept(most: int, settled: int, run: Run) -> None:
    wanted = run(Walker(), on=hungry_model(10**6), batch=settled)
    same(run(Walker(), on=hungry_model(most), batch=8), wanted)


def test_memory_that_runs_out_in_the_middle_counts_no_pass_twice(run: Run) -> None:
    # The third pass of the first batch fails: two passes of it were done for nothing.
    model = hungry_model(10**6)
    hungry = model.backbone
    assert isinstance(hungry, Hungry)
    inner = hungry.forward
    failed: list[int] = []

    def fails_once(images: Tensor) -> Tensor:
        if images.requires_grad and len(hungry.sizes) == 2 and not failed:
            failed.append(len(images))
            raise torch.OutOfMemoryError("another process took the memory")
        return inner(images)

    hungry.forward = fails_once  # type: ignore[method-assign]
    found = run(Walker(), on=model, batch=8)
    assert failed == [8]
    same(found, run(Walker(), on=hungry_model(10**6), batch=4))


def test_one_image_that_does_not_fit_is_an_error(run: Run) -> None:
    model = hungry_model(0)
    with pytest.raises(torch.OutOfMemoryError):
        run(Walker(), on=model, batch=8)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_another_error_is_not_taken_for_missing_memory(run: Run) -> None:
    with pytest.raises(ArithmeticError):
        run(Walker(), on=hungry_model(1, ArithmeticError), batch=8)
