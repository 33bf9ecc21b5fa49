"""Codes and labels as bits: bytes on disk, machine words for counting.

Byte layout: value ``j`` of a row is bit ``j % 8`` (least significant first) of byte ``j // 8``,
the layout of ``faiss.real_to_binary`` and of every faiss binary index. Spare bits are 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hashbench.errors import UsageError
from hashbench.retrieval.checks import (
    Array,
    Bools,
    as_count,
    as_matrix,
    code_bits,
    label_bits,
    not_empty,
    row_blocks,
)

Bytes = npt.NDArray[np.uint8]

MAX_BITS: Final = 512
MAX_CLASSES: Final = 2000


def pack_codes(codes: Any) -> Bytes:
    """Pack codes ``(n, K)`` of -1 and +1 into ``uint8 (n, ceil(K / 8))``; a bit is ``code > 0``.

    Saved with ``numpy.save``, the result is what ``faiss.IndexBinaryFlat`` takes as it is (faiss
    wants K to be a multiple of 8). Raises ValueError for any other value.

    Examples:
        >>> pack_codes([[1, -1, -1, -1, -1, -1, -1, -1], [1, 1, -1, -1, -1, -1, -1, 1]]).tolist()
        [[1], [131]]
    """
    return _pack(as_matrix(codes, "codes"), "codes", code_bits)


def unpack_codes(packed: Any, bits: int) -> npt.NDArray[np.int8]:
    """The codes ``int8 (n, bits)`` of -1 and +1 that `pack_codes` packed.

    Raises ValueError where type or width do not fit, or a bit past the last value is set.

    Examples:
        >>> unpack_codes(pack_codes([[1, -1, 1]]), bits=3).tolist()
        [[1, -1, 1]]
    """
    array = as_matrix(packed, "packed")
    width = as_count(bits, "bits")
    if not is_packed(array, width):
        raise UsageError(
            f"packed: expected uint8 with {byte_width(width)} columns for {width} bits, "
            f"found {array.dtype} of shape {array.shape}"
        )
    check_spare_bits(array, width, "packed")
    unpacked = np.unpackbits(array, axis=1, count=width, bitorder="little").view(np.int8)
    unpacked *= 2
    unpacked -= 1
    return unpacked


def byte_width(columns: int) -> int:
    """Bytes that hold ``columns`` bits."""
    return -(-columns // 8)


def is_packed(array: Array, columns: int) -> bool:
    """Whether ``array`` is the packed form of rows of ``columns`` values.

    A single column is the one case in which both forms have the same shape; 1 means the same in
    both, and so does a label of 0.
    """
    return bool(array.dtype == np.uint8) and array.shape[1] == byte_width(columns)


def codes_to_bytes(codes: Array, argument: str, bits: int) -> Bytes:
    """Packed rows of codes that may be packed already."""
    return _to_bytes(codes, argument, bits, "bits", code_bits)


def labels_to_bytes(labels: Array, argument: str, classes: int) -> Bytes:
    """Packed rows of labels that may be packed already."""
    return _to_bytes(labels, argument, classes, "classes", label_bits)


def check_spare_bits(packed: Array, columns: int, argument: str) -> None:
    """UsageError unless the bits past the last value are 0: they would count as distance."""
    spare = columns % 8
    if spare and (packed[:, -1] >> spare).any():
        raise UsageError(
            f"{argument}: expected 0 in the spare bits past value {columns - 1}, found a set bit"
        )


def to_words(packed: Bytes) -> list[Array]:
    """The packed rows as few unsigned machine words per row: one array ``(n,)`` per word."""
    words: list[Array] = []
    width = packed.shape[1]
    for start in range(0, width, 8):
        part = packed[:, start : start + 8]
        size = next(size for size in (1, 2, 4, 8) if size >= part.shape[1])
        if part.shape[1] < size:
            padded = np.zeros((packed.shape[0], size), dtype=np.uint8)
            padded[:, : part.shape[1]] = part
            part = padded
        words.append(np.ascontiguousarray(part).view(np.dtype(f"u{size}"))[:, 0])
    return words


def code_matrix(value: Any, argument: str) -> Array:
    """Codes ``(n, K)``, n at least 1 and K at most 512; the values are checked when packed."""
    return _bounded(value, argument, MAX_BITS, "bits")


def label_matrix(value: Any, argument: str) -> Array:
    """Labels ``(n, C)``, n at least 1 and C at most 2000; the values are checked when packed."""
    return _bounded(value, argument, MAX_CLASSES, "classes")


def _bounded(value: Any, argument: str, most: int, what: str) -> Array:
    array = as_matrix(value, argument)
    not_empty(array, argument)
    if array.shape[1] > most:
        raise UsageError(f"{argument}: expected 1 to {most} {what}, found shape {array.shape}")
    return array


def _to_bytes(
    array: Array,
    argument: str,
    columns: int,
    what: str,
    bits_of: Callable[[Array, str, int], Bools],
) -> Bytes:
    if is_packed(array, columns):
        check_spare_bits(array, columns, argument)
        return array
    if array.shape[1] != columns:
        raise UsageError(f"{argument}: expected {columns} {what}, found shape {array.shape}")
    return _pack(array, argument, bits_of)


def _pack(array: Array, argument: str, bits_of: Callable[[Array, str, int], Bools]) -> Bytes:
    rows, columns = array.shape
    width = byte_width(columns)
    packed = np.empty((rows, width), dtype=np.uint8)
    for block in row_blocks(rows, columns):
        bits = bits_of(array[block], argument, block.start)
        if columns % 8:
            # Rows of whole bytes pack as one long row, which is several times faster.
            padded = np.zeros((bits.shape[0], 8 * width), dtype=np.bool_)
            padded[:, :columns] = bits
            bits = padded
        packed[block] = np.packbits(bits.reshape(-1), bitorder="little").reshape(-1, width)
    return packed
