"""Arrays of numpy as a pickle describes them, without numpy's help.

The format: what `ndarray.__reduce__`, `dtype.__reduce__` and their `__setstate__` agree on (numpy's
`_core/src/multiarray/methods.c` and `descriptor.c`), since numpy 1.0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from hashbench.characters import briefly
from hashbench.errors import FileError
from hashbench.hashing.weights.stored import HeldTensor, OddTensor, checked_sides

_PLAIN: Final = frozenset(("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1"))
"""Types of which torch has the same."""

_ORDERS: Final = ("<", ">", "|", "=")


@dataclass(eq=False)
class PickledDtype:
    """A type of numpy.

    Attributes:
        name: its kind and bytes, such as `f4`.
        order: of its bytes; `|` where there is but one.
    """

    name: str
    order: str = "="

    def fill(self, state: object) -> None:
        """Take what the pickle sets."""
        if isinstance(state, tuple) and len(state) > 1 and state[1] in _ORDERS:
            self.order = state[1]


@dataclass(eq=False)
class PickledArray:
    """An array of numpy; empty until its values are set."""

    shape: tuple[int, ...] = ()
    dtype: PickledDtype | None = None
    fortran: bool = False
    values: bytes | None = None

    def fill(self, state: object) -> None:
        """Take what the pickle sets: version, shape, type, order and values.

        Raises:
            FileError: a shape that is none.
        """
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            return
        shape, dtype, fortran, values = state[-4:]
        self.shape = checked_sides(shape, "shape")
        self.dtype = dtype if isinstance(dtype, PickledDtype) else None
        self.fortran = fortran is True or fortran == 1
        self.values = bytes(values) if isinstance(values, bytes | bytearray) else None

    def held(self) -> HeldTensor | OddTensor:
        """The same as a tensor; an odd one, where it holds anything but plain numbers.

        Raises:
            FileError: more or fewer bytes than its shape asks for.
        """
        name = "object" if self.dtype is None else self.dtype.name
        if self.dtype is None or name not in _PLAIN or self.values is None:
            return OddTensor(f"an array of numpy of the type {briefly(name)}")
        kind = np.dtype(self.dtype.order + name)
        if len(self.values) != math.prod(self.shape) * kind.itemsize:
            raise FileError("an array of numpy has another number of values than its shape says")
        flat = np.frombuffer(self.values, kind)
        array = flat.reshape(self.shape, order="F" if self.fortran else "C")
        return HeldTensor(np.ascontiguousarray(array, kind.newbyteorder("=")).reshape(self.shape))
