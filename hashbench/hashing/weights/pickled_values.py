"""What a pickle of tensors is made of, as it describes it: names, storages, tensors, keys. Pure.

Torch's side of the format: `torch/_utils.py` and `torch/serialization.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch

from hashbench.hashing.weights.stored import COMPUTED, OddTensor, checked_sides, uncomputed
from hashbench.hashing.weights.torch_names import DTYPES, storage_type

_MAX_KEY_LENGTH: Final = 2**20
_MAX_KEY: Final = 2**63

_LONGEST_IDENTITY: Final = 6
"""Parts of what torch says of a storage, at most."""


@dataclass(frozen=True)
class Name:
    """Something that a pickle refers to by module and name."""

    full: str


@dataclass(frozen=True)
class Storage:
    """The values of tensors, kept apart from the pickle.

    Attributes:
        key: by which the file finds them.
        dtype: what they are; `None` where bytes are all that is known.
        kind: what a person calls the type.
        count: how many values, or bytes where the type is not known.
        base: the first of them in what the key stands for.
        whole: how many the key stands for.
    """

    key: str
    dtype: torch.dtype | None
    kind: str
    count: int
    base: int
    whole: int


@dataclass(frozen=True, eq=False)
class PickledTensor:
    """A tensor as a pickle describes it: its storage is still to be found in the file."""

    storage: Storage
    dtype: torch.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int


@dataclass(frozen=True)
class Opaque:
    """Data beside the tensors that nothing here needs, such as a number of numpy's.

    Attributes:
        name: of its class.
    """

    name: str


def stored_values(identity: object) -> Storage | Name:
    """What torch says of a storage, or the name of a module's class, before torch 1.6.

    Raises:
        ValueError: it is no such identity, or its numbers contradict each other.
    """
    if not isinstance(identity, tuple) or len(identity) > _LONGEST_IDENTITY:
        raise ValueError
    match identity:
        case ("storage", Name(full), str(key), _, int(whole), *rest):
            dtype, kind = storage_type(full)
            base, count = 0, whole
            if rest and rest[0] is not None:  # a part of another storage
                _, base, count = _triple(rest[0])
            if not all(type(one) is int and one >= 0 for one in (whole, base, count)):
                raise ValueError
            if base + count > whole:
                raise ValueError
            return Storage(key, dtype, kind, count, base, whole)
        case ("module", Name() as name, *_):  # with its source
            return name
        case _:
            raise ValueError


def _triple(value: object) -> tuple[Any, ...]:
    if not isinstance(value, tuple) or len(value) != 3:
        raise ValueError
    return value


def tensor_of(
    storage: object, offset: object, shape: object, strides: object, *, dtype: object
) -> PickledTensor | OddTensor:
    """A tensor as torch describes it, or what it is that no tensor here can be.

    Args:
        storage: where its values lie.
        offset: its first value there.
        shape: its sides.
        strides: of each side, in values.
        dtype: the name of its type, where that is not the storage's.

    Raises:
        ValueError: it is no such description.
    """
    if not isinstance(storage, Storage) or type(offset) is not int or offset < 0:
        raise ValueError
    sides, steps = checked_sides(shape, "shape"), checked_sides(strides, "strides")
    if len(sides) != len(steps):
        raise ValueError
    kind, found = storage.kind, storage.dtype
    if isinstance(dtype, Name):
        kind, found = dtype.full.removeprefix("torch."), DTYPES.get(dtype.full)
    if found not in COMPUTED:
        return OddTensor(uncomputed(kind))
    return PickledTensor(storage, found, sides, steps, offset)


def plain_key(key: object) -> Any:
    """A key that costs nothing to look up: the hash of a nested or huge one is not asked for."""
    if isinstance(key, str | bytes) and len(key) > _MAX_KEY_LENGTH:
        return OddTensor("no key")  # two equal ones are compared letter by letter
    if isinstance(key, str | bytes | float | Name) or key is None:
        return key
    if isinstance(key, int) and abs(key) < _MAX_KEY:
        return key
    return OddTensor("no key")  # equal to nothing but itself


def pairs(items: list[Any]) -> list[tuple[Any, Any]]:
    """Keys and values in turn, as pairs.

    Raises:
        ValueError: a key has no value.
    """
    return [(plain_key(key), value) for key, value in zip(items[::2], items[1::2], strict=True)]
