"""Images in a file on the disk, read part by part, and the one writer of such files.

The file is a plain `.npy` of uint8 (N, 3, H, W): `numpy.load(path, mmap_mode="r")` reads it too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from hashbench.errors import StoreError
from hashbench.progress import Progress, no_progress

_Bytes = NDArray[np.uint8]
_BLOCK = 1 << 22


@dataclass(frozen=True)
class PixelFile:
    """A file of decoded images, one row for each distinct image.

    Attributes:
        path: the `.npy`; there is none where no image could be decoded.
        sha256: of the whole file as it was written; empty where there is none.
    """

    path: Path
    sha256: str

    def select(self, rows: NDArray[np.int64]) -> IndexedPixels:
        """The images of these rows, in this order; nothing is read yet."""
        return IndexedPixels(self.path, rows)


class IndexedPixels:
    """Selected rows of a pixel file, in a given order; rows may repeat.

    The file is mapped when its pixels are first asked for. A pickle holds the path and the rows, no
    pixels.

    Attributes:
        path: the `.npy` file.
        index: int64 (N,), the file's row of each image.
    """

    def __init__(self, path: Path, index: NDArray[np.int64]) -> None:
        self.path = path
        self.index = index
        self._file: _Bytes | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, 3, H, W)."""
        return (len(self.index), *self._opened().shape[1:])

    @property
    def ndim(self) -> int:
        """4."""
        return 4

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""
        return self._opened().dtype

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: slice | NDArray[np.int64]) -> _Bytes:
        """The images of a slice, or of an array of positions, in its order; a copy."""
        return self._opened()[self.index[index]]

    @override
    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "index": self.index, "_file": None}

    def _opened(self) -> _Bytes:
        if self._file is None:
            file = open_pixels(self.path)
            if file is None:
                raise StoreError(
                    f"{self.path}: the decoded images are gone or damaged; the data folder changed "
                    "or the cache was emptied while they were in use: run again"
                )
            self._file = file.view(np.ndarray)  # what is cut from a memmap is one, needlessly
        return self._file


def open_pixels(path: Path) -> np.memmap[Any, np.dtype[np.uint8]] | None:
    """The file as a read-only memory map; None where it is missing, damaged or of another kind."""
    try:
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    # An .npz would be another class; a longer file than its header states was not written here.
    if not isinstance(pixels, np.memmap) or pixels.dtype != np.uint8 or pixels.ndim != 4:
        return None
    if path.stat().st_size != pixels.offset + pixels.nbytes:
        return None
    return pixels


def file_sha256(path: Path, progress: Progress = no_progress, images: int = 0) -> str:
    """SHA-256 of a whole file, about a second per gigabyte.

    Args:
        path: of pixels.
        progress: told (done, total), in images.
        images: how many there are in the file.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size, done = os.fstat(file.fileno()).st_size, 0
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            progress(images * done // max(size, done), images)
    return digest.hexdigest()


class PixelWriter:
    """Writes images one by one under a temporary name; the file appears whole or not at all.

    It does not write through a memory map, since a full disk would then kill the process.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], like: Path | None = None) -> None:
        """Make the temporary file.

        Args:
            folder: where.
            shape: (N, 3, H, W) of the whole file.
            like: a file of that shape to start from; all zeros otherwise.

        Raises:
            OSError: the folder cannot be written, or the disk is full.
        """
        self._temporary = folder / f".pixels.{secrets.token_hex(4)}.tmp"
        self._size = int(np.prod(shape[1:]))
        try:
            if like is None:
                empty: Any = np.lib.format.open_memmap(
                    self._temporary, mode="w+", dtype=np.uint8, shape=shape
                )
                self._offset = int(empty.offset)
                del empty
            else:
                shutil.copyfile(like, self._temporary)
                self._offset = like.stat().st_size - int(np.prod(shape))
            self._handle = os.open(self._temporary, os.O_WRONLY)
        except BaseException:
            self._temporary.unlink(missing_ok=True)
            raise

    def write(self, row: int, image: _Bytes) -> None:
        """Put an image in its row.

        Raises:
            OSError: the disk is full.
        """
        view = memoryview(image.tobytes())
        at = self._offset + row * self._size
        while view:
            written = os.pwrite(self._handle, view, at)
            view, at = view[written:], at + written

    def finish(self, path: Path) -> None:
        """Sync the file and give it its name."""
        os.fsync(self._handle)
        os.close(self._handle)
        self._temporary.replace(path)

    def abandon(self) -> None:
        """Delete what was written."""
        with contextlib.suppress(OSError):
            os.close(self._handle)
        self._temporary.unlink(missing_ok=True)
