"""How a box goes through what networks compute outside of layers.

Each rule takes the arithmetic, then what the operation takes, with boxes in the place of tensors.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F

from hashbench.certifying import affine, elementwise, layers
from hashbench.certifying.arithmetic import Arithmetic
from hashbench.certifying.box import Box
from hashbench.errors import UncertifiableError

Operation = Callable[..., Any]
"""Takes the arithmetic, then what the operation takes, with boxes in the place of tensors."""

_FLOATS: Final = (torch.float32, torch.float64)


def as_box(arithmetic: Arithmetic, value: Any) -> Box:
    """A box, or a constant as a box without width; a number is rounded to the model's floats."""
    if isinstance(value, Box):
        return value
    if isinstance(value, Tensor):
        tensor = arithmetic.constant(value)
        return Box(tensor, tensor)
    tensor = torch.tensor(value, dtype=arithmetic.dtype)
    return arithmetic.rounded(Box(tensor, tensor))


def alone(
    function: Callable[..., Any], *, smooth: bool = False, cut: bool = False, jumps: bool = False
) -> Operation:
    """The rule of a function that never falls in each entry of its first argument.

    Args:
        function: it.
        smooth: computed with the rounding of a tanh.
        cut: its values may be numbers that are given, and rounded to the model's floats.
        jumps: it jumps at such a number.
    """

    def rule(arithmetic: Arithmetic, box: Box, *args: Any, **kwargs: Any) -> Any:
        if jumps:
            box = arithmetic.rounded(box, 2)
        lower, upper = function(box.lower, *args, **kwargs), function(box.upper, *args, **kwargs)
        if isinstance(lower, Tensor):
            found = Box(lower, upper)
            if cut:
                found = arithmetic.rounded(found)
            return arithmetic.smooth(found) if smooth else found
        # Parts of a tensor.
        return tuple(Box(*ends) for ends in zip(lower, upper, strict=True))

    return rule


def method(name: str) -> Operation:
    """The rule of a method that moves or selects entries."""

    def moved(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(value, torch.dtype) for value in (*args, *kwargs.values())):
            raise UncertifiableError("reads a tensor's memory as other numbers")
        return getattr(tensor, name)(*args, **kwargs)

    return alone(moved)


def ordered(name: str) -> Operation:
    """The rule of a method that gives entries in another order, none of them twice."""
    rule = method(name)

    def kept(arithmetic: Arithmetic, box: Box, *args: Any, **kwargs: Any) -> Box:
        found: Box = rule(arithmetic, box, *args, **kwargs)
        ball = box.ball and box.ball.each(lambda entries: getattr(entries, name)(*args, **kwargs))
        return Box(found.lower, found.upper, ball)

    return kept


def padded(
    arithmetic: Arithmetic, box: Box, pad: Any, mode: str = "constant", value: float | None = None
) -> Box:
    """The rule of `F.pad`."""

    def function(entries: Tensor) -> Tensor:
        return F.pad(entries, pad, mode, value)

    if mode == "constant" and not value:
        return box.moved(function)
    return arithmetic.rounded(box.each(function))


def shaped_as(name: str) -> Operation:
    """The rule of a method that takes the shape of another tensor, of which it reads no value."""

    def rule(_: Arithmetic, first: Any, second: Any) -> Any:
        other = second.lower if isinstance(second, Box) else second

        def moved(tensor: Tensor) -> Tensor:
            found: Tensor = getattr(tensor, name)(other)
            return found

        return first.each(moved) if isinstance(first, Box) else moved(first)

    return rule


def turning(
    function: Callable[..., Tensor], *turns: float, operations: int | None = None
) -> Operation:
    """The rule of a function with turns: smooth, or with so many roundings."""

    def rule(arithmetic: Arithmetic, box: Box, *args: Any, **kwargs: Any) -> Box:
        found = elementwise.turning(box, lambda entries: function(entries, *args, **kwargs), *turns)
        return (
            arithmetic.smooth(found)
            if operations is None
            else arithmetic.rounded(found, operations)
        )

    return rule


def added(arithmetic: Arithmetic, first: Any, second: Any, *, alpha: float = 1) -> Box:
    """`first + alpha * second`."""
    other = as_box(arithmetic, second)
    if alpha != 1:
        other = elementwise.times(arithmetic, other, alpha)
    return elementwise.sum_of(arithmetic, as_box(arithmetic, first), other)


def subtracted(arithmetic: Arithmetic, first: Any, second: Any, *, alpha: float = 1) -> Box:
    """`first - alpha * second`."""
    other = as_box(arithmetic, second)
    if alpha != 1:
        other = elementwise.times(arithmetic, other, alpha)
    return elementwise.difference_of(arithmetic, as_box(arithmetic, first), other)


def multiplied(arithmetic: Arithmetic, first: Any, second: Any) -> Box:
    """`first * second`, either of which may be a constant."""
    if isinstance(first, Box) and isinstance(second, Box):
        return elementwise.product_of(arithmetic, first, second)
    box, factor = (first, second) if isinstance(first, Box) else (second, first)
    if isinstance(factor, Tensor):
        factor = arithmetic.constant(factor)
    return elementwise.times(arithmetic, box, factor)


def divided(arithmetic: Arithmetic, first: Any, second: Any) -> Box:
    """`first / second`, where the second is a constant."""
    if isinstance(second, Box):
        raise UncertifiableError("divides by what depends on the image")
    if isinstance(second, Tensor):
        second = arithmetic.constant(second)
    return elementwise.over(arithmetic, first, second)


def negated(_: Arithmetic, box: Box) -> Box:
    """`-box`."""
    return elementwise.negative(box)


def raised(arithmetic: Arithmetic, box: Box, exponent: Any) -> Box:
    """`box ** exponent`, for the exponents 1 to 4."""
    if isinstance(exponent, Box) or exponent not in (1, 2, 3, 4):
        raise UncertifiableError("raises to a power other than 1, 2, 3 or 4")
    found = elementwise.turning(box, lambda entries: entries**exponent, 0.0)
    return arithmetic.rounded(found, 4)


def extreme(function: Callable[[Tensor, Tensor], Tensor]) -> Operation:
    """The rule of `torch.maximum` or `torch.minimum`."""

    def rule(arithmetic: Arithmetic, first: Any, second: Any) -> Box:
        one, other = as_box(arithmetic, first), as_box(arithmetic, second)
        return Box(function(one.lower, other.lower), function(one.upper, other.upper))

    return rule


def joined(function: Callable[..., Tensor]) -> Operation:
    """The rule of `torch.cat` or `torch.stack`."""

    def rule(arithmetic: Arithmetic, tensors: Any, *args: Any, **kwargs: Any) -> Box:
        boxes = [as_box(arithmetic, value) for value in tensors]
        return Box(
            function([box.lower for box in boxes], *args, **kwargs),
            function([box.upper for box in boxes], *args, **kwargs),
        )

    return rule


def mean(name: str) -> Operation:
    """The rule of the method `mean` or `sum`."""

    def rule(arithmetic: Arithmetic, box: Box, *args: Any, **kwargs: Any) -> Box:
        def function(entries: Tensor) -> Tensor:
            found: Tensor = getattr(entries, name)(*args, **kwargs)
            return found

        found = function(box.lower)
        if found.shape[:1] != box.lower.shape[:1]:
            raise UncertifiableError(f"takes the {name} over all images of a batch")
        terms = box.lower.numel() // max(1, found.numel())
        return affine.averaged(arithmetic, box, function, terms)

    return rule


def pooled(function: Callable[..., Tensor]) -> Operation:
    """An average over windows: each has as many entries as an image at most."""

    def rule(arithmetic: Arithmetic, box: Box, *args: Any, **kwargs: Any) -> Box:
        if (kwargs.get("divisor_override") or 1) < 0 or len(args) > 4:
            raise UncertifiableError("divides its windows by a number of its own")
        terms = box.lower[0, 0].numel()
        return affine.averaged(
            arithmetic, box, lambda entries: function(entries, *args, **kwargs), terms
        )

    return rule


def largest(function: Callable[..., Any]) -> Operation:
    """The rule of a max pooling."""

    def rule(_: Arithmetic, box: Box, *args: Any, **kwargs: Any) -> Box:
        if kwargs.get("return_indices"):
            raise UncertifiableError("asks for the places of the largest values too")
        return box.each(lambda entries: function(entries, *args, **kwargs))

    return rule


def linear(arithmetic: Arithmetic, box: Any, weight: Any, bias: Any = None) -> Box:
    """The rule of `F.linear`."""
    _constants(weight, bias)
    return affine.product(arithmetic, F.linear, box, weight, bias)


def matmul(arithmetic: Arithmetic, first: Any, second: Any) -> Box:
    """A box times a constant matrix."""
    _constants(second)
    if second.ndim != 2:
        raise UncertifiableError("multiplies by a tensor that is no matrix")
    return linear(arithmetic, first, second.T)


def convolution(dimensions: int) -> Operation:
    """The rule of `F.conv1d`, `conv2d` or `conv3d`."""
    convolve = affine.convolution(dimensions)

    def rule(
        arithmetic: Arithmetic,
        box: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Box:
        _constants(weight, bias)

        def apply(entries: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            return convolve(entries, weight, bias, stride, padding, dilation, groups)

        return affine.product(arithmetic, apply, box, weight, bias)

    return rule


def batch_norm(
    arithmetic: Arithmetic,
    box: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Box:
    """The rule of `F.batch_norm`, with running statistics."""
    del momentum  # of training alone
    _constants(running_mean, running_var, weight, bias)
    if training or running_mean is None:
        raise UncertifiableError(
            "takes its statistics from the batch, so an image's code depends on the others: bounds "
            "are for eval mode and running statistics"
        )
    return affine.normalized(arithmetic, box, running_mean, running_var, weight, bias, eps)


def _constants(*values: Any) -> None:
    if any(isinstance(value, Box) for value in values):
        raise UncertifiableError("has weights that depend on the image")


def dropout(_: Arithmetic, box: Any, p: float = 0.5, training: bool = True) -> Any:
    """The rule of every dropout: nothing, outside of training."""
    if training and p > 0:
        raise UncertifiableError("draws at random in training mode: bounds are for eval mode")
    return box


def stochastic_depth(
    arithmetic: Arithmetic, box: Any, p: float, mode: str, training: bool = True
) -> Any:
    """The rule of torchvision's: nothing, outside of training."""
    del mode  # whether it draws for a batch or for each image
    return dropout(arithmetic, box, p, training)


def threshold(arithmetic: Arithmetic, box: Box, threshold: float, value: float) -> Box:
    """The rule of `F.threshold`."""
    if value > threshold:
        raise UncertifiableError("puts a larger value in the place of smaller ones")
    rule = alone(F.threshold, cut=True, jumps=True)
    found: Box = rule(arithmetic, box, threshold, value)
    return found


def gelu(arithmetic: Arithmetic, box: Box, approximate: str = "none") -> Box:
    """The rule of `F.gelu`."""
    return layers.gelu(arithmetic, box, approximate)


def softplus(arithmetic: Arithmetic, box: Box, beta: float = 1.0, threshold: float = 20.0) -> Box:
    """The rule of `F.softplus`."""
    return elementwise.softplus(arithmetic, box, beta, threshold)


def cast_to(dtype: torch.dtype) -> Operation:
    """The rule of the method `float` or `double`."""
    return lambda arithmetic, box: arithmetic.cast(box, dtype)


def moved_to(arithmetic: Arithmetic, box: Box, *args: Any, **kwargs: Any) -> Box:
    """The rule of the method `to`: another device, or float32 and float64."""
    asked = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.dtype)]
    asked += [value.dtype for value in args if isinstance(value, Tensor)]
    for dtype in asked:
        if dtype not in _FLOATS:
            raise UncertifiableError(f"rounds to {dtype}, for which no bounds are known")
        box = arithmetic.cast(box, dtype)
    return box


def same(_: Arithmetic, box: Any, *_args: Any, **_kwargs: Any) -> Any:
    """The rule of what changes no value."""
    return box


def item(_: Arithmetic, value: Any, place: Any) -> Any:
    """A part of a tensor, or of a list of them."""
    return value.each(operator.itemgetter(place)) if isinstance(value, Box) else value[place]


def attribute(_: Arithmetic, value: Any, name: str) -> Any:
    """What code may ask of a tensor: nothing that depends on the image."""
    if not isinstance(value, Box):
        return getattr(value, name)
    if name not in ("shape", "ndim", "dtype", "device"):
        raise UncertifiableError(f"asks for the {name} of a tensor")
    return getattr(value.lower, name)


def measure(name: str) -> Operation:
    """The rule of a method that tells the shape."""
    return lambda _, box, *args: getattr(box.lower, name)(*args)


def asserted(_: Arithmetic, condition: Any, message: Any = None) -> None:
    """The rule of `torch._assert`, by which networks check a shape."""
    if not condition:
        raise UncertifiableError(f"refuses these images: {message}")
