"""Which weights a defense begins with."""

from __future__ import annotations

from enum import StrEnum

import torch

from hashbench.hashing.encode import device_of
from hashbench.hashing.model import HashModel


class Start(StrEnum):
    """Which weights the training begins with."""

    SCRATCH = "scratch"
    """Those that torch starts each layer with; of the base model only the network is left."""

    BASE = "base"
    """The base model's."""


def start_afresh(model: HashModel, generator: torch.Generator) -> None:
    """Give every layer of a model the weights that torch starts it with, drawn from a generator.

    Layers that do not say how (`reset_parameters`) keep theirs. Batch norms forget what they saw:
    in eval mode they change nothing then.

    Args:
        model: changed in place.
        generator: of the CPU; weights are drawn there, so they are the same for every device.
    """
    device = device_of(model)
    with torch.random.fork_rng(devices=[]):
        seed = torch.randint(torch.iinfo(torch.int64).max, (), generator=generator)
        torch.default_generator.manual_seed(int(seed))
        model.cpu()
        for module in model.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
        model.to(device)
