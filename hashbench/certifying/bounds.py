"""Interval bounds of a hashing model's logits over a box of images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

import torch
from torch import nn

from hashbench.certifying.arithmetic import FLOAT32_UNIT, FLOAT64_UNIT, Arithmetic
from hashbench.certifying.box import Box
from hashbench.certifying.graph import read
from hashbench.certifying.layers import RULES
from hashbench.certifying.program import Program
from hashbench.certifying.refusals import refuse_broken_weights, refuse_unprovable
from hashbench.errors import UncertifiableError
from hashbench.hashing.model import HashModel


def logit_bounds(
    model: HashModel, images: Box, *, rounding: bool = False, finite: bool = True
) -> Box:
    """Bounds (B, K) of the logits of every image in a box; differentiable in the weights.

    The model's code is followed once, with torch.fx, and again when a module of it is another one
    or in another mode; each call then walks the steps. They are computed in the floats of the box
    or of the model, whichever are wider.

    Args:
        model: in eval mode, as far as a layer differs in it.
        images: (B, C, H, W) in `[0, 1]`, on the model's device.
        rounding: leave room for the model's own rounding, so that the bounds hold for the logits
            that it computes, in any order of its sums; they are computed in float64 then.
        finite: refuse bounds that are NaN. A training that looks at its losses anyway saves the
            time.

    Raises:
        UncertifiableError: a layer is not known, the model draws or transforms its images, or its
            weights are not finite; names it.
    """
    program = _program(model, images)
    arithmetic = _arithmetic(model, images, rounding)
    box = images.moved(lambda entries: entries.to(arithmetic.dtype))
    found = program.over(model, box, arithmetic)
    if finite and bool((found.lower.isnan() | found.upper.isnan()).any()):
        refuse_broken_weights(model)
        raise UncertifiableError(
            "its bounds are not numbers: on the way an infinite value met another one, or a "
            "function was asked where it is not defined"
        )
    return found


def _arithmetic(model: nn.Module, images: Box, rounding: bool) -> Arithmetic:
    widest = torch.float64 if rounding else images.lower.dtype
    narrowest = torch.float64
    for parameter in model.parameters():
        if parameter.is_floating_point():
            widest = torch.promote_types(widest, parameter.dtype)
            narrowest = torch.float32 if parameter.dtype == torch.float32 else narrowest
    unit = FLOAT32_UNIT if narrowest == torch.float32 else FLOAT64_UNIT
    return Arithmetic(widest, unit if rounding else 0.0)


@dataclass(frozen=True)
class _Reading:
    """A program, and of which modules in which mode it is."""

    program: Program
    modules: tuple[ref[nn.Module], ...]
    state: tuple[Any, ...]

    def fits(self, model: nn.Module) -> bool:
        modules = list(model.modules())
        return (
            len(modules) == len(self.modules)
            and all(known() is module for known, module in zip(self.modules, modules, strict=True))
            and self.state == tuple(map(_state, modules))
        )


_READINGS: Final[WeakKeyDictionary[nn.Module, _Reading]] = WeakKeyDictionary()


def _program(model: HashModel, images: Box) -> Program:
    reading = _READINGS.get(model)
    if reading is not None and reading.fits(model):
        return reading.program
    refuse_unprovable(model)
    program = read(model)
    _refuse_other_logits(model, program, images)
    modules = list(model.modules())
    _READINGS[model] = _Reading(program, tuple(map(ref, modules)), tuple(map(_state, modules)))
    return program


_PLAIN = (bool, int, float, str, type(None))


def _state(module: nn.Module) -> tuple[Any, ...]:
    """What a module's code may branch on, and what may be put around it."""
    hooks = len(module._forward_hooks) + len(module._forward_pre_hooks)
    values = vars(module)
    if type(module) in RULES:
        # Its rule reads the rest anew each time.
        return (type(module), module.training, hooks, values.get("inplace"), "forward" in values)
    return (type(module), module.training, hooks, *_attributes(values))


def _attributes(values: dict[str, Any]) -> Iterator[Any]:
    for name, value in values.items():
        parts = value if isinstance(value, tuple | list) else (value,)
        if all(isinstance(part, _PLAIN) for part in parts):
            yield name, tuple(parts)
        elif callable(value):
            yield name, id(value)


@torch.no_grad()
def _refuse_other_logits(model: HashModel, program: Program, images: Box) -> None:
    """Compare the walk with the model itself, on the first image at the middle of its box.

    Raises:
        UncertifiableError: the model's logits are further from the walk's than rounding explains.
    """
    middle = images.center[:1].float()
    logits = model.logits(middle)
    arithmetic = _arithmetic(model, images, rounding=True)
    found = program.over(model, Box(middle.double(), middle.double()), arithmetic)
    if logits.shape != found.lower.shape:
        raise UncertifiableError(
            f"its logits are of shape {tuple(logits.shape)}, and what its layers compute of "
            f"{tuple(found.lower.shape)}"
        )
    if bool(((logits < found.lower) | (logits > found.upper)).any()):
        raise UncertifiableError(
            "its logits are not what its layers compute: something else changes them on the way"
        )
