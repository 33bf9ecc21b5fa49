"""What a trained attack learns from, and the harness of its training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hashbench.data.images import ImageSet
from hashbench.errors import PluginError
from hashbench.evaluation.target import AttackedModel, OutOfPassesError
from hashbench.evaluation.threat import Threat
from hashbench.hashing.encode import as_images, device_of, evaluating, frozen
from hashbench.hashing.model import HashModel
from hashbench.plugins.card import Access
from hashbench.plugins.contracts import TrainedAttack


@dataclass(frozen=True)
class Sizes:
    """What a network of an attack is built for.

    Attributes:
        shape: (C, H, W) of the images.
        classes: label columns.
        bits: code length K.
    """

    shape: tuple[int, int, int]
    classes: int
    bits: int


@dataclass(frozen=True)
class AttackerSetup:
    """One training of an attack's network.

    Attributes:
        model: the attacked model; parameters frozen, eval mode.
        train: the training images and their labels.
        labels: their labels, float32 (N, classes).
        codes: their codes under the attacked model, float32 (N, K).
        threat: the ball that the attack will have.
        generator: for every draw.
        progress: told (done, total), in the attack's own units.
    """

    model: AttackedModel
    train: ImageSet
    labels: Tensor
    codes: Tensor
    threat: Threat
    generator: torch.Generator
    progress: Callable[[int, int], None]

    def images(self, index: Tensor) -> Tensor:
        """Training images by their positions (B,), as float32 (B, C, H, W) in `[0, 1]`."""
        return as_images(self.train.images[index.cpu().numpy()], self.labels.device)


def train_attacker(
    attack: TrainedAttack,
    model: HashModel,
    train: ImageSet,
    codes: Tensor,
    threat: Threat,
    generator: torch.Generator,
    *,
    limit: float = math.inf,
    progress: Callable[[int, int], None],
) -> nn.Module:
    """Build and train an attack's network against a model.

    Args:
        attack: the plugin.
        model: the attacked model, on the device to compute on.
        train: the training images.
        codes: their codes under the model, (N, K) of +1 and -1.
        threat: the ball.
        generator: for every draw of the training.
        limit: forward passes per training image.
        progress: told how far it is.

    Raises:
        PluginError: a weight of the network is not finite in the end, or the limit is used up.
    """
    device = device_of(model)
    network = attack.network(sizes_of(train, model.bits)).to(device).train()
    setup = AttackerSetup(
        model=AttackedModel(model, attack.card.name, attack.card.access or Access.GRADIENT),
        train=train,
        labels=torch.from_numpy(train.labels).float().to(device),
        codes=codes.float().to(device),
        threat=threat,
        generator=generator,
        progress=progress,
    )
    setup.model.allow(limit * len(train) * model.draws)
    try:
        with evaluating(model), frozen(model):
            attack.train(network, setup)
    except OutOfPassesError:
        raise PluginError(
            f"attack '{attack.card.name}' must be trained within {limit:,} passes per training "
            "image, but asked for more; [limits] passes of a suite sets how many"
        ) from None
    for name, value in network.state_dict().items():
        if not bool(torch.isfinite(value).all()):
            raise PluginError(
                f"attack '{attack.card.name}' must train a network of finite weights, but '{name}' "
                "holds NaN or infinity"
            )
    return network.eval()


def sizes_of(train: ImageSet, bits: int) -> Sizes:
    """The sizes that an attack's network is built for."""
    _, channels, height, width = train.images.shape
    return Sizes((channels, height, width), train.classes, bits)
