"""The harness in which an attack's own network is trained against one model."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hashbench.attacking.attacked_model import AttackedModel, OutOfPassesError
from hashbench.attacking.contract import TrainedAttack
from hashbench.attacking.setup import AttackerSetup, NetworkSizes, sizes_of
from hashbench.attacking.threat import Threat
from hashbench.data.images import ImageSet
from hashbench.errors import PluginError
from hashbench.hashing.encode import device_of, evaluating, frozen
from hashbench.hashing.memory import own_memory, plain_copy, refuse_unsavable
from hashbench.hashing.model import HashModel
from hashbench.hashing.state_dict import is_sound
from hashbench.plugins.blame import expected, sentence_of
from hashbench.plugins.card import Access
from hashbench.progress import Progress


def train_attacker(
    attack: TrainedAttack,
    model: HashModel,
    train: ImageSet,
    codes: Tensor,
    threat: Threat,
    generator: torch.Generator,
    *,
    limit: float = math.inf,
    progress: Progress,
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
        UsageError: the network's weights could not be saved.
    """
    device = device_of(model)
    network = network_of(attack, sizes_of(train, model.bits)).to(device).train()
    own_memory(network)
    refuse_unsavable(network)
    built = {name: plain_copy(value) for name, value in network.state_dict().items()}
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
            sentence_of(
                f"attack '{attack.card.name}' must be trained within {limit:,} passes per training "
                "image, but asked for more; [limits] passes of a suite sets how many",
                attack,
                "train",
            )
        ) from None
    for name, value in network.state_dict().items():
        if not is_sound(value, built.get(name)):
            raise PluginError(
                sentence_of(
                    f"attack '{attack.card.name}' must train a network of finite weights, but "
                    f"'{name}' holds NaN or infinity",
                    attack,
                    "train",
                )
            )
    return network.eval()


def network_of(attack: TrainedAttack, sizes: NetworkSizes) -> nn.Module:
    """A trained attack's network with fresh weights; raises what its own code raises.

    Raises:
        PluginError: what it returned is no network.
    """
    return expected(
        attack, "network", attack.network(sizes), nn.Module, "return the network that is trained"
    )
