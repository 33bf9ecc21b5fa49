"""What losses and backbones return, held against their contracts: the one way to call them."""

from __future__ import annotations

from torch import nn

from hashbench.hashing.backbone import BackboneNet, InputSpec
from hashbench.hashing.contract import Backbone, Loss
from hashbench.hashing.objective import BoundLoss
from hashbench.hashing.setup import LossSetup
from hashbench.plugins.blame import answer_of, broken_contract, came, expected

_NET = "return hashbench.hashing.BackboneNet(net, features=..., mean=images.mean, std=images.std)"


def bare_of(backbone: Backbone) -> Backbone:
    """The same network without pretrained weights; see `Backbone.bare`.

    Raises:
        UsageError: its code raises, or answers something else.
    """
    return answer_of(backbone, "bare", Backbone)


def built(backbone: Backbone, images: InputSpec) -> BackboneNet:
    """The network of a backbone for images of a size; raises what its own code raises.

    Raises:
        PluginError: what `build` returned is no `BackboneNet`, or its fields do not fit.
    """
    net = expected(backbone, "build", backbone.build(images), BackboneNet, _NET)
    if not isinstance(net.module, nn.Module):
        raise broken_contract(
            backbone,
            "build",
            "must return a BackboneNet around a torch.nn.Module, but its field module is "
            + came(net.module),
        )
    whole = isinstance(net.features, int) and not isinstance(net.features, bool)
    if not whole or net.features < 1:
        raise broken_contract(
            backbone,
            "build",
            "must return a BackboneNet whose field features is the number of features, a whole "
            f"number from 1 on, but it is {net.features!r}",
        )
    sizes = {len(net.mean), len(net.std)}
    if len(sizes) > 1 or not sizes <= {1, images.channels, *((3,) if images.channels == 1 else ())}:
        raise broken_contract(
            backbone,
            "build",
            f"must return a BackboneNet with one mean and one std for each of {images.channels} "
            f"channels, but has {len(net.mean)} and {len(net.std)}",
            "images.mean and images.std are those of the train set",
        )
    return net


def bound(loss: Loss, setup: LossSetup) -> BoundLoss:
    """The loss of one training; raises what its own code raises.

    Raises:
        PluginError: what `bind` returned is no `BoundLoss`.
    """
    return expected(
        loss,
        "bind",
        loss.bind(setup),
        BoundLoss,
        "write a class (hashbench.hashing.BoundLoss) with forward(self, outputs, labels, index), "
        "and return an object of it",
    )
