"""What a safetensors file describes: its table of tensors, held against the file's own size.

The format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import IO, Final

import torch

from hashbench.characters import briefly
from hashbench.errors import FileError
from hashbench.files import parsed_json
from hashbench.hashing.weights.stored import (
    OddTensor,
    StoredTensor,
    checked_sides,
    row_major,
    uncomputed,
)

_MAX_TABLE: Final = 2**23
_LENGTH: Final = 8
_METADATA: Final = "__metadata__"

DTYPES: Final[Mapping[str, torch.dtype]] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
"""The types that the format has, by its names for them."""


def read_table(file: IO[bytes], size: int) -> dict[str, StoredTensor | OddTensor]:
    """The tensors of a safetensors file by their keys, `OddTensor` where torch has no such type.

    Args:
        file: at any place.
        size: of the whole file in bytes.

    Raises:
        FileError: it is cut off or damaged; places overlap, leave holes, or are not as shapes say.
    """
    file.seek(0)
    length = int.from_bytes(file.read(_LENGTH), "little")
    start = _LENGTH + length
    if size < _LENGTH or start > size:
        raise FileError("it is damaged or cut off: its table is longer than the file")
    if length > _MAX_TABLE:
        raise FileError(f"its table has {length:,} bytes, expected at most {_MAX_TABLE:,}")
    table = parsed_json(file.read(length))
    if not isinstance(table, dict):
        raise FileError("it is damaged: its table of tensors is none")
    found: dict[str, StoredTensor | OddTensor] = {}
    stretches = []
    for key, entry in table.items():
        if key == _METADATA:
            continue
        try:
            tensor, stretch = _entry(entry, start)
        except FileError as error:
            raise FileError(f"it is damaged: '{briefly(key)}': {error}") from None
        found[key] = tensor
        stretches.append(stretch)
    at = 0
    for begin, end in sorted(stretches):
        if begin != at:
            raise FileError("it is damaged: its tensors overlap or leave a hole")
        at = end
    if at != size - start:
        raise FileError(
            f"it is damaged or cut off: its tensors have {at:,} bytes, {size - start:,} are there"
        )
    return found


def _entry(entry: object, start: int) -> tuple[StoredTensor | OddTensor, tuple[int, int]]:
    match entry:
        case {"dtype": str(name), "shape": list(sides), "data_offsets": [int(begin), int(end)]}:
            shape = checked_sides(sides, "shape")
        case _:
            raise FileError("not a tensor's type, shape and place")
    if not 0 <= begin <= end:
        raise FileError(f"its place is {begin} to {end}")
    dtype = DTYPES.get(name)
    if dtype is None:
        return OddTensor(uncomputed(name)), (begin, end)
    count = math.prod(shape)
    needed = count * dtype.itemsize
    if needed != end - begin:
        raise FileError(f"its shape {shape} needs {needed:,} bytes, not {end - begin:,}")
    return StoredTensor(dtype, shape, row_major(shape), 0, start + begin, end - begin), (begin, end)
