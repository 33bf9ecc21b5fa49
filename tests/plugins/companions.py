"""Attacks that bring something along, as a plugin file: targets, a surrogate, a network, a list."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hashbench.attacking import (
    AttackedModel,
    AttackerSetup,
    Goal,
    NetworkSizes,
    QueryRandom,
    Threat,
)
from hashbench.plugins import Access, Aim, Attack, Surrogate, TrainedAttack, attack


def step(model: AttackedModel, images: Tensor, codes: Tensor, threat: Threat) -> Tensor:
    """One sign step that lowers the agreement with the codes."""
    point = images.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad((model.logits(point) * codes).sum(), point)
    return threat.project(images - threat.radius * gradient.sign(), images)


@attack("reach-target", aim=Aim.TARGETED)
@dataclass(frozen=True)
class ReachTarget(Attack):
    """One step to the mean code of the target's class."""

    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,  # noqa: ARG002
    ) -> Tensor:
        """Return perturbed images; see `Attack.perturb`."""
        shared = (goal.target_labels @ goal.train_labels.T > 0).float()
        return step(model, images, -(shared @ goal.train_codes), threat)


@attack("lend", access=Access.NONE)
@dataclass(frozen=True)
class Lend(Attack):
    """One step on a surrogate."""

    backbone: str = "small-cnn"

    def surrogate(self) -> Surrogate:
        """A small network of its own."""
        return Surrogate(backbone=self.backbone)

    def perturb(
        self,
        model: AttackedModel,  # noqa: ARG002
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,  # noqa: ARG002
    ) -> Tensor:
        """Return perturbed images; see `Attack.perturb`."""
        own = goal.surrogate
        return step(own.model, images, own.goal.center_codes, threat)


@attack("learn")
@dataclass(frozen=True)
class Learn(TrainedAttack):
    """One perturbation for all, learnt in one step."""

    def network(self, sizes: NetworkSizes) -> nn.Module:
        """A bias of the size of an image."""
        network = nn.Module()
        network.register_parameter("delta", nn.Parameter(0.01 * torch.randn(sizes.shape)))
        return network

    def train(self, network: nn.Module, setup: AttackerSetup) -> None:
        """One sign step over all training images."""
        delta = network.get_parameter("delta")
        images = setup.images(torch.arange(len(setup.train)))
        agreement = (setup.model.outputs(images + delta) * setup.codes).sum()
        (gradient,) = torch.autograd.grad(agreement, delta)
        with torch.no_grad():
            delta.copy_(-setup.threat.radius * gradient.sign())

    def perturb(
        self,
        model: AttackedModel,  # noqa: ARG002
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,  # noqa: ARG002
    ) -> Tensor:
        """Return perturbed images; see `Attack.perturb`."""
        return threat.project(images + goal.trained.get_parameter("delta"), images)


@attack("look-up", access=Access.RANKING, knowledge=())
@dataclass(frozen=True)
class LookUp(Attack):
    """Asks for a ranked list, and leaves the image as it is."""

    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,  # noqa: ARG002
        threat: Threat,  # noqa: ARG002
        rng: QueryRandom,  # noqa: ARG002
    ) -> Tensor:
        """Return perturbed images; see `Attack.perturb`."""
        if model.ranked(images, 5).shape != (len(images), 5):
            raise ValueError("no list of five")
        return images


@attack("restless")
@dataclass(frozen=True)
class Restless(Attack):
    """Never returns."""

    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,  # noqa: ARG002
        threat: Threat,  # noqa: ARG002
        rng: QueryRandom,  # noqa: ARG002
    ) -> Tensor:
        """Return nothing at all."""
        while True:
            model.codes(images)
