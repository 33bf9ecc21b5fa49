"""Networks of programs as torch modules: always as they were exported, some in fixed batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from typing_extensions import override

from hashbench.characters import briefly
from hashbench.errors import ModelError


class Sealed(nn.Module):
    """A network whose mode cannot be changed: what it does in training is not known.

    Its parameters and buffers are those of the network; it is given numbers of their type.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        for parameter in net.parameters():
            parameter.requires_grad_(False)
        self.training = False

    @override
    def train(self, mode: bool = True) -> Self:
        return self

    @override
    def forward(self, images: Tensor) -> Any:
        floats = (one for one in self.net.parameters() if one.is_floating_point())
        first = next(floats, None)
        return self.net(images if first is None else images.to(first.dtype))


class Picked(nn.Module):
    """The one output of a network that gives several, in a tuple, a list or a dict."""

    def __init__(self, net: nn.Module, output: str) -> None:
        """Take a network.

        Args:
            net: see `Sealed`.
            output: its name in a dict, or its place from 0; empty where there is but one.
        """
        super().__init__()
        self.net = net
        self.output = output

    @override
    def forward(self, images: Tensor) -> Tensor:
        return picked(self.net(images), self.output)


def picked(given: Any, output: str) -> Tensor:
    """One of what a network gives.

    Raises:
        ModelError: there is no such one, or several and none is named.
    """
    named: dict[str, Any]
    if isinstance(given, Mapping):
        named = {str(key): value for key, value in given.items()}
    elif isinstance(given, Sequence) and not isinstance(given, str):
        named = {str(place): value for place, value in enumerate(given)}
    else:
        named = {"": given}
    if not output and len(named) == 1:
        found = next(iter(named.values()))
    elif output in named:
        found = named[output]
    else:
        listed = ", ".join(
            f"'{briefly(name)}' {_form(value)}" for name, value in list(named.items())[:6]
        )
        wanted = f"has no output '{briefly(output)}'" if output else "has several outputs"
        raise ModelError(f"the model {wanted}; there are {listed}: say which with --output")
    if not isinstance(found, Tensor):
        raise ModelError(f"the model gives {_form(found)}, expected one tensor")
    return found


def _form(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"of shape {tuple(value.shape)}"
    return f"a value of type {type(value).__name__}"


class InBatches(nn.Module):
    """A network that takes so many images at once, no more and no fewer.

    The last batch is filled up with copies of its last image, whose outputs are dropped.
    """

    def __init__(self, net: nn.Module, batch: int) -> None:
        """Take a network.

        Args:
            net: gives (batch, K) for (batch, C, H, W).
            batch: at least 1.
        """
        super().__init__()
        self.net = net
        self.batch = batch

    @override
    def forward(self, images: Tensor) -> Tensor:
        found = []
        for start in range(0, len(images), self.batch):
            part = images[start : start + self.batch]
            missing = self.batch - len(part)
            whole = torch.cat([part, part[-1:].expand(missing, *part.shape[1:])])
            found.append(self.net(whole)[: len(part)])
        return torch.cat(found)
