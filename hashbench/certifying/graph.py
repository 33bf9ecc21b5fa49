"""Reads what a model computes from the model itself, with torch.fx."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from typing_extensions import override

from hashbench.certifying.layers import RULES
from hashbench.certifying.memory import refuse_shared_changes
from hashbench.certifying.operation_table import OPERATIONS
from hashbench.certifying.program import Does, Program, Step, Value
from hashbench.errors import UncertifiableError
from hashbench.hashing.model import HashModel
from hashbench.hashing.whole_model import WholeModel, before_tanh

fx.wrap("before_tanh")  # one step, of which a rule is known

_ROOT = "model"


def read(model: HashModel) -> Program:
    """The steps from images to logits.

    Read twice: what differs was drawn at random.

    Raises:
        UncertifiableError: its code cannot be followed, draws, or changes a value in place that is
            used again.
    """
    first, second = _read(model), _read(model)
    if first != second:
        raise UncertifiableError("its code does something else each time: it may draw at random")
    return first


def _read(model: HashModel) -> Program:
    root = _Logits(model)
    tracer = _Tracer(root)
    try:
        graph = tracer.trace(root)
    except UncertifiableError:
        raise
    except Exception as error:  # a network of anyone's, whose code was not written to be followed
        # The first sentence: torch goes on with advice to who follows code, not to who wrote it.
        reason = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise UncertifiableError(
            f"{tracer.where} cannot be followed step by step: {type(error).__name__}: {reason}"
        ) from error
    return _program(model, list(graph.nodes), tracer.places)


class _Logits(nn.Module):
    """A model's logits as a module: a root for torch.fx, which leaves the model as it is."""

    def __init__(self, model: HashModel) -> None:
        super().__init__()
        self.model = model

    @override
    def forward(self, images: Tensor) -> Tensor:
        model = self.model
        if isinstance(model, WholeModel) and type(model).logits is WholeModel.logits:
            # Without the checks of its values, which a stand-in for a tensor cannot answer.
            values: Tensor = model.net((images - model.mean) / model.std)
            return before_tanh(values) if model.bounded else values
        return model.logits(images)


_CHANGING = (operator.iadd, operator.isub, operator.imul, operator.itruediv)


class _Changeable(fx.Proxy):
    """A stand-in for a tensor that keeps `+=` apart from `+`, since it changes the tensor.

    One for a weight or buffer answers what does not depend on its values.
    """

    weight: Tensor | None = None

    @override
    def __getattr__(self, k: str) -> Any:
        if self.weight is not None and k in ("device", "dtype", "shape", "ndim"):
            return getattr(self.weight, k)
        return super().__getattr__(k)

    def _changed(self, change: Callable[..., Any], other: Any) -> Any:
        return self.tracer.create_proxy("call_function", change, (self, other), {})

    def __iadd__(self, other: Any) -> Any:
        return self._changed(operator.iadd, other)

    def __isub__(self, other: Any) -> Any:
        return self._changed(operator.isub, other)

    def __imul__(self, other: Any) -> Any:
        return self._changed(operator.imul, other)

    def __itruediv__(self, other: Any) -> Any:
        return self._changed(operator.itruediv, other)


class _Tracer(fx.Tracer):
    """Follows a model's code down to torch's own layers, and notes where each step is computed."""

    # What code makes of buffers becomes steps; else it would be a tensor of unknown origin.
    proxy_buffer_attributes = True

    def __init__(self, root: nn.Module) -> None:
        super().__init__(autowrap_modules=(math,))
        self.places: dict[fx.Node, str] = {}
        self._path: list[str] = ["its code"]
        self._weights: dict[str, Tensor] = {
            **dict(root.named_parameters(remove_duplicate=False)),
            **dict(root.named_buffers(remove_duplicate=False)),
        }

    @property
    def where(self) -> str:
        """The module that is being followed, in words."""
        return self._path[-1]

    @override
    def proxy(self, node: fx.Node) -> fx.Proxy:
        stands = _Changeable(node, self)
        if node.op == "get_attr":
            stands.weight = self._weights.get(str(node.target))
        return stands

    @override
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return (
            type(m) in RULES
            or isinstance(m, torch.jit.ScriptModule)
            or super().is_leaf_module(m, module_qualified_name)
        )

    @override
    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        path = self.path_of_module(m).removeprefix(f"{_ROOT}.")
        self._path.append(f"its layer {path} ({type(m).__name__})")
        found = super().call_module(m, forward, args, kwargs)
        # Not in a `finally`: where it fails, the path says where.
        self._path.pop()
        return found

    @override
    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        self.places[node] = self.where
        return node


_KINDS = {
    "get_attr": Does.READ,
    "call_module": Does.LAYER,
    "call_function": Does.FUNCTION,
    "call_method": Does.METHOD,
}


def _program(model: nn.Module, nodes: list[fx.Node], places: dict[fx.Node, str]) -> Program:
    values: dict[fx.Node, Value] = {}
    steps: list[Step] = []
    result = Value(0)
    for node in nodes:
        if node.op == "placeholder":
            values[node] = Value(0)
        elif node.op == "output":
            if not isinstance(node.args[0], fx.Node):
                raise UncertifiableError("its logits do not depend on the image")
            result = values[node.args[0]]
        else:
            steps.append(_step(model, node, values, places[node]))
            values[node] = Value(len(steps))
    refuse_shared_changes(steps, result)
    return Program(_forgetting(steps, result), result)


def _forgetting(steps: list[Step], result: Value) -> tuple[Step, ...]:
    """The same steps, each of which forgets the values that it is the last to need."""
    last: dict[int, int] = {}
    for number, step in enumerate(steps):
        last.update(dict.fromkeys((*step.needs(), number + 1), number))
    last.pop(result.place, None)
    forgotten: dict[int, list[int]] = {}
    for place, number in last.items():
        forgotten.setdefault(number, []).append(place)
    return tuple(
        replace(step, forgotten=tuple(forgotten.get(number, ())))
        for number, step in enumerate(steps)
    )


def _step(model: nn.Module, node: fx.Node, values: dict[fx.Node, Value], where: str) -> Step:
    does = _KINDS[node.op]
    target: Any = node.target
    args, kwargs = _plain(node.args, values), _plain(node.kwargs, values)
    inplace = False
    if does in (Does.READ, Does.LAYER):
        if not str(target).startswith(f"{_ROOT}."):
            raise UncertifiableError(f"{where} makes a tensor of its own, which may be drawn")
        target = str(target).removeprefix(f"{_ROOT}.")
    if does is Does.LAYER:
        layer = model.get_submodule(target)
        inplace = bool(getattr(layer, "inplace", False))
        where = f"its layer {target} ({type(layer).__name__})"
    elif does is Does.FUNCTION:
        full = f"{getattr(target, '__module__', '')}.{getattr(target, '__qualname__', '')}"
        args, kwargs = _ordered(target, args, kwargs)
        inplace = bool(kwargs.pop("inplace", False)) or target in _CHANGING
        inplace = inplace or getattr(target, "__name__", "").endswith("_")
        target = full if full in OPERATIONS else target
    elif does is Does.METHOD:
        inplace = target.endswith("_") and not target.endswith("__")
    return Step(does, target, args, kwargs, where, inplace)


def _plain(argument: Any, values: dict[fx.Node, Value]) -> Any:
    """An argument of torch.fx with our values, in plain containers."""
    if isinstance(argument, fx.Node):
        return values[argument]
    if isinstance(argument, list):
        return [_plain(one, values) for one in argument]
    if isinstance(argument, tuple):
        return tuple(_plain(one, values) for one in argument)
    if isinstance(argument, dict):
        return {name: _plain(one, values) for name, one in argument.items()}
    if isinstance(argument, slice):
        return slice(
            *(_plain(end, values) for end in (argument.start, argument.stop, argument.step))
        )
    return argument


def _ordered(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The first argument without its name, and `inplace` with it."""
    if "input" in kwargs and not args:
        args = (kwargs.pop("input"),)
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # one that is written in C
        return args, kwargs
    if "inplace" in names and len(args) > names.index("inplace"):
        place = names.index("inplace")
        kwargs = {**kwargs, **dict(zip(names[place:], args[place:], strict=False))}
        args = args[:place]
    return args, kwargs
