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
from hashbench.errors import MemoryRanOutError, PluginError
from hashbench.hashing.encode import device_of, evaluating, frozen
from hashbench.hashing.halving import Retry, out_of_memory
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

    Where memory runs out, the training starts again with the same draws, and the model is asked for
    half as many images at a time as were asked for at most: the same losses, up to the order in
    which floats are added.

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
        MemoryRanOutError: there is no room for one image at a time either.
        PluginError: a weight of the network is not finite in the end, or the limit is used up.
        UsageError: the network's weights could not be saved.
    """
    before, retry, together = generator.get_state(), Retry(), 0
    while True:
        network = network_of(attack, sizes_of(train, model.bits)).to(device_of(model)).train()
        own_memory(network)
        refuse_unsavable(network)
        built = {name: plain_copy(value) for name, value in network.state_dict().items()}
        asked = AttackedModel(model, attack.card.name, attack.card.access or Access.GRADIENT)
        asked.allow(limit * len(train) * model.draws)
        if together:
            asked.ask_together(together)
        try:
            _train(attack, network, model, train, codes, threat, generator, asked, progress)
        except OutOfPassesError:
            raise PluginError(
                sentence_of(
                    f"attack '{attack.card.name}' must be trained within {limit:,} passes per "
                    "training image, but asked for more; [limits] passes of a suite sets how many",
                    attack,
                    "train",
                )
            ) from None
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            together = min(together or asked.largest, asked.largest) // 2
            if not together:
                how = "with one image at a time in the model too"
                raise MemoryRanOutError(
                    f"memory ran out while attack '{attack.card.name}' was trained, "
                    f"{how if asked.largest else 'before it asked the model'}: give its training "
                    "smaller batches, let fewer workers run at a time, or take a device with more "
                    "memory"
                ) from error
        else:
            break
        del network
        generator.set_state(before)
        retry.begin()
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


def _train(
    attack: TrainedAttack,
    network: nn.Module,
    model: HashModel,
    train: ImageSet,
    codes: Tensor,
    threat: Threat,
    generator: torch.Generator,
    asked: AttackedModel,
    progress: Progress,
) -> None:
    device = device_of(model)
    setup = AttackerSetup(
        model=asked,
        train=train,
        labels=torch.from_numpy(train.labels).float().to(device),
        codes=codes.float().to(device),
        threat=threat,
        generator=generator,
        progress=progress,
    )
    with evaluating(model), frozen(model):
        attack.train(network, setup)


def network_of(attack: TrainedAttack, sizes: NetworkSizes) -> nn.Module:
    """A trained attack's network with fresh weights; raises what its own code raises.

    Raises:
        PluginError: what it returned is no network.
    """
    return expected(
        attack, "network", attack.network(sizes), nn.Module, "return the network that is trained"
    )
