"""The stage that backbones are tried on: one of them, built for images of some shape."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Final

import torch
from torch import Tensor

from hashbench.errors import UsageError
from hashbench.hashing.answers import built
from hashbench.hashing.backbone import BackboneNet, InputSpec
from hashbench.hashing.contract import Backbone
from hashbench.hashing.encode import evaluating
from hashbench.hashing.model import HashModel
from hashbench.testing.surroundings import own_random_state
from hashbench.testing.world import BITS, Bystander, Shape

SHAPES: Final[tuple[Shape, ...]] = ((3, 32, 32), (3, 64, 64), (3, 224, 224))
"""Shapes of images to ask with: the first that the backbone does not refuse."""

BATCH: Final = 5
"""Images that a network is asked at once."""


class BackboneStage:
    """Builds one backbone, without pretrained weights where these would have to be fetched."""

    def __init__(self, backbone: Backbone) -> None:
        """Take a backbone, which is never changed."""
        self.plugin = backbone
        self.blamed = (backbone, "build")
        self.bystander = Bystander()

    @cached_property
    def fetched(self) -> bool:
        """Whether it starts from weights that no file is known to hold."""
        return self.plugin.bare() != self.plugin and not self.plugin.reads()

    @cached_property
    def shape(self) -> Shape:
        """The first shape of images that it takes."""
        for shape in SHAPES[:-1]:
            try:
                self.net(shape)
            except UsageError:
                continue
            return shape
        return SHAPES[-1]

    def net(self, shape: Shape | None = None, seed: int = 0, *, bare: bool = True) -> BackboneNet:
        """The network for images of a shape.

        Args:
            shape: (C, H, W); by default one that it takes.
            seed: of the process-wide generators.
            bare: without pretrained weights; else only where these lie here.
        """
        backbone = self.plugin.bare() if bare and self.fetched else self.plugin
        with own_random_state(seed):
            return built(backbone, spec_of(self.shape if shape is None else shape))

    @cached_property
    def usual(self) -> BackboneNet:
        """The network that is looked at, and never changed."""
        return self.net()

    @cached_property
    def images(self) -> Tensor:
        """Normalised images for it, (B, C, H, W), as the model hands them to it."""
        return normalised(self.usual, self.shape)

    def features(self, images: Tensor | None = None, net: BackboneNet | None = None) -> Tensor:
        """Of a network in eval mode, (B, features)."""
        module = (self.usual if net is None else net).module
        with own_random_state(), evaluating(module), torch.no_grad():
            found: Tensor = module((self.images if images is None else images).clone())
        return found

    def model(self) -> HashModel:
        """A hashing model on a copy of the network, in eval mode."""
        with own_random_state():
            return HashModel(copy.deepcopy(self.usual), BITS).eval()


def spec_of(shape: Shape) -> InputSpec:
    """What a backbone is told of images of a shape."""
    channels, height, width = shape
    mean, std = (0.47, 0.45, 0.4)[:channels], (0.25, 0.24, 0.26)[:channels]
    return InputSpec(channels, height, width, mean, std)


def normalised(net: BackboneNet, shape: Shape) -> Tensor:
    """Images of noise as a model hands them to its network."""
    images = torch.rand((BATCH, *shape), generator=torch.Generator().manual_seed(5))
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (net.mean, net.std))
    return (images - mean) / std
