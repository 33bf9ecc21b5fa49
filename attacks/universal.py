"""Universal: one perturbation for all queries, learnt from the training images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from hashbench.attacking import (
    AttackedModel,
    AttackerSetup,
    Goal,
    NetworkSizes,
    OutputLoss,
    QueryRandom,
    StepSchedule,
    Threat,
    check_descent,
)
from hashbench.errors import UsageError
from hashbench.plugins import Draws, Knowledge, TrainedAttack, attack
from hashbench.retrieval import center_codes


class Perturbation(nn.Module):
    """One perturbation, (C, H, W), added to every image."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        """Start from 0."""
        super().__init__()
        self.delta = nn.Parameter(torch.zeros(shape))

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in `[0, 1]` with the perturbation, cut to that range."""
        return (images + self.delta).clamp(0, 1)


@attack(
    "universal",
    cite="Moosavi-Dezfooli et al., CVPR 2017; Li et al., ICCV 2019; Shafahi et al., AAAI 2020",
    knowledge=(Knowledge.TRAINING,),
    draws=Draws.EXPECTED_LOSS,
)
@dataclass(frozen=True)
class Universal(TrainedAttack):
    """Add the same perturbation to every query; nothing is computed when a query comes.

    Found as Shafahi et al. do: `delta <- clip(delta - size * sign(g), +-eps)` over mini-batches of
    training images, g the gradient of `sum_i mean_k(u_k(x_i + delta) c_ik)`, c the training images'
    center codes. (Moosavi-Dezfooli et al. found such perturbations, adding up each image's own;
    Li et al. brought them to retrieval, for features that are no codes.)

    Attributes:
        epochs: passes over the training images.
        batch: images per step.
        first_step: size of the first step, as a share of eps.
        step_schedule: how the steps' size changes.
    """

    epochs: int = 10
    batch: int = 100
    first_step: float = 0.1
    step_schedule: StepSchedule = StepSchedule.COSINE

    def __post_init__(self) -> None:
        check_descent(self.epochs, first_step=self.first_step)
        if self.batch < 1:
            raise UsageError(f"batch must be 1 or more, found {self.batch}")

    @override
    def network(self, sizes: NetworkSizes) -> Perturbation:
        """The perturbation, 0 before the training."""
        return Perturbation(sizes.shape)

    @override
    def train(self, network: nn.Module, setup: AttackerSetup) -> None:
        """Descend on the training images' agreement with their center codes."""
        delta = perturbation_of(network).delta
        count, radius = len(setup.train), setup.threat.radius
        centers = center_codes(setup.train.labels, setup.codes, setup.train.labels)
        towards = torch.from_numpy(centers).to(delta)
        sizes = iter(
            self.step_schedule.sizes(
                self.first_step * radius, max(1, self.epochs * self._batches(count))
            )
        )
        for epoch in range(self.epochs):
            order = torch.randperm(count, generator=setup.generator)
            for index in order.split(self.batch):
                loss = _agreement(towards[index.to(delta.device)])
                agreement = setup.model.expected_loss(loss, network(setup.images(index)))
                (gradient,) = torch.autograd.grad(agreement.sum(), delta)
                with torch.no_grad():
                    delta.sub_(next(sizes) * gradient.sign()).clamp_(-radius, radius)
            setup.progress(epoch + 1, self.epochs)

    @override
    def perturb(
        self,
        model: AttackedModel,  # asked in the training alone
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,  # deterministic
    ) -> Tensor:
        return threat.project(perturbation_of(goal.trained)(images), images)

    @override
    def passes(self) -> int:
        """None: the perturbation is there already."""
        return 0

    @override
    def reach_of_steps(self, radius: float, images: int) -> float:
        """The sum of its steps' sizes, each a share of the radius."""
        return self.step_schedule.total(
            self.first_step * radius, self.epochs * self._batches(images)
        )

    def _batches(self, images: int) -> int:
        return -(-images // self.batch)

    @override
    def training_passes(self, images: int) -> int:
        return self.epochs * images


def _agreement(codes: Tensor) -> OutputLoss:
    return lambda outputs: (outputs * codes).mean(dim=1)


def perturbation_of(network: nn.Module) -> Perturbation:
    """The network, as the perturbation that it is."""
    if not isinstance(network, Perturbation):
        raise UsageError(f"expected a Perturbation, found {type(network).__name__}")
    return network
