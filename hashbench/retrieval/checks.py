"""Reads what callers pass in (arrays, tensors) and says what is wrong with it.

Every check works on blocks of rows, so that checking needs little memory above its input.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hashbench.errors import UsageError

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]

# Values looked at together: large enough to hide numpy's call overhead, small enough for the cache.
_BLOCK_VALUES: Final = 1 << 18


def as_matrix(value: Any, argument: str) -> Array:
    """``value`` as a two-dimensional numeric numpy array, without a copy where possible.

    Tensors are known by their ``detach`` method, so that torch is never imported here.
    """
    try:
        array = np.asarray(_to_numpy(value) if hasattr(value, "detach") else value)
    except ValueError as error:
        raise UsageError(f"{argument}: expected a table of numbers, found {error}") from error
    if array.dtype.kind not in "biuf":
        raise UsageError(f"{argument}: expected integers or floats, found type {array.dtype}")
    if array.ndim != 2 or array.shape[1] == 0:
        raise UsageError(
            f"{argument}: expected two dimensions (items, values), found shape {array.shape}"
        )
    return array


def row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices that cover ``rows`` in steps of about 2^18 values."""
    step = max(1, _BLOCK_VALUES // columns)
    for start in range(0, rows, step):
        yield slice(start, min(rows, start + step))


def code_bits(block: Array, argument: str, first_row: int = 0) -> Bools:
    """True where a code is ``+1``; UsageError at the first value that is neither -1 nor +1."""
    positive: Bools = block == 1
    if block.dtype.kind == "i":
        # Three quick reductions say the same as two comparisons per value.
        fine = block.min() >= -1 and block.max() <= 1 and np.count_nonzero(block) == block.size
    else:
        fine = bool((positive | (block == -1)).all())
    if not fine:
        raise _bad_value(block, positive | (block == -1), argument, "-1 or +1", first_row)
    return positive


def label_bits(block: Array, argument: str, first_row: int = 0) -> Bools:
    """True where a label is set; UsageError at the first value that is neither 0 nor 1."""
    if block.dtype.kind == "b":
        return block
    positive: Bools = block == 1
    if block.dtype.kind in "iu":
        # A value other than 0 and 1 leaves a trace in the union of all bits.
        fine = 0 <= int(np.bitwise_or.reduce(block, axis=None)) <= 1
    else:
        fine = bool((positive | (block == 0)).all())
    if not fine:
        raise _bad_value(block, positive | (block == 0), argument, "0 or 1", first_row)
    return positive


def same_rows(first: Array, second: Array, first_name: str, second_name: str) -> None:
    """UsageError unless both describe the same number of items."""
    if first.shape[0] != second.shape[0]:
        raise UsageError(
            f"{second_name}: expected one row for each of the {first.shape[0]} rows of "
            f"{first_name}, found shape {tuple(second.shape)}"
        )


def same_columns(first: Array, second: Array, first_name: str, second_name: str, what: str) -> None:
    """UsageError unless both have the same number of columns."""
    if first.shape[1] != second.shape[1]:
        raise UsageError(
            f"{second_name}: expected {first.shape[1]} {what} as in {first_name}, "
            f"found shape {tuple(second.shape)}"
        )


def not_empty(array: Array, argument: str) -> None:
    """UsageError where there is no item at all."""
    if array.shape[0] == 0:
        raise UsageError(f"{argument}: expected at least one item, found shape {array.shape}")


def as_count(value: Any, argument: str, least: int = 1) -> int:
    """``value`` as a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise UsageError(
            f"{argument}: expected a whole number of at least {least}, found {value!r}"
        )
    return int(value)


def as_top_k(value: Any, argument: str = "top_k") -> int | None:
    """None (the whole list) or a whole number of at least 1."""
    return None if value is None else as_count(value, argument)


def _to_numpy(tensor: Any) -> Any:
    on_host = tensor.detach().cpu()
    try:
        return on_host.numpy()
    except TypeError:
        # numpy has no bfloat16; codes and labels are whole numbers that float32 holds.
        return on_host.float().numpy()


def _bad_value(
    block: Array, fine: Bools, argument: str, expected: str, first_row: int
) -> UsageError:
    row, column = (int(index[0]) for index in np.nonzero(~fine))
    return UsageError(
        f"{argument}: expected only {expected}, found {block[row, column].item()!r} "
        f"in row {first_row + row}, column {column}"
    )
