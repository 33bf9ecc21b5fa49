"""Plugins whose numbers depend on who else is in the batch, or was before: one of each kind.

Each holds a leak that was found in somebody's program: statistics of the batch taken in eval mode,
a memory of outputs that the model goes on reading, a loss averaged over the batch, a perturbation
that is kept for the next batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from typing_extensions import override

from hashbench.attacking import AttackedModel, Goal, QueryRandom, Threat
from hashbench.defending import WrappedModel
from hashbench.hashing import BackboneNet, BoundLoss, HashModel, InputSpec, LossSetup
from hashbench.plugins import (
    Attack,
    Backbone,
    Loss,
    WrappingDefense,
    attack,
    backbone,
    defense,
    loss,
)


def _small(channels: int, last: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), last,
        nn.AdaptiveAvgPool2d(2), nn.Flatten(),
    )  # fmt: skip


@backbone("batch-stats")
@dataclass(frozen=True)
class BatchStats(Backbone):
    """Takes the batch's statistics in eval mode too."""

    @override
    def build(self, images: InputSpec) -> BackboneNet:
        last = nn.Sequential(nn.BatchNorm2d(16, track_running_stats=False), nn.ReLU())
        return BackboneNet(_small(images.channels, last), 64, images.mean, images.std)


# A loss never sees the model. It can reach it all the same, on three roads.


class Left:
    """What the losses below leave behind in this file."""

    features: ClassVar[Tensor | None] = None
    hooks: ClassVar[list[RemovableHandle]] = []


@contextmanager
def cleaned() -> Iterator[None]:
    """Everything that a loss left in the process is taken away afterwards."""
    before = HashModel.logits
    hooks = nn.modules.module._global_forward_hooks
    known = dict(hooks)
    try:
        yield
    finally:
        HashModel.logits = before  # type: ignore[method-assign]
        hooks.clear()
        hooks.update(known)
        Left.features = None
        Left.hooks.clear()
        WarmStart.last.clear()
        Tiring.calls.clear()
        Cached.found.clear()


class Bound(BoundLoss):
    """Pulls outputs of one class together, and those of two apart."""

    @override
    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        alike = (labels @ labels.T > 0).float() * 2 - 1
        return ((outputs @ outputs.T) / outputs.shape[1] - alike).square().mean()


class Recalled(nn.Module):
    """Adds what the loss remembers, and goes on remembering."""

    @override
    def forward(self, features: Tensor) -> Tensor:
        if not self.training and Left.features is not None:
            last, Left.features = Left.features, features.detach().mean(dim=(0, 2, 3), keepdim=True)
            return features - last
        return features


@backbone("recalling")
@dataclass(frozen=True)
class Recalling(Backbone):
    """Reads the memory of the loss `remembering`, which lies in this file."""

    @override
    def build(self, images: InputSpec) -> BackboneNet:
        return BackboneNet(_small(images.channels, Recalled()), 64, images.mean, images.std)


@loss("remembering")
@dataclass(frozen=True)
class Remembering(Loss):
    """Fills a memory that a backbone of the same file reads."""

    @override
    def bind(self, setup: LossSetup) -> BoundLoss:
        Left.features = torch.zeros(1)
        return Bound()


class Hook:
    """Centres the hash layer's values by its batch."""

    def __call__(self, module: nn.Module, _: Any, values: Any) -> Any:
        if isinstance(module, nn.Linear) and not module.training and values.ndim == 2:
            return values - values.detach().mean(dim=0, keepdim=True)
        return None


@loss("hooking")
@dataclass(frozen=True)
class Hooking(Loss):
    """Leaves a hook on every module of the process."""

    @override
    def bind(self, setup: LossSetup) -> BoundLoss:
        if not Left.hooks:
            register = nn.modules.module.register_module_forward_hook
            Left.hooks.append(register(Hook()))
        return Bound()


@loss("patching")
@dataclass(frozen=True)
class Patching(Loss):
    """Replaces a method of all models by one that reads and fills a running mean."""

    @override
    def bind(self, setup: LossSetup) -> BoundLoss:
        mean = torch.zeros(setup.bits)
        plain = HashModel.logits

        def logits(self: HashModel, images: Tensor) -> Tensor:
            found = plain(self, images)
            if self.training:
                return found
            with torch.no_grad():
                mean.lerp_(found.detach().mean(dim=0), 0.5)
            return found - mean.clone()

        HashModel.logits = logits  # type: ignore[method-assign]
        return Bound()


class Centred(WrappedModel):
    """Takes the batch's mean off."""

    @override
    def logits(self, images: Tensor) -> Tensor:
        found = self.base.logits(images)
        return found - found.mean(dim=0, keepdim=True)


@defense("batch-centred")
@dataclass(frozen=True)
class BatchCentred(WrappingDefense):
    """Normalises over the batch."""

    @override
    def wrap(self, model: HashModel) -> HashModel:
        return Centred(model)


class Recollecting(WrappedModel):
    """Takes off the mean of the batch that it was asked before."""

    def __init__(self, base: HashModel) -> None:
        super().__init__(base)
        self.last = torch.zeros(())

    @override
    def logits(self, images: Tensor) -> Tensor:
        found = self.base.logits(images)
        last, self.last = self.last, found.detach().mean(dim=0)
        return found - last


@defense("recollecting")
@dataclass(frozen=True)
class Recollects(WrappingDefense):
    """Keeps state between calls."""

    @override
    def wrap(self, model: HashModel) -> HashModel:
        return Recollecting(model)


class Placed(WrappedModel):
    """Turns the bits of every fourth row."""

    @override
    def logits(self, images: Tensor) -> Tensor:
        found = self.base.logits(images)
        sign = torch.ones(len(found), 1)
        sign[3::4] = -1
        return found * sign


@defense("placed")
@dataclass(frozen=True)
class ByPlace(WrappingDefense):
    """Answers by the place in the batch."""

    @override
    def wrap(self, model: HashModel) -> HashModel:
        return Placed(model)


class Sized(WrappedModel):
    """Answers otherwise in a batch of more than twenty."""

    @override
    def logits(self, images: Tensor) -> Tensor:
        found = self.base.logits(images)
        return -found if len(images) > 20 else found


@defense("sized")
@dataclass(frozen=True)
class BySize(WrappingDefense):
    """Answers by the size of the batch."""

    @override
    def wrap(self, model: HashModel) -> HashModel:
        return Sized(model)


class NoisyCentred(Centred):
    """Draws at random, and takes the batch's mean off."""

    @override
    def logits(self, images: Tensor) -> Tensor:
        found = super().logits(images)
        return found + 0.01 * torch.randn(found.shape)


@defense("noisy-centred")
@dataclass(frozen=True)
class DrawsAndNormalises(WrappingDefense):
    """Two faults at once."""

    @override
    def wrap(self, model: HashModel) -> HashModel:
        return NoisyCentred(model)


def gradient_of(model: AttackedModel, point: Tensor, codes: Tensor) -> Tensor:
    """Of the agreement with some codes, summed over the batch."""
    point = point.detach().requires_grad_(True)
    agreement = (model.outputs(point) * codes).mean(dim=1).sum()
    (gradient,) = torch.autograd.grad(agreement, point)
    return gradient


@dataclass(frozen=True)
class Descends(Attack):
    """Five steps against a gradient, of which each kind below makes something of its own."""

    steps: int = 5

    def direction(self, gradient: Tensor) -> Tensor:
        """What is subtracted, as a share of the radius."""
        return gradient.sign() / 2

    def start(self, images: Tensor) -> Tensor:
        """Where it begins."""
        return images

    def ended(self, change: Tensor) -> None:
        """Told of the outcome."""

    @override
    def perturb(
        self, model: AttackedModel, images: Tensor, goal: Goal, threat: Threat, rng: QueryRandom
    ) -> Tensor:
        point = threat.project(self.start(images), images)
        for _ in range(self.steps):
            moved = self.direction(gradient_of(model, point, goal.center_codes))
            point = threat.project(point.detach() - threat.radius * moved, images)
        self.ended(point - images)
        return point


@attack("honest")
@dataclass(frozen=True)
class Honest(Descends):
    """Every query by itself."""


@attack("together")
@dataclass(frozen=True)
class Together(Descends):
    """One direction for all of the batch."""

    @override
    def direction(self, gradient: Tensor) -> Tensor:
        return gradient.mean(dim=0, keepdim=True).sign().expand_as(gradient) / 2


@attack("scaled-by-batch")
@dataclass(frozen=True)
class ScaledByBatch(Descends):
    """Raw steps, scaled by the largest gradient of the batch."""

    @override
    def direction(self, gradient: Tensor) -> Tensor:
        return gradient / gradient.abs().max().clamp(min=1e-12)


@attack("averaged")
@dataclass(frozen=True)
class Averaged(Descends):
    """Raw steps on a mean over the batch, so that they shrink as it grows."""

    @override
    def direction(self, gradient: Tensor) -> Tensor:
        size = gradient.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
        return gradient / size / len(gradient)


@attack("warm-start")
@dataclass(frozen=True)
class WarmStart(Descends):
    """Begins where the batch before ended."""

    steps: int = 1
    last: ClassVar[list[Tensor]] = []

    @override
    def start(self, images: Tensor) -> Tensor:
        return images + self.last[-1] if self.last else images

    @override
    def ended(self, change: Tensor) -> None:
        self.last[:] = [change.mean(dim=0, keepdim=True)]


@attack("tiring")
@dataclass(frozen=True)
class Tiring(Descends):
    """Does less with every call."""

    calls: ClassVar[list[int]] = []

    @override
    def direction(self, gradient: Tensor) -> Tensor:
        return super().direction(gradient) / (1 + len(self.calls))

    @override
    def ended(self, change: Tensor) -> None:
        self.calls.append(len(change))


@attack("cached")
@dataclass(frozen=True)
class Cached(Descends):
    """Answers every batch of a shape with what it found for the first one."""

    found: ClassVar[dict[tuple[int, ...], Tensor]] = {}

    @override
    def perturb(
        self, model: AttackedModel, images: Tensor, goal: Goal, threat: Threat, rng: QueryRandom
    ) -> Tensor:
        if images.shape not in self.found:
            self.found[images.shape] = super().perturb(model, images, goal, threat, rng) - images
        return threat.project(images + self.found[images.shape], images)
