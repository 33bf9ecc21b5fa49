"""Tensors as a file describes them: type, shape and place; nothing of their values is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import torch
from numpy.typing import NDArray

from hashbench.characters import briefly
from hashbench.errors import FileError

COMPUTED: Final = (
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.uint8,
    torch.bool,
)
"""The types that networks compute with; torch has others that it can store and little else."""

HOW_TO_SAVE: Final = (
    "on a machine where you trust it, write its tensors alone with "
    "torch.save(model.state_dict(), 'weights.pth')"
)

_MAX_DIMENSIONS: Final = 64
_MAX_SIDE: Final = 2**40


@dataclass(frozen=True, eq=False)
class OddTensor:
    """A tensor that no network here could take.

    Attributes:
        kind: what it is, as a clause goes on after "is".
    """

    kind: str


@dataclass(frozen=True, eq=False)
class HeldTensor:
    """A tensor whose values were part of a pickle: an array of numpy, of a type that torch has.

    Attributes:
        array: contiguous; nobody else's.
    """

    array: NDArray[Any]

    def tensor(self) -> torch.Tensor:
        """The same, in memory of its own."""
        return torch.from_numpy(self.array.copy())


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor of plain values in a file.

    Attributes:
        dtype: one of torch's.
        shape: of any number of dimensions.
        strides: in elements, of the same length.
        offset: of its first element in the storage, in elements.
        begin: the storage's first byte in the file.
        size: the storage's bytes.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    begin: int
    size: int

    def __post_init__(self) -> None:
        if not self.count:
            return
        last = self.offset + sum(
            (side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True)
        )
        if last >= self.stored:
            raise FileError(
                f"a tensor of shape {self.shape} reaches beyond the {self.stored:,} values that "
                "are stored for it"
            )

    @property
    def count(self) -> int:
        """How many values its shape claims."""
        return math.prod(self.shape)

    @property
    def stored(self) -> int:
        """How many values its storage holds."""
        return self.size // self.dtype.itemsize


def uncomputed(dtype: torch.dtype | str) -> str:
    """What a tensor of a type beyond `COMPUTED` is, as a clause goes on after "is"."""
    name = briefly(str(dtype).removeprefix("torch."))
    return f"of the type {name}, which no network computes with"


def checked_sides(sides: object, what: str) -> tuple[int, ...]:
    """A shape or strides out of a file.

    Raises:
        FileError: no tuple of whole numbers from 0 on, too many of them, or too large.
    """
    if not isinstance(sides, tuple | list) or len(sides) > _MAX_DIMENSIONS:
        raise FileError(f"a tensor's {what} is no list of at most {_MAX_DIMENSIONS} numbers")
    if not all(type(side) is int and 0 <= side <= _MAX_SIDE for side in sides):
        raise FileError(f"a tensor's {what} holds what is no whole number from 0 to 2^40")
    return tuple(sides)


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a contiguous tensor."""
    strides = [1]
    for side in reversed(shape[1:]):
        strides.append(strides[-1] * max(1, side))
    return tuple(reversed(strides[: len(shape)]))
