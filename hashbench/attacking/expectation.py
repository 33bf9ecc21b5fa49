"""Means over a model's draws: of what its passes give, and of a loss together with its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from hashbench.errors import PluginError


def mean_of(draws: int, ask: Callable[[], Tensor]) -> Tensor:
    """The mean of so many answers; a single one as it is, to the bit.

    Args:
        draws: how many, 1 or more.
        ask: gives a tensor of one shape in every call.
    """
    total = ask()
    for _ in range(1, draws):
        total = total + ask()
    return total / draws if draws > 1 else total


def expected_loss(draws: int, loss: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """The mean of a random loss over so many draws, one value per query, (B,).

    Its gradient is the mean of the draws' gradients: the expectation over transformations (EOT) of
    Athalye, Engstrom, Ilyas and Kwok (ICML 2018). With one draw it is the loss itself, graph and
    all. With more, every draw's gradient is taken at once and added up, so that as much memory is
    needed as for one draw; the gradient then reaches the images alone, and that once.

    Args:
        draws: how many, 1 or more.
        loss: images (B, C, H, W) -> one value per query (B,), anew in each call; a query's value
            depends on its own image alone.
        images: (B, C, H, W) in `[0, 1]`.

    Raises:
        PluginError: the loss gives no value per query.
    """

    def checked(point: Tensor) -> Tensor:
        values = loss(point)
        if values.shape != images.shape[:1]:
            raise PluginError(
                f"a loss must give one value per query, ({len(images)},), but gave "
                f"{tuple(values.shape)}: average over the bits, never over the batch"
            )
        return values

    if draws == 1:
        return checked(images)
    if not (torch.is_grad_enabled() and images.requires_grad):
        return mean_of(draws, lambda: checked(images))
    gradient = torch.zeros_like(images)
    cut_off = True

    def gathered() -> Tensor:
        nonlocal gradient, cut_off
        point = images.detach().requires_grad_(True)
        values = checked(point)
        if values.requires_grad:
            (found,) = torch.autograd.grad(values.sum(), point, allow_unused=True)
            if found is not None:
                gradient, cut_off = gradient + found, False
        return values.detach()

    values = mean_of(draws, gathered)
    # Cut off from its images, a loss has no gradient to ask for, as with one draw.
    return values if cut_off else _Gathered.apply(images, values, gradient / draws)


class _Gathered(torch.autograd.Function):
    """Values per query whose gradient by the images is known already."""

    @staticmethod
    @override
    def forward(ctx: Any, images: Tensor, values: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return values.clone()

    @staticmethod
    @override
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return above[0].view(-1, 1, 1, 1) * gradient, None, None
