"""The counting loop as machine code, where the optional package numba is installed.

The counts are those of `kernel.count_keys`.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hashbench.errors import UsageError
from hashbench.retrieval.harmonic import Ints
from hashbench.retrieval.kernel import count_keys, tiles
from hashbench.retrieval.masks import bit_rows
from hashbench.retrieval.options import Kernel
from hashbench.retrieval.packing import Bytes
from hashbench.retrieval.queries import Queries

# Pairs that the compiled loop must save a third of a nanosecond each on to win back its compile
# time.
_WORTH_COMPILING: Final = 1 << 32
_LOOP: Final = "hashbench.retrieval.machine"
_ALL_ONES: Final = np.uint64(0xFFFFFFFFFFFFFFFF)


def counter(kernel: Kernel, pairs: int) -> Callable[[Queries, Bytes, Bytes, Ints], None]:
    """The function that does what `kernel.count_keys` says, for so many pairs.

    What this process has compiled once is used from then on for any number.

    Raises UsageError for ``COMPILED`` where numba is not installed.
    """
    if kernel is Kernel.NUMPY:
        return count_keys
    if kernel is Kernel.AUTO and pairs < _WORTH_COMPILING and not _is_compiled():
        return count_keys
    if importlib.util.find_spec("numba") is not None:
        return count_keys_compiled
    if kernel is Kernel.AUTO:
        return count_keys
    raise UsageError(
        "kernel: 'compiled' needs the package numba; install hashbench[fast], or use 'numpy'"
    )


def count_keys_compiled(queries: Queries, codes: Bytes, labels: Bytes, out: Ints) -> None:
    """As `kernel.count_keys`."""
    machine: Any = importlib.import_module(_LOOP)
    turned = _turned(queries)
    members = [group.members for group in queries.groups]
    classes = [group.classes for group in queries.groups]
    for tile in tiles(queries, codes.shape[0]):
        items = tile.stop - tile.start
        # An odd number of vectors: rows that lie a power of two apart would share cache lines.
        vectors = -(-items // (64 * machine.LANES)) | 1
        width = 8 * machine.LANES * vectors
        machine.count(
            _word_rows(codes[tile], list(range(queries.bits)), turned.shape[1], width),
            _word_rows(labels[tile], queries.used_classes.tolist(), 1, width),
            width // 8,
            turned,
            *_joined(members),
            *_joined(classes),
            queries.bits,
            out,
        )
        # Spare items have the code without a set bit, and no class.
        spare = np.int64(8 * width - items)
        asked = np.concatenate(members)
        out[asked, np.bitwise_count(queries.packed[asked]).sum(axis=1, dtype=np.int64)] -= spare


def _is_compiled() -> bool:
    loaded = sys.modules.get(_LOOP)
    return loaded is not None and bool(loaded.count.signatures)


def _turned(queries: Queries) -> npt.NDArray[np.uint64]:
    """The queries' bits as whole words, ``(Q, 8 * ceil(K / 8))`` of 0 and all ones."""
    bits = np.unpackbits(queries.packed, axis=1, bitorder="little")
    return bits.astype(np.uint64) * _ALL_ONES


def _word_rows(packed: Bytes, values: list[int], least: int, width: int) -> npt.NDArray[np.uint64]:
    """Rows of bits as `bit_rows` makes them, behind each other, and empty ones up to ``least``."""
    rows = np.zeros((max(least, len(values)), width), dtype=np.uint8)
    rows[: len(values)] = bit_rows(packed, values, width=width)
    return rows.view(np.uint64).reshape(-1)


def _joined(parts: list[Ints]) -> tuple[Ints, Ints]:
    """All values in a row, and where each part begins, and the end."""
    edges = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum([part.size for part in parts], out=edges[1:])
    return np.concatenate(parts), edges
