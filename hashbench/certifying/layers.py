"""The table of torch's layers: how a box goes through each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from torch import Tensor, nn
from torch.nn import functional as F

from hashbench.certifying import affine, elementwise
from hashbench.certifying.arithmetic import Arithmetic
from hashbench.certifying.box import Box
from hashbench.errors import UncertifiableError

LayerRule = Callable[[Arithmetic, Any, Box], Box]
"""Bounds of what a layer gives for each input of a box."""


def plainly(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """The layer as a function that leaves its input as it is."""
    inplace = getattr(layer, "inplace", False)
    return lambda entries: layer(entries.clone() if inplace else entries)


def _rising(_: Arithmetic, layer: nn.Module, box: Box) -> Box:
    """An order of entries, a choice of them, or a largest one: exact, without rounding."""
    return box.each(plainly(layer))


def _moving(_: Arithmetic, layer: nn.Module, box: Box) -> Box:
    """An order of entries, each of them once, or with zeros around them: exact."""
    return box.moved(layer)


def _cut(arithmetic: Arithmetic, layer: nn.Module, box: Box) -> Box:
    """The same with numbers of its own, which the model rounds to its floats."""
    return arithmetic.rounded(box.each(plainly(layer)))


def _jumping(arithmetic: Arithmetic, layer: nn.Module, box: Box) -> Box:
    """The same with a jump where such a number is: room on both sides of it."""
    return _cut(arithmetic, layer, arithmetic.rounded(box, 2))


def _smoothly_rising(arithmetic: Arithmetic, layer: nn.Module, box: Box) -> Box:
    return arithmetic.smooth(box.each(plainly(layer)))


def _linear(arithmetic: Arithmetic, layer: nn.Linear, box: Box) -> Box:
    return affine.product(arithmetic, F.linear, box, layer.weight, layer.bias)


def _convolution(arithmetic: Arithmetic, layer: Any, box: Box) -> Box:
    # Every mode pads with a choice of entries, or with zeros.
    convolve = affine.convolution(len(layer.kernel_size))
    padding = layer.padding
    if layer.padding_mode != "zeros":
        # What torch's own layer does, with a name that is not public.
        sides = layer._reversed_padding_repeated_twice
        box = box.each(lambda entries: F.pad(entries, sides, mode=layer.padding_mode))
        padding = 0

    def apply(entries: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return convolve(entries, weight, bias, layer.stride, padding, layer.dilation, layer.groups)

    return affine.product(arithmetic, apply, box, layer.weight, layer.bias)


def _batch_norm(arithmetic: Arithmetic, layer: Any, box: Box) -> Box:
    if layer.training or layer.running_mean is None:
        raise UncertifiableError(
            "takes its statistics from the batch, so an image's code depends on the others: bounds "
            "are for eval mode and running statistics"
        )
    return affine.normalized(
        arithmetic, box, layer.running_mean, layer.running_var, layer.weight, layer.bias, layer.eps
    )


def _average_pool(arithmetic: Arithmetic, layer: Any, box: Box) -> Box:
    if (getattr(layer, "divisor_override", None) or 1) < 0:
        raise UncertifiableError("divides by a number below 0")
    size = layer.kernel_size
    dimensions = {nn.AvgPool1d: 1, nn.AvgPool2d: 2, nn.AvgPool3d: 3}[type(layer)]
    terms = math.prod(size) if isinstance(size, tuple) else size**dimensions
    return affine.averaged(arithmetic, box, layer, terms)


def _adaptive_pool(arithmetic: Arithmetic, layer: nn.Module, box: Box) -> Box:
    return affine.averaged(arithmetic, box, layer, box.lower[0, 0].numel())


def _max_pool(_: Arithmetic, layer: Any, box: Box) -> Box:
    if layer.return_indices:
        raise UncertifiableError("gives the places of its values too")
    return box.each(layer)


def _dropout(_: Arithmetic, layer: Any, box: Box) -> Box:
    if layer.training and layer.p > 0:
        raise UncertifiableError("draws at random in training mode: bounds are for eval mode")
    return box


def _randomized_relu(arithmetic: Arithmetic, layer: nn.RReLU, box: Box) -> Box:
    if layer.training:
        raise UncertifiableError("draws at random in training mode: bounds are for eval mode")
    return arithmetic.rounded(elementwise.turning(box, plainly(layer), 0.0))


def _leaky_relu(arithmetic: Arithmetic, layer: nn.LeakyReLU, box: Box) -> Box:
    return arithmetic.rounded(elementwise.turning(box, plainly(layer), 0.0), 2)


def _prelu(arithmetic: Arithmetic, layer: nn.PReLU, box: Box) -> Box:
    slopes = arithmetic.constant(layer.weight)
    found = elementwise.turning(box, lambda entries: F.prelu(entries, slopes), 0.0)
    return arithmetic.rounded(found, 2)


def _bent(arithmetic: Arithmetic, layer: nn.Module, box: Box) -> Box:
    """A curve on the left of 0 that rises or falls, and a line on its right."""
    return arithmetic.smooth(elementwise.turning(box, plainly(layer), 0.0))


def _threshold(arithmetic: Arithmetic, layer: nn.Threshold, box: Box) -> Box:
    if layer.value > layer.threshold:
        raise UncertifiableError("puts a larger value in the place of smaller ones")
    return _jumping(arithmetic, layer, box)


def _gelu(arithmetic: Arithmetic, layer: nn.GELU, box: Box) -> Box:
    return gelu(arithmetic, box, layer.approximate)


def gelu(arithmetic: Arithmetic, box: Box, approximate: str = "none") -> Box:
    """Of GELU, by its error function or by its tanh."""
    turn = elementwise.GELU_TURN if approximate == "none" else elementwise.GELU_TANH_TURN
    found = elementwise.turning(box, lambda entries: F.gelu(entries, approximate=approximate), turn)
    return arithmetic.smooth(found)


def _softplus(arithmetic: Arithmetic, layer: nn.Softplus, box: Box) -> Box:
    return elementwise.softplus(arithmetic, box, layer.beta, layer.threshold)


def turning_at(*turns: float) -> LayerRule:
    """The rule of a layer that is a smooth function with such turns."""

    def rule(arithmetic: Arithmetic, layer: nn.Module, box: Box) -> Box:
        return arithmetic.smooth(elementwise.turning(box, plainly(layer), *turns))

    return rule


RULES: Final[Mapping[type[nn.Module], LayerRule]] = {
    nn.Linear: _linear,
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _convolution),
    **dict.fromkeys(
        (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm), _batch_norm
    ),
    **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), _average_pool),
    **dict.fromkeys(
        (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d), _adaptive_pool
    ),
    **dict.fromkeys(
        (
            *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
            *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
        ),
        _max_pool,
    ),
    **dict.fromkeys(
        (
            *(nn.ReLU, nn.ReLU6),
            *(nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d),
            *(nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d),
            *(nn.CircularPad1d, nn.CircularPad2d, nn.CircularPad3d),
        ),
        _rising,
    ),
    **dict.fromkeys(
        (
            *(nn.Identity, nn.Flatten, nn.Unflatten),
            *(nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d),
            *(nn.PixelShuffle, nn.PixelUnshuffle, nn.ChannelShuffle),
        ),
        _moving,
    ),
    **dict.fromkeys(
        (
            *(nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Softsign, nn.Tanhshrink),
            *(nn.SELU, nn.Hardsigmoid, nn.Softshrink),
        ),
        _smoothly_rising,
    ),
    **dict.fromkeys(
        (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout), _dropout
    ),
    nn.FeatureAlphaDropout: _dropout,
    **dict.fromkeys(
        (nn.Hardtanh, nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d),
        _cut,
    ),
    nn.Hardshrink: _jumping,
    nn.LeakyReLU: _leaky_relu,
    nn.PReLU: _prelu,
    **dict.fromkeys((nn.ELU, nn.CELU), _bent),
    nn.RReLU: _randomized_relu,
    nn.Threshold: _threshold,
    nn.Softplus: _softplus,
    nn.GELU: _gelu,
    nn.SiLU: turning_at(elementwise.SILU_TURN),
    nn.Mish: turning_at(elementwise.MISH_TURN),
    nn.Hardswish: turning_at(elementwise.HARDSWISH_TURN),
}
"""By the exact class: a subclass may compute something else, and is walked through instead."""
