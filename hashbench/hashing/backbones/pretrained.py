"""The base of backbones with pretrained weights: where weights come from, how they are checked.

Nothing here is a plugin. Classes derive from `PretrainedBackbone`, so that this file is part of
what a plugin's source hash covers.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.func import functional_call
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.hashing.backbone import InputSpec
from hashbench.hashing.state_dict import fitted, read_state
from hashbench.plugins import Backbone, FileOr

NONE = "none"
IMAGENET = "imagenet"
IMAGENET_V1 = "imagenet-v1"

Weights = Annotated[str, FileOr(NONE, IMAGENET, IMAGENET_V1)]
"""A file of weights, or a word; a class knows some of them."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class PretrainedBackbone(Backbone):
    """A network of another package without its last layer, with or without its weights.

    Attributes:
        weights: `none` for fresh ones, a name that the class knows, or a file of a state dict.
    """

    weights: Weights = NONE

    known: ClassVar[tuple[str, ...]] = (NONE, IMAGENET)
    """The values of `weights` that are no file."""

    @override
    def reads(self) -> tuple[Path, ...]:
        return () if self.weights in self.known else (Path(self.weights),)

    @override
    def bare(self) -> Self:
        return replace(self, weights=NONE)

    def read_file(self) -> dict[str, Tensor]:
        """The state dict of the file that `weights` names.

        Raises:
            UsageError: there is none, or it cannot be read.
        """
        if not Path(self.weights).is_file():
            choices = ", ".join(f"'{name}'" for name in self.known)
            raise UsageError(
                f"backbone '{self.card.name}', weights: '{self.weights}' is none of {choices}, "
                "and no file either"
            )
        return read_state(Path(self.weights))

    def load(self, module: nn.Module, state: Mapping[str, Tensor], head: tuple[str, ...]) -> None:
        """Put weights into a network.

        Args:
            module: the network, without its last layers.
            state: its weights; those of the last layers may be there or not.
            head: the names of the last layers.

        Raises:
            UsageError: keys, shapes or values do not fit; nothing is loaded then.
        """
        left = tuple(f"{name}." for name in head)
        kept = {name: value for name, value in state.items() if not name.startswith(left)}
        where = f"backbone '{self.card.name}', weights '{self.weights}': the state dict"
        module.load_state_dict(fitted(kept, module.state_dict(), where))

    def check_channels(self, images: InputSpec) -> None:
        """Refuse images that are neither grey nor coloured.

        Raises:
            UsageError: they have another number of channels than 1 or 3.
        """
        if images.channels not in (1, 3):
            raise UsageError(
                f"backbone '{self.card.name}' takes grey or RGB images, "
                f"found {images.channels} channels"
            )


def cut(module: nn.Module, head: str) -> int:
    """Replace a network's last linear layer by nothing, in place.

    Args:
        module: the network.
        head: the layer's name, such as `classifier.6`.

    Returns:
        The number of features that the layer was given.
    """
    linear = module.get_submodule(head)
    if not isinstance(linear, nn.Linear):
        raise TypeError(f"{head} is a {type(linear).__name__}, expected a linear layer")
    parent, _, name = head.rpartition(".")
    setattr(module.get_submodule(parent), name, nn.Identity())
    return linear.in_features


def without_idle_pools(module: nn.Module, shape: tuple[int, int, int]) -> None:
    """Take out adaptive average pools whose maps have the pool's size already, in place.

    Such a pool gives every value back, to the bit, and on a GPU its gradient is one of the few that
    torch computes in another order each time.

    Args:
        module: the network.
        shape: (C, H, W) of its images.
    """
    seen: dict[str, tuple[int, ...]] = {}
    pools = {
        name: pool
        for name, pool in module.named_modules()
        if isinstance(pool, nn.AdaptiveAvgPool2d) and pool.output_size not in (1, (1, 1))
    }
    if not pools:
        return

    def watch(name: str) -> Any:
        return lambda _, given: seen.update({name: tuple(given[0].shape[2:])})

    mode = module.training
    module.eval()
    handles = [pool.register_forward_pre_hook(watch(name)) for name, pool in pools.items()]
    try:
        # Shapes alone: nothing is computed on torch's device `meta`.
        state = {name: value.to("meta") for name, value in module.state_dict().items()}
        with torch.no_grad():
            functional_call(module, state, torch.zeros(1, *shape, device="meta"))
    finally:
        for handle in handles:
            handle.remove()
        module.train(mode)
    for name, pool in pools.items():
        wanted = pool.output_size
        if seen.get(name) == (wanted if isinstance(wanted, tuple) else (wanted, wanted)):
            parent, _, own = name.rpartition(".")
            setattr(module.get_submodule(parent), own, nn.Identity())


def optional(module: str, extra: str, backbone: str) -> Any:
    """Import a module of an optional package.

    Raises:
        UsageError: the package is not installed; the sentence names the extra that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"backbone '{backbone}' needs the package that brings '{error.name}': "
            f"pip install 'hashbench[{extra}]'"
        ) from None
