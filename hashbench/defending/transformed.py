"""Models around other models, and the defenses that transform the image before the base model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn
from typing_extensions import override

from hashbench.defending.contract import WrappingDefense
from hashbench.errors import PluginError
from hashbench.hashing.model import HashModel

_OF_THE_BASE: Final = ("mean", "std", "backbone", "hash_layer", "mixed")


class WrappedModel(HashModel):
    """A model around another one, whose weights it shares; a subclass changes `logits`.

    Device, mode and parameters are those of `base`, its only submodule unless a subclass adds one;
    what a wrapper has none of (`mean`, `std`, `backbone`, `hash_layer`, `mixed`) is read from it.
    """

    base: HashModel

    def __init__(self, base: HashModel) -> None:
        """Wrap a model, which is not copied.

        Args:
            base: gives bits, draws and mode too.
        """
        nn.Module.__init__(self)  # not HashModel's, which makes a new hash layer
        self.base = base
        self.bits = base.bits
        self.draws = base.draws
        self.differentiable = base.differentiable
        self.training = base.training

    @override
    def __getattr__(self, name: str) -> Any:
        return getattr(self.base, name) if name in _OF_THE_BASE else super().__getattr__(name)

    @override
    def logits(self, images: Tensor) -> Tensor:
        return self.base.logits(images)


class TransformedModel(WrappedModel):
    """An image transformation before another model."""

    transforms_images = True

    def __init__(
        self, base: HashModel, transform: Callable[[Tensor], Tensor], *, draws: int = 1
    ) -> None:
        """Put a transformation before a model.

        Args:
            base: the model, shared.
            transform: images (B, C, H, W) in `[0, 1]` to what the base model sees; a module is
                registered, so that its buffers follow the model to a device.
            draws: see `HashModel`; the base model's count where that is larger.
        """
        super().__init__(base)
        self.transform = transform
        self.draws = max(draws, base.draws)

    @override
    def logits(self, images: Tensor) -> Tensor:
        return self.base.logits(self.transform(images))


class InputTransformation(WrappingDefense):
    """A defense that transforms every image before the base model sees it.

    An author writes `transform`. Attacks go through it by BPDA (Athalye, Carlini and Wagner, ICML
    2018): forward the true transformation, backward the gradient of `approximation`, which is the
    identity unless overridden. A transformation with a useful gradient of its own sets
    `differentiable`. One that draws at random sets `draws` above 1, or has a field of that name, so
    that attacks average their loss over it (EOT); it draws from torch's process-wide generator.
    """

    draws: int = 1
    differentiable: ClassVar[bool] = False

    @abstractmethod
    def transform(self, images: Tensor) -> Tensor:
        """What the base model sees of images (B, C, H, W) in `[0, 1]`; leaves its input as it is.

        Called without a graph unless the transformation is `differentiable`.
        """

    def approximation(self, images: Tensor) -> Tensor:
        """What is differentiated in the place of `transform`: of the same shape as its result."""
        return images

    @override
    def wrap(self, model: HashModel) -> HashModel:
        return TransformedModel(model, self.attackable, draws=self.draws)

    def attackable(self, images: Tensor) -> Tensor:
        """`transform` with the gradient that attacks are given.

        Raises:
            PluginError: `approximation` has another shape than `transform`.
        """
        if self.differentiable:
            return self.transform(images)
        with torch.no_grad():
            exact = self.transform(images)
        if not (torch.is_grad_enabled() and images.requires_grad):
            return exact
        smooth = self.approximation(images)
        if smooth.shape != exact.shape:
            raise PluginError(
                f"defense '{self.card.name}': transform gives images of shape "
                f"{tuple(exact.shape)}, but approximation {tuple(smooth.shape)}: they must agree"
            )
        return straight_through(exact, smooth)


def straight_through(exact: Tensor, smooth: Tensor) -> Tensor:
    """The values of `exact`, to the bit where `smooth` is finite, with the gradient of `smooth`."""
    return exact.detach() + (smooth - smooth.detach())
