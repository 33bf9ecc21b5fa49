"""The bytes of a file of weights as tensors: nothing is read before a value is looked at."""

from __future__ import annotations

import mmap
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from hashbench.errors import FileError
from hashbench.files import opened
from hashbench.hashing.weights.sorts import LOOKED_AT
from hashbench.hashing.weights.stored import StoredTensor


class WeightFile:
    """An open file of weights; a context manager. Tensors that it gave stay when it is closed.

    Attributes:
        file: at any place.
        size: in bytes.
        head: its first `LOOKED_AT` bytes.
    """

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            FileError: it is no regular file.
            OSError: it is not there, or cannot be read.
        """
        self.file = opened(path)
        try:
            self.head = self.file.read(LOOKED_AT)
            self.size = self.file.seek(0, 2)
        except OSError:
            self.file.close()
            raise
        self._bytes: Tensor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.file.close()

    def tensor(self, stored: StoredTensor) -> Tensor:
        """A tensor of the file, whose values are read where they are asked for.

        Changing it does not change the file.

        Raises:
            FileError: it lies beyond the end.
        """
        if not stored.count:
            return torch.empty(stored.shape, dtype=stored.dtype)
        if stored.begin + stored.size > self.size:
            raise FileError("it is cut off")
        if self._bytes is None:
            try:
                private = mmap.mmap(self.file.fileno(), self.size, access=mmap.ACCESS_COPY)
            except ValueError:  # it has become shorter
                raise FileError("it is cut off") from None
            self._bytes = torch.frombuffer(private, dtype=torch.uint8)
        width = stored.dtype.itemsize
        values = self._bytes[stored.begin : stored.begin + stored.stored * width]
        if stored.begin % width:
            values = values.clone()  # a processor may refuse a number across its own bounds
        values = values.view(stored.dtype)
        return values.as_strided(
            stored.shape, stored.strides, values.storage_offset() + stored.offset
        )
