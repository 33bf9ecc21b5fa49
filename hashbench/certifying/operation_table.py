"""The table of what networks compute outside of layers: functions of torch, operators, methods."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch.nn import functional as F

from hashbench.certifying import elementwise
from hashbench.certifying import operations as rules
from hashbench.certifying.operations import Operation
from hashbench.hashing.whole_model import before_tanh


def _keyed(rule: Operation, *keys: Any) -> dict[Any, Operation]:
    return dict.fromkeys(keys, rule)


_ORDERS: Final = (
    *("flatten", "unflatten", "view", "reshape", "permute", "transpose", "movedim", "squeeze"),
    *("unsqueeze", "contiguous", "clone", "flip", "roll", "narrow", "select", "swapaxes"),
)
"""Methods, and mostly functions of the same name, that give each entry of a tensor once at most."""

_MOVES: Final = (*_ORDERS, "expand", "repeat", "chunk", "split", "unbind", "tile")
"""Methods, and mostly functions of the same name, that give entries of a tensor in another order.

Some give the same memory under another shape, which counts where it is changed in place."""

_EXACT: Final = ("relu", "floor", "ceil", "trunc", "sign")
_CUT: Final = ("clamp", "clip", "clamp_min", "clamp_max")
_SMOOTH: Final = ("tanh", "sigmoid", "exp", "expm1", "log", "log1p", "sqrt", "erf", "atan", "asinh")

OPERATIONS: Final[Mapping[Any, Operation]] = {
    **_keyed(rules.added, torch.add, operator.add, operator.iadd, "add", "add_"),
    **_keyed(rules.subtracted, torch.sub, operator.sub, operator.isub, "sub", "sub_"),
    **_keyed(rules.multiplied, torch.mul, operator.mul, operator.imul, "mul", "mul_"),
    **_keyed(rules.divided, torch.div, torch.true_divide, operator.truediv, operator.itruediv),
    **_keyed(rules.divided, "div", "div_"),
    **_keyed(rules.negated, torch.neg, operator.neg, "neg"),
    **_keyed(rules.raised, torch.pow, operator.pow, "pow"),
    **_keyed(rules.turning(torch.square, 0.0, operations=1), torch.square, "square"),
    **_keyed(rules.turning(torch.abs, 0.0, operations=1), torch.abs, operator.abs, abs, "abs"),
    **_keyed(rules.extreme(torch.maximum), torch.maximum, "maximum"),
    **_keyed(rules.extreme(torch.minimum), torch.minimum, "minimum"),
    **_keyed(rules.joined(torch.cat), torch.cat, torch.concat, torch.concatenate),
    **_keyed(rules.joined(torch.stack), torch.stack),
    **{name: rules.shaped_as(name) for name in ("expand_as", "view_as", "reshape_as")},
    **_keyed(rules.method("amax"), torch.amax, "amax"),
    **_keyed(rules.method("amin"), torch.amin, "amin"),
    **_keyed(rules.mean("mean"), torch.mean, "mean"),
    **_keyed(rules.mean("sum"), torch.sum, "sum"),
    **{
        key: rules.ordered(name) if name in _ORDERS else rules.method(name)
        for name in _MOVES
        for key in (name, *filter(None, [getattr(torch, name, None)]))
    },
    **{
        key: rules.alone(getattr(torch, name))
        for name in _EXACT
        for key in (name, f"{name}_", getattr(torch, name))
    },
    **{
        key: rules.alone(getattr(torch, name), cut=True)
        for name in _CUT
        for key in (name, f"{name}_", getattr(torch, name))
    },
    **{
        key: rules.alone(getattr(torch, name), smooth=True)
        for name in _SMOOTH
        for key in (name, f"{name}_", getattr(torch, name))
    },
    **_keyed(rules.alone(torch.round), torch.round, "round"),
    **_keyed(rules.alone(torch.relu), F.relu, torch.relu_, F.relu_),
    **_keyed(rules.alone(torch.tanh, smooth=True), F.tanh),
    **_keyed(rules.alone(torch.sigmoid, smooth=True), F.sigmoid),
    **_keyed(rules.alone(F.relu6), F.relu6),
    **_keyed(rules.alone(F.hardtanh, cut=True), F.hardtanh),
    **_keyed(rules.alone(F.hardshrink, jumps=True), F.hardshrink, torch.hardshrink),
    **_keyed(rules.alone(F.hardsigmoid, smooth=True), F.hardsigmoid),
    **_keyed(rules.alone(F.logsigmoid, smooth=True), F.logsigmoid),
    **_keyed(rules.alone(F.softsign, smooth=True), F.softsign),
    **_keyed(rules.alone(F.tanhshrink, smooth=True), F.tanhshrink),
    **_keyed(rules.alone(F.softshrink, smooth=True), F.softshrink),
    **_keyed(rules.alone(F.selu, smooth=True), F.selu),
    **_keyed(rules.turning(F.elu, 0.0), F.elu),
    **_keyed(rules.turning(F.celu, 0.0), F.celu),
    **_keyed(rules.turning(F.leaky_relu, 0.0, operations=2), F.leaky_relu),
    **_keyed(rules.turning(F.silu, elementwise.SILU_TURN), F.silu),
    **_keyed(rules.turning(F.mish, elementwise.MISH_TURN), F.mish),
    **_keyed(rules.turning(F.hardswish, elementwise.HARDSWISH_TURN), F.hardswish),
    **_keyed(rules.gelu, F.gelu),
    **_keyed(rules.softplus, F.softplus),
    **_keyed(rules.threshold, F.threshold, torch.threshold),
    **_keyed(rules.linear, F.linear),
    **_keyed(rules.matmul, torch.matmul, torch.mm, operator.matmul, "matmul", "mm"),
    **_keyed(rules.convolution(1), F.conv1d),
    **_keyed(rules.convolution(2), F.conv2d),
    **_keyed(rules.convolution(3), F.conv3d),
    **_keyed(rules.batch_norm, F.batch_norm),
    **_keyed(rules.pooled(F.avg_pool1d), F.avg_pool1d),
    **_keyed(rules.pooled(F.avg_pool2d), F.avg_pool2d),
    **_keyed(rules.pooled(F.adaptive_avg_pool1d), F.adaptive_avg_pool1d),
    **_keyed(rules.pooled(F.adaptive_avg_pool2d), F.adaptive_avg_pool2d),
    **_keyed(rules.largest(F.max_pool1d), F.max_pool1d, torch.max_pool1d),
    **_keyed(rules.largest(F.max_pool2d), F.max_pool2d, torch.max_pool2d),
    **_keyed(rules.largest(F.adaptive_max_pool1d), F.adaptive_max_pool1d),
    **_keyed(rules.largest(F.adaptive_max_pool2d), F.adaptive_max_pool2d),
    **_keyed(rules.padded, F.pad),
    **_keyed(rules.dropout, F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, torch.dropout),
    **_keyed(rules.dropout, F.alpha_dropout, F.feature_alpha_dropout),
    **_keyed(rules.alone(before_tanh, smooth=True), before_tanh),
    **_keyed(rules.stochastic_depth, "torchvision.ops.stochastic_depth.stochastic_depth"),
    **_keyed(rules.cast_to(torch.float32), "float"),
    **_keyed(rules.cast_to(torch.float64), "double"),
    **_keyed(rules.moved_to, "to"),
    **_keyed(rules.same, "detach", "requires_grad_", torch.detach),
    **_keyed(rules.item, operator.getitem),
    **_keyed(rules.attribute, getattr),
    **{name: rules.measure(name) for name in ("size", "dim", "numel", "ndimension")},
    **_keyed(rules.asserted, torch._assert),
}
"""By the function itself, by its full name where its package may be missing, by a method's name."""

ALWAYS: Final = (rules.dropout, rules.stochastic_depth)
"""Rules that are asked about constants too, since what they are of may draw."""

PLAIN: Final = frozenset(
    {
        *(operator.floordiv, operator.mod, operator.eq, operator.ne, operator.lt, operator.le),
        *(operator.gt, operator.ge, operator.and_, operator.or_, operator.not_, operator.is_),
        *(int, float, bool, len, min, max, math.ceil, math.floor, math.prod, math.sqrt),
        *(torch.rsqrt, torch.zeros, torch.ones, torch.arange, torch.full, torch.Size),
        *("rsqrt", "item", "t", "type_as", "unsqueeze_"),
    }
)
"""What is computed as it stands where no argument depends on the image; none of it draws."""

VIEWS: Final = frozenset(
    {
        *_MOVES,
        "expand_as",
        "view_as",
        "reshape_as",
        "float",
        "double",
        "to",
        "detach",
        "requires_grad_",
    }
)
"""Operations whose result may lie in the memory of what they were given."""
