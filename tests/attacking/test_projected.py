"""The descent loop and its updates: against torch's own optimisers, and against closed forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hashbench.attacking import AdamStep, Eps, MomentumStep, SignStep, Threat, descend
from hashbench.attacking.descent import Update

FREE = Threat(Eps.parse("1"))
"""A ball that holds the whole box."""


def bowl(center: Tensor) -> Callable[[Tensor, int], Tensor]:
    """A loss with another curvature in every pixel."""
    curvature = torch.linspace(0.1, 3, center[0].numel()).view(center.shape[1:])
    return lambda point, _: (curvature * (point - center).square()).flatten(1).sum(dim=1)


def torch_descent(
    images: Tensor,
    loss: Callable[[Tensor, int], Tensor],
    optimizer: Callable[[Sequence[Tensor]], torch.optim.Optimizer],
    threat: Threat,
    steps: int,
) -> Tensor:
    """The same descent with an optimiser of torch on the images, projected after every step."""
    point = images.clone().requires_grad_(True)
    descent = optimizer([point])
    for step in range(steps):
        descent.zero_grad()
        loss(point, step).sum().backward()
        descent.step()
        with torch.no_grad():
            point.copy_(threat.project(point, images))
    return point.detach()


@pytest.mark.parametrize("eps", ["1", "3/100"])
@pytest.mark.parametrize(
    ("update", "optimizer"),
    [
        (lambda: MomentumStep(0.05, 0.9), lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)),
        (lambda: MomentumStep(0.05, 0.0), lambda p: torch.optim.SGD(p, lr=0.05)),
        (lambda: AdamStep(0.01), lambda p: torch.optim.Adam(p, lr=0.01)),
        (
            lambda: AdamStep(0.02, (0.5, 0.9)),
            lambda p: torch.optim.Adam(p, lr=0.02, betas=(0.5, 0.9)),
        ),
    ],
)
def test_updates_are_those_of_torch(update: Callable[[], Update], optimizer: Any, eps: str) -> None:
    rng = torch.Generator().manual_seed(1)
    images, center = torch.rand(2, 4, 3, 5, 5, generator=rng).unbind()
    threat = Threat(Eps.parse(eps))
    found = descend(bowl(center), images, threat, steps=25, update=update())
    wanted = torch_descent(images, bowl(center), optimizer, threat, 25)
    # Float order: Adam divides by the root of a mean of squares, which may be next to 0.
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    assert (found - images).abs().max() > 0.02


def test_sign_steps_walk_in_equal_strides_and_stop_at_the_ball() -> None:
    images = torch.full((2, 1, 2, 2), 0.5)
    slope = torch.tensor([[1.0, -2.0], [1e-20, 0.0]])
    walked = [
        descend(
            lambda point, _: (point * slope).flatten(1).sum(dim=1),
            images,
            Threat(Eps.parse("0.1")),
            steps=steps,
            update=SignStep(0.04),
        )
        for steps in range(5)
    ]
    for steps, point in enumerate(walked):
        stride = min(0.04 * steps, 0.1)
        wanted = 0.5 - stride * slope.sign()
        torch.testing.assert_close(point, wanted.expand(2, 1, 2, 2), rtol=0, atol=1e-6)


def test_sign_steps_may_have_a_size_each_and_are_no_more_than_their_sizes() -> None:
    images = torch.full((1, 1, 1, 1), 0.5)
    sizes = (0.2, 0.05, 0.1)
    for steps in range(4):
        found = descend(
            lambda point, _: point.flatten(1).sum(dim=1),
            images,
            FREE,
            steps=steps,
            update=SignStep(sizes),
        )
        assert found.item() == pytest.approx(0.5 - sum(sizes[:steps]))


def test_a_direction_may_ask_the_loss_often_and_is_what_the_update_gets() -> None:
    # Central differences: two passes a pixel, no gradient; exact for a parabola.
    images, center = torch.rand(2, 3, 1, 1, 2, generator=torch.Generator().manual_seed(8)).unbind()
    loss, asked = bowl(center), []

    def recorded(point: Tensor, step: int) -> Tensor:
        asked.append(step)
        return loss(point, step)

    def differences(loss: Callable[[Tensor, int], Tensor], point: Tensor, step: int) -> Tensor:
        assert not point.requires_grad
        slopes = torch.zeros_like(point)
        for pixel in range(2):
            nudge = torch.zeros_like(point)
            nudge[..., pixel] = 0.25
            slope = (loss(point + nudge, step) - loss(point - nudge, step)) / 0.5
            slopes[..., pixel] = slope.view(-1, 1, 1)
        return slopes

    found = descend(
        recorded, images, FREE, steps=6, update=MomentumStep(0.05, 0.9), direction=differences
    )
    wanted = descend(loss, images, FREE, steps=6, update=MomentumStep(0.05, 0.9))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    assert asked == [step for step in range(6) for _ in range(4)]


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    eps=st.sampled_from(["0", "1/255", "0.3", "1"]),
    start=st.sampled_from(["image", "inside", "far"]),
    steps=st.integers(0, 4),
    size=st.sampled_from([1e-3, 0.2, 50.0]),
)
def test_the_point_never_leaves_ball_and_box(
    seed: int, eps: str, start: str, steps: int, size: float
) -> None:
    rng = torch.Generator().manual_seed(seed)
    images, center = torch.rand(2, 3, 1, 4, 4, generator=rng).unbind()
    threat = Threat(Eps.parse(eps))
    draws = torch.rand(images.shape, generator=rng) * 2 - 1
    starts = {"image": None, "inside": images + threat.radius * draws, "far": images + 9 * draws}
    visited: list[Tensor] = []

    def loss(point: Tensor, step: int) -> Tensor:
        visited.append(point.detach())
        return bowl(center)(point, step)

    end = descend(loss, images, threat, steps=steps, update=SignStep(size), start=starts[start])
    assert len(visited) == steps
    for point in [*visited, end]:
        assert point.min() >= 0
        assert point.max() <= 1
        assert (point - images).abs().max() <= threat.radius + 1e-6
        if eps == "0":
            assert torch.equal(point, images)
    assert not end.requires_grad


def test_no_step_returns_the_projected_start() -> None:
    images = torch.tensor([0.0, 0.4, 1.0]).view(1, 1, 1, 3)
    loss = bowl(images)
    update = SignStep(1.0)
    threat = Threat(Eps.parse("0.25"))
    assert torch.equal(descend(loss, images, threat, steps=0, update=update), images)
    far = descend(loss, images, threat, steps=0, update=update, start=images + 7)
    assert far.flatten().tolist() == pytest.approx([0.25, 0.65, 1.0])


def test_the_loss_is_told_the_step_and_the_batch_is_summed() -> None:
    images = torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    steps: list[int] = []

    def loss(point: Tensor, step: int) -> Tensor:
        steps.append(step)
        return bowl(torch.zeros_like(point))(point, step)

    whole = descend(loss, images, FREE, steps=4, update=MomentumStep(0.01, 0.9))
    assert steps == [0, 1, 2, 3]
    apart = [
        descend(loss, image[None], FREE, steps=4, update=MomentumStep(0.01, 0.9))
        for image in images
    ]
    assert torch.equal(whole, torch.cat(apart))


def test_neither_images_nor_start_are_changed() -> None:
    images = torch.rand(2, 1, 3, 3, generator=torch.Generator().manual_seed(4))
    start = images + 0.5
    copies = images.clone(), start.clone()
    descend(bowl(images - 1), images, FREE, steps=3, update=AdamStep(0.1), start=start)
    assert torch.equal(images, copies[0])
    assert torch.equal(start, copies[1])
