"""A network from images to K numbers, whoever made it, as a hashing model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from hashbench.errors import ModelError, UsageError
from hashbench.hashing.model import HashModel

SATURATED_LOGIT = 20.0
"""The logit of an output that is exactly 1: the tanh of it is 1 in float32 and in float64."""


class WholeModel(HashModel):
    """Any module that maps images (B, C, H, W) to (B, K), with the normalisation before it.

    It has neither `backbone` nor `hash_layer`. The module's values are the logits z, unless they
    end in a tanh already.

    Attributes:
        net: the module.
        bounded: whether its values are outputs in [-1, 1], those of a tanh at its end.
    """

    def __init__(
        self,
        net: nn.Module,
        bits: int,
        *,
        mean: Sequence[float] = (0.0,),
        std: Sequence[float] = (1.0,),
        bounded: bool = False,
        differentiable: bool = True,
    ) -> None:
        """Take a module as it is; it is not copied.

        Args:
            net: asked for (images - mean) / std, float32 (B, C, H, W), and gives (B, K).
            bits: code length K.
            mean: one value, or one per channel, in `[0, 1]` pixels; three values repeat the channel
                of grey images. The default, with that of `std`, leaves images as they are, for a
                network that normalises them itself.
            std: as many values as `mean`.
            bounded: whether its values are tanh's, so that `outputs` gives them back.
            differentiable: whether a gradient goes through it.

        Raises:
            UsageError: means or deviations that are none.
        """
        nn.Module.__init__(self)  # not HashModel's, which makes a new hash layer
        check_normalisation(mean, std)
        self.bits = bits
        self.mixed = False
        self.bounded = bounded
        self.differentiable = differentiable
        self.register_buffer(
            "mean", torch.tensor(tuple(mean), dtype=torch.float32).view(1, -1, 1, 1)
        )
        self.register_buffer("std", torch.tensor(tuple(std), dtype=torch.float32).view(1, -1, 1, 1))
        self.net = net

    @override
    def logits(self, images: Tensor) -> Tensor:
        """The network's values, or what their tanh is of, (B, K).

        Raises:
            ModelError: they are no (B, K) finite numbers, or leave [-1, 1] though they are bounded.
        """
        values = self._checked(self.net((images - self.mean) / self.std), len(images))
        return before_tanh(values) if self.bounded else values

    def _checked(self, values: object, count: int) -> Tensor:
        if not isinstance(values, Tensor):
            raise ModelError(
                f"the model must give one tensor of shape ({count}, {self.bits}) for {count} "
                f"images, but gave a value of type {type(values).__name__}"
            )
        if values.shape != (count, self.bits) or not values.is_floating_point():
            raise ModelError(
                f"the model must give floats of shape ({count}, {self.bits}) for {count} images, "
                f"but gave {values.dtype} of shape {tuple(values.shape)}"
            )
        values = values.float() if values.dtype.itemsize < 4 else values  # half precisions
        if not bool(torch.isfinite(values).all()):
            raise ModelError("the model gave values that are not finite (NaN or infinity)")
        if self.bounded and bool((values.detach().abs() > 1).any()):
            raise ModelError(
                "the model is said to end in a tanh, but gave a value of "
                f"{float(values.detach().abs().max()):g}, outside of [-1, 1]"
            )
        return values


def before_tanh(outputs: Tensor) -> Tensor:
    """Logits of which the tanh is `outputs`, in [-1, 1]; no gradient is left where it is 1 or -1.

    A tanh that rounded to 1 has none either. Everywhere else the gradient of the tanh of these
    logits is that of `outputs`.
    """
    within = 1 - torch.finfo(outputs.dtype).eps / 2  # the largest float below 1
    logits = torch.atanh(outputs.clamp(-within, within))
    saturated = outputs.detach().abs() >= 1
    return torch.where(saturated, SATURATED_LOGIT * outputs.detach().sign(), logits)


def has_gradient(model: WholeModel, images: Tensor) -> bool:
    """Whether the logits' gradient reaches the images, and is not 0 in all of them.

    Args:
        model: of any module.
        images: (B, C, H, W) in `[0, 1]`.
    """
    point = images.detach().clone().requires_grad_(True)
    try:
        with torch.enable_grad():
            values = model.logits(point)
            if not values.requires_grad:
                return False
            # Weighted, so that outputs which always add up to the same have a gradient too.
            weights = torch.linspace(1, 2, model.bits, dtype=values.dtype, device=values.device)
            (gradient,) = torch.autograd.grad((values * weights).sum(), point)
    except Exception:  # one without a derivative says so in many ways
        return False
    return bool(torch.isfinite(gradient).all()) and bool((gradient != 0).any())


def check_normalisation(mean: Sequence[float], std: Sequence[float]) -> None:
    """Refuse means or deviations that are none.

    Raises:
        UsageError: a value that is not finite, a deviation of 0 or less, one of pixels to 255,
            other numbers of values.
    """
    for name, values in (("mean", mean), ("std", std)):
        if not len(values) or not bool(torch.isfinite(torch.tensor(tuple(values))).all()):
            raise UsageError(f"{name} is {tuple(values)}, expected a finite number per channel")
    if max(map(abs, mean)) > 1:
        raise UsageError(
            f"mean is {tuple(mean)}, but pixels are from 0 to 1 here: divide it by 255, and std too"
        )
    if max(std) > 1:
        raise UsageError(
            f"std is {tuple(std)}, but pixels are from 0 to 1 here: divide it by 255, and mean too"
        )
    if min(std) <= 0:
        raise UsageError(f"std is {tuple(std)}, expected numbers above 0")
    if len(mean) != len(std):
        raise UsageError(f"mean has {len(mean)} values and std {len(std)}: they must agree")
