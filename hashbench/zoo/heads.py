"""The layers on top of a backbone, told from the shapes of what is left of a state dict.

A head is a row of linear layers, from the backbone's features to the code, with batch norms among
them. A batch norm is a linear map once it is trained, so it becomes a part of the layer beside it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from typing_extensions import override

from hashbench.characters import briefly
from hashbench.errors import UsageError
from hashbench.hashing.headed import ACTIVATIONS, MAX_HIDDEN, NO_ACTIVATION, Hidden

HASH_LAYER: Final = "hash_layer"

NORM_EPS: Final = 1e-5
"""What torch's batch norm adds to a variance unless told otherwise; no state dict holds it."""

_COUNTER: Final = "num_batches_tracked"
_LINEAR: Final = frozenset(("weight", "bias"))
_STATISTICS: Final = frozenset(("running_mean", "running_var"))
_WHOLE: Final = "TorchScript or ONNX"
_SHOWN: Final = 6
_NAMED: Final = 3
_MAX_LAYERS: Final = 24
"""Layers beside the backbone among which a head is looked for."""


@dataclass(frozen=True)
class Head:
    """What stands on a backbone.

    Attributes:
        hidden: its layers before the hash layer.
        layers: weight (out, in) and bias (out,) of each, that of the hash layer last.
        names: of its linear layers in the file.
        left_out: layers that no code depends on, by their names in the file.
    """

    hidden: tuple[Hidden, ...]
    layers: tuple[tuple[Tensor, Tensor], ...]
    names: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @property
    def bits(self) -> int:
        """The code length K."""
        return len(self.layers[-1][0])

    def state(self) -> dict[str, Tensor]:
        """Under the keys of a HashModel, those of the network under it left out."""
        names = [f"backbone.hidden.{2 * place}" for place in range(len(self.hidden))]
        return {
            f"{name}.{leaf}": value
            for name, layer in zip([*names, HASH_LAYER], self.layers, strict=True)
            for leaf, value in zip(("weight", "bias"), layer, strict=True)
        }


@dataclass(frozen=True, eq=False)
class _Layer:
    """A module of a state dict: linear, or a batch norm.

    Attributes:
        name: the part of its keys before the last dot.
        inputs, outputs: how many; of a batch norm they are equal.
        tensors: by the last part of its keys.
    """

    name: str
    inputs: int
    outputs: int
    tensors: Mapping[str, Tensor]

    @property
    def is_norm(self) -> bool:
        return bool(self.tensors.keys() & _STATISTICS)

    @property
    def is_named(self) -> bool:
        """Whether it is called the hash layer, or a part of it."""
        return f"{self.name}.".startswith(f"{HASH_LAYER}.")

    @property
    def place(self) -> tuple[str, int] | None:
        """Row and place, where it is a member of a numbered row."""
        row, _, place = self.name.rpartition(".")
        return (row, int(place)) if place.isdecimal() and len(place) < 6 else None

    @override
    def __str__(self) -> str:
        return f"'{briefly(self.name)}' ({self.inputs} to {self.outputs})"


def head_of(rest: Mapping[str, Tensor], features: int, activation: str | None) -> Head:
    """The head that the tensors beside a backbone are.

    The linear layers, in the file's order, have to lead from the features to the code, each taking
    what the one before it gives. Layers that are called `hash_layer` end the row; other linear
    layers are then left out, as nothing depends on them. What lies between two layers is in no
    file, not even where a numbered row leaves no room for it, as it may be called from outside: it
    is asked for. On which side of it a batch norm lies is told by the free places of a numbered
    row.

    Args:
        rest: by the file's keys, in its order.
        features: what the backbone gives.
        activation: what lies between two linear layers, one of `ACTIVATIONS`; None where nobody
            said so.

    Raises:
        UsageError: there is no such row, or more than one; a tensor that is part of no such layer;
            the activation is not said, or its place cannot be told. The message does not name the
            file.
    """
    layers, odd = _layers(rest)
    linear = [layer for layer in layers if not layer.is_norm]
    if odd and not linear:
        raise UsageError(_joined(odd))
    row = _row(linear, features)
    norms = [layer for layer in layers if layer.is_norm]
    sizes = {features, *(layer.outputs for layer in row)}
    left = [layer for layer in linear if layer not in row]
    odd += [
        f"'{briefly(layer.name)}' takes {layer.inputs} values, which nothing gives"
        for layer in left
        if layer.inputs not in sizes
    ]
    if odd:
        raise UsageError(_joined(odd))
    linear_maps = [_affine(layer) for layer in row]
    for norm in norms:
        at = _before(norm, row, layers)
        after = _is_after(norm, at, row, norms, activation)
        _fold(norm, linear_maps, at, after_activation=after)
    told = _activation(row, norms, activation) if len(row) > 1 else NO_ACTIVATION
    hidden = tuple(Hidden(layer.outputs, told) for layer in row[:-1])
    return Head(
        hidden,
        tuple((weight.float(), bias.float()) for weight, bias in linear_maps),
        tuple(layer.name for layer in row),
        tuple(layer.name for layer in left),
    )


def _layers(rest: Mapping[str, Tensor]) -> tuple[list[_Layer], list[str]]:
    """The layers of a state dict in its order, and what is no layer of a head, as clauses."""
    groups: dict[str, dict[str, Tensor]] = {}
    for key, value in rest.items():
        name, _, leaf = key.rpartition(".")
        groups.setdefault(name, {})[leaf] = value
    layers, odd = [], []
    for name, tensors in groups.items():
        found = _layer(name, {leaf: one for leaf, one in tensors.items() if leaf != _COUNTER})
        if found is None:
            keys = [f"{name}.{leaf}" if name else leaf for leaf in tensors]
            odd += [f"'{briefly(key)}' is not known" for key in keys]
        else:
            layers.append(found)
    if len(layers) > _MAX_LAYERS:
        raise UsageError(f"it has {len(layers)} layers beside the network, too many for a head")
    return layers, odd


def _layer(name: str, tensors: Mapping[str, Tensor]) -> _Layer | None:
    if not all(value.is_floating_point() for value in tensors.values()):
        return None
    weight = tensors.get("weight")
    if tensors.keys() <= _LINEAR and weight is not None and weight.ndim == 2 and weight.numel():
        outputs, inputs = weight.shape
        bias = tensors.get("bias")
        if bias is None or tuple(bias.shape) == (outputs,):
            return _Layer(name, inputs, outputs, tensors)
    if _STATISTICS <= tensors.keys() <= _STATISTICS | _LINEAR:
        shapes = {tuple(value.shape) for value in tensors.values()}
        if len(shapes) == 1 and len(shape := shapes.pop()) == 1 and shape[0]:
            return _Layer(name, shape[0], shape[0], tensors)
    return None


def _row(linear: Sequence[_Layer], features: int) -> list[_Layer]:
    """The linear layers from the features to the code.

    Raises:
        UsageError: there is none, or more than one.
    """
    named = [layer for layer in linear if layer.is_named]
    # Layers of other names may lead to the hash layer; with none of that name, all of them do.
    found = [
        row
        for row in _rows(linear, features)
        if (row[-1] is named[-1] and set(named) <= set(row) if named else len(row) == len(linear))
    ]
    if len(found) == 1 or (named and found):
        return min(found, key=len)
    if not linear:
        raise UsageError("it has no linear layer beside the network, so no hash layer")
    listed = ", ".join(map(str, linear[:_SHOWN])) + (", ..." if len(linear) > _SHOWN else "")
    if not any(layer.inputs == features for layer in linear):
        raise UsageError(
            f"no layer beside the network takes its {features} features; it has {listed}"
        )
    raise UsageError(
        f"which of its layers is the hash layer cannot be told: it has {listed}, and the "
        f"network gives {features} features; name it, as in --rename "
        f"{briefly(linear[-1].name)}={HASH_LAYER}"
    )


def _rows(linear: Sequence[_Layer], features: int) -> Iterator[list[_Layer]]:
    """All rows of layers, in their order, in which each takes what the one before it gives."""
    ends: list[list[_Layer]] = []
    for layer in linear:
        fresh = [[layer]] if layer.inputs == features else []
        fresh += [
            [*row, layer]
            for row in ends
            if row[-1].outputs == layer.inputs and len(row) <= MAX_HIDDEN
        ]
        yield from fresh
        ends = (ends + fresh)[:1000]


def _affine(layer: _Layer) -> tuple[Tensor, Tensor]:
    """Weight and bias in float64, in which batch norms are multiplied in."""
    weight = layer.tensors["weight"].double()
    bias = layer.tensors.get("bias")
    return weight, torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.double()


def _before(norm: _Layer, row: Sequence[_Layer], layers: Sequence[_Layer]) -> int:
    """The place in a row of the linear layer that a batch norm follows, -1 for none.

    Raises:
        UsageError: it has another size than what it follows.
    """
    at = sum(layer in row for layer in layers[: layers.index(norm)]) - 1
    given = row[0].inputs if at < 0 else row[at].outputs
    if norm.inputs != given:
        raise UsageError(
            f"the batch norm '{briefly(norm.name)}' has {norm.inputs} values, where the layer "
            f"before it gives {given}"
        )
    return at


def _free(one: _Layer, two: _Layer, norms: Sequence[_Layer]) -> list[int] | None:
    """The places between two layers that nothing in the file takes; None if in no common row."""
    (row, first), (other, second) = one.place or ("", 0), two.place or ("", -1)
    if row != other or second <= first:
        return None
    taken = {norm.place for norm in norms}
    return [place for place in range(first + 1, second) if (row, place) not in taken]


def _is_after(
    norm: _Layer, at: int, row: Sequence[_Layer], norms: Sequence[_Layer], activation: str | None
) -> bool:
    """Whether a batch norm follows an activation that follows the linear layer before it.

    Raises:
        UsageError: that cannot be told, and makes a difference.
    """
    if at < 0:
        return False
    if at + 1 == len(row):
        return bool(_free(row[at], norm, norms))
    if activation == NO_ACTIVATION:
        return False
    free = _free(row[at], row[at + 1], norms)
    before, behind = _free(row[at], norm, norms), _free(norm, row[at + 1], norms)
    if not free or before is None or behind is None or (before and behind):
        raise UsageError(
            f"no state dict tells whether the batch norm '{briefly(norm.name)}' lies before an "
            f"activation or behind it: import the whole model instead ({_WHOLE}); or, if there is "
            f"none between '{briefly(row[at].name)}' and '{briefly(row[at + 1].name)}', say so "
            f"with --activation {NO_ACTIVATION}"
        )
    return bool(before)


def _fold(
    norm: _Layer, maps: list[tuple[Tensor, Tensor]], at: int, *, after_activation: bool
) -> None:
    """Multiply a batch norm into the linear layer before it, or behind it."""
    mean, var = norm.tensors["running_mean"].double(), norm.tensors["running_var"].double()
    scale = (var + NORM_EPS).rsqrt()
    if (weight := norm.tensors.get("weight")) is not None:
        scale = scale * weight.double()
    shift = -mean * scale
    if (bias := norm.tensors.get("bias")) is not None:
        shift = shift + bias.double()
    if at >= 0 and not after_activation:
        weight, bias = maps[at]
        maps[at] = (weight * scale[:, None], bias * scale + shift)
        return
    if at + 1 == len(maps):
        raise UsageError(
            f"the batch norm '{briefly(norm.name)}' follows the hash layer, with something between "
            "them that no state dict tells: import the whole model instead "
            f"({_WHOLE})"
        )
    weight, bias = maps[at + 1]
    maps[at + 1] = (weight * scale, weight @ shift + bias)


def _activation(row: Sequence[_Layer], norms: Sequence[_Layer], said: str | None) -> str:
    """The activation between the layers of a row.

    Raises:
        UsageError: nobody said it, or it seems to lie between some of them alone.
    """
    if said is None:
        raise UsageError(
            f"its head is {', '.join(map(str, row))}, and no state dict tells what lies between "
            f"its layers: say so with --activation ({', '.join(ACTIVATIONS)}); or, if the codes "
            "are what an earlier one gives, name that one, as in --rename "
            f"{briefly(row[-2].name)}={HASH_LAYER}"
        )
    free = [_free(one, two, norms) for one, two in itertools.pairwise(row)]
    if said != NO_ACTIVATION and [] in free and any(free):
        raise UsageError(
            f"its head is {', '.join(map(str, row))}, with room between some of its layers and "
            f"none between others, so that no state dict tells where {said} lies: import the whole "
            f"model instead ({_WHOLE})"
        )
    return said


def _joined(clauses: Sequence[str]) -> str:
    more = f"; and {len(clauses) - _NAMED} more" if len(clauses) > _NAMED else ""
    return "; ".join(clauses[:_NAMED]) + more
