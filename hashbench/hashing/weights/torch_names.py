"""The names that pickles of state dicts are made of: which of them stand for tensors or plain data.

The format: torch's `torch/_utils.py`, `torch/storage.py` and `torch/serialization.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch

from hashbench.hashing.weights.stored import COMPUTED

_STORAGES: Final[Mapping[str, torch.dtype]] = {
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Float": torch.float32,
    "Double": torch.float64,
    "Char": torch.int8,
    "Short": torch.int16,
    "Int": torch.int32,
    "Long": torch.int64,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
    "QUInt8": torch.quint8,
    "QInt8": torch.qint8,
    "QInt32": torch.qint32,
    "QUInt4x2": torch.quint4x2,
    "QUInt2x4": torch.quint2x4,
}
DTYPES: Final = {str(one): one for one in COMPUTED}
"""Types that networks compute with, by torch's names."""

_TYPES: Final = frozenset(
    str(one) for one in vars(torch).values() if isinstance(one, torch.dtype | torch.qscheme)
)
NESTED: Final = "torch.nested._internal."
"""Begins the names of what makes nested tensors."""

_PLAIN: Final = frozenset(
    (
        *(f"torch.{name}" for name in ("Size", "Tensor", "device", "strided", "contiguous_format")),
        *("torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"),
        *("torch.serialization._get_layout", "torch.storage.UntypedStorage"),
        *("collections.OrderedDict", "collections.defaultdict", "collections.Counter"),
        # Numbers, arrays, options and times that scripts put beside a state dict.
        *(
            f"{home}.{name}"
            for home in ("builtins", "__builtin__")
            for name in ("set", "frozenset", "complex", "bytearray", "range", "slice", "list")
        ),
        *("builtins.dict", "builtins.int", "builtins.float", "builtins.str", "_codecs.encode"),
        *(
            f"numpy.{core}.multiarray.{name}"
            for core in ("core", "_core")
            for name in ("scalar", "_reconstruct")
        ),
        *("numpy.ndarray", "numpy.dtype", "argparse.Namespace", "types.SimpleNamespace"),
        *("collections.deque", "__builtin__.xrange", "decimal.Decimal", "fractions.Fraction"),
        *("copyreg._reconstructor", "copy_reg._reconstructor", "builtins.object", "uuid.UUID"),
        "__builtin__.object",
        *(f"pathlib.{name}" for name in ("Path", "PosixPath", "WindowsPath", "PurePosixPath")),
        *(f"datetime.{name}" for name in ("datetime", "date", "timedelta")),
    )
)
"""Names that stand for plain data."""

REBUILT: Final = "torch._utils._rebuild_"
"""Begins the names of what makes tensors."""
UNINITIALIZED: Final = "torch.nn.parameter.Uninitialized"
"""Begins the names of parameters that have no values yet."""


def is_known(full: str) -> bool:
    """Whether a name stands for a part of a tensor, or for plain data."""
    home, _, name = full.rpartition(".")
    return (
        full in _PLAIN
        or full.startswith((REBUILT, UNINITIALIZED, NESTED))
        or full == "torch._tensor._rebuild_from_type_v2"
        or (home in ("torch", "torch.cuda") and name.removesuffix("Storage") in _STORAGES)
        or full in _TYPES
    )


def storage_type(full: str) -> tuple[torch.dtype | None, str]:
    """The type of a storage's values and its name; no type where it holds bytes.

    Raises:
        KeyError: torch has no such storage.
    """
    if full == "torch.storage.UntypedStorage":
        return None, "bytes"
    dtype = _STORAGES[full.rpartition(".")[2].removesuffix("Storage")]
    return dtype, str(dtype).removeprefix("torch.")
