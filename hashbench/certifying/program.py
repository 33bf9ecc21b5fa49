"""What a model computes, as a list of steps: read once, then walked with boxes."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from torch import Tensor, nn

from hashbench.certifying.arithmetic import Arithmetic
from hashbench.certifying.box import Box
from hashbench.certifying.layers import RULES
from hashbench.certifying.operation_table import ALWAYS, OPERATIONS, PLAIN
from hashbench.errors import UncertifiableError
from hashbench.hashing.halving import out_of_memory


class Does(Enum):
    """What a step does."""

    READ = "read"
    """A weight, by the path of the attribute."""

    LAYER = "layer"
    """A layer, by its path."""

    FUNCTION = "function"
    """A function."""

    METHOD = "method"
    """A method of its first argument, by name."""


@dataclass(frozen=True)
class Value:
    """The result of an earlier step in the arguments of a later one; 0 is the images."""

    place: int


@dataclass(frozen=True)
class Step:
    """One operation.

    Attributes:
        does: its kind.
        target: path, function, or name of a method.
        args, kwargs: its arguments, with a `Value` for each result of an earlier step.
        where: the module that computes it, in words.
        inplace: whether it changes its first argument in place.
        forgotten: places of the values that no later step needs.
    """

    does: Does
    target: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    where: str
    inplace: bool = False
    forgotten: tuple[int, ...] = ()

    def needs(self) -> tuple[int, ...]:
        """Places of the values among its arguments."""
        return tuple(_places((self.args, self.kwargs)))


@dataclass(frozen=True)
class Program:
    """All steps of a model's logits; holds none of its modules and weights.

    Attributes:
        steps: in their order.
        result: where the logits are.
    """

    steps: tuple[Step, ...]
    result: Value

    def over(self, model: nn.Module, images: Box, arithmetic: Arithmetic) -> Box:
        """Bounds of the logits (B, K).

        Args:
            model: whose program this is.
            images: (B, C, H, W), in the arithmetic's floats.
            arithmetic: of the bounds.

        Raises:
            UncertifiableError: a step has no rule; names it.
        """
        values: list[Any] = [images]
        for step in self.steps:
            try:
                values.append(_made(step, model, values, arithmetic))
            except UncertifiableError as error:
                raise UncertifiableError(f"{step.where} {error}") from None
            except Exception as error:  # a network of anyone's, in a call that no rule foresaw
                if out_of_memory(error):
                    raise
                reason = str(error).strip().partition("\n")[0]
                raise UncertifiableError(
                    f"{step.where} cannot be bounded: {type(error).__name__}: {reason}"
                ) from error
            for place in step.forgotten:
                values[place] = None
        found = values[self.result.place]
        if not isinstance(found, Box):
            raise UncertifiableError("its logits do not depend on the image")
        return found


def _made(step: Step, model: nn.Module, values: list[Any], arithmetic: Arithmetic) -> Any:
    if step.does is Does.READ:
        return _constant(operator.attrgetter(step.target)(model), arithmetic)
    args, kwargs = _filled(step.args, values), _filled(step.kwargs, values)
    if step.does is Does.LAYER:
        layer = model.get_submodule(step.target)
        rule = RULES.get(type(layer))
        given = (*args, *kwargs.values())
        if rule is None:
            raise UncertifiableError("is of a kind for which no bounds are known")
        if len(given) != 1:
            raise UncertifiableError(f"is given {len(given)} values, and bounds are known for one")
        if not isinstance(given[0], Box):
            raise UncertifiableError("is given no image, but a constant")
        return rule(arithmetic, layer, given[0])
    operation = OPERATIONS.get(step.target)
    if _holds_box((args, kwargs)) or operation in ALWAYS:
        if operation is None:
            raise UncertifiableError(
                f"computes {called(step.target)}, for which no bounds are known"
            )
        return operation(arithmetic, *args, **kwargs)
    if operation is None and step.target not in PLAIN:
        raise UncertifiableError(f"computes {called(step.target)}, which may draw at random")
    if isinstance(step.target, str):
        return getattr(args[0], step.target)(*args[1:], **kwargs)
    return step.target(*args, **kwargs)


def called(target: Any) -> str:
    """A function's or method's name."""
    if isinstance(target, str):
        return target.rpartition(".")[2]
    return str(getattr(target, "__name__", target))


def _constant(value: Any, arithmetic: Arithmetic) -> Any:
    return arithmetic.constant(value) if isinstance(value, Tensor) else value


def _places(argument: Any) -> Iterator[int]:
    if isinstance(argument, Value):
        yield argument.place
    elif isinstance(argument, tuple | list):
        for one in argument:
            yield from _places(one)
    elif isinstance(argument, dict):
        yield from _places(tuple(argument.values()))
    elif isinstance(argument, slice):
        yield from _places((argument.start, argument.stop, argument.step))


def _filled(argument: Any, values: list[Any]) -> Any:
    if isinstance(argument, Value):
        return values[argument.place]
    if isinstance(argument, tuple | list):
        return type(argument)(_filled(one, values) for one in argument)
    if isinstance(argument, dict):
        return {name: _filled(one, values) for name, one in argument.items()}
    if isinstance(argument, slice):
        return slice(
            _filled(argument.start, values),
            _filled(argument.stop, values),
            _filled(argument.step, values),
        )
    return argument


def _holds_box(argument: Any) -> bool:
    if isinstance(argument, Box):
        return True
    if isinstance(argument, tuple | list):
        return any(map(_holds_box, argument))
    if isinstance(argument, dict):
        return any(map(_holds_box, argument.values()))
    return False
