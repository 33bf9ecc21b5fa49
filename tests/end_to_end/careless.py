"""A plugin file for the tests: draws from the process-wide generators, as plugins should not."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from hashbench.attacking import AttackedModel, Goal, QueryRandom, Threat
from hashbench.hashing import BackboneNet, InputSpec
from hashbench.plugins import Access, Attack, Backbone, attack, backbone


@attack("careless", access=Access.NONE, knowledge=())
@dataclass(frozen=True)
class Careless(Attack):
    """Noise from three generators that are not the query's own."""

    @override
    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        drawn = torch.rand_like(images) + random.random() + float(np.random.rand())  # noqa: NPY002
        return images + threat.radius * (2 * drawn.remainder(1) - 1)


@backbone("forgetful")
@dataclass(frozen=True)
class Forgetful(Backbone):
    """A network with dropout, which draws from torch's generator while it is trained."""

    def build(self, images: InputSpec) -> BackboneNet:
        pixels = images.channels * images.height * images.width
        module = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(pixels, 16), nn.ReLU())
        return BackboneNet(module, 16, images.mean, images.std)
