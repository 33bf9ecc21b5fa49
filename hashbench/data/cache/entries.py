"""The cache of decoded images: each distinct image of a data set once, on the disk, memory-mapped.

A folder per data set, transform and place holds the pixels (`pixels-CONTENT.npy`, and
`wide-CONTENT.npy` once it is asked for) and `index.npz`, which is written last and states what they
were made from. Writes only in the cache's folder, never among the data.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from hashbench.data.cache.decode import BrokenImageError, FileImage, image_of, read_image
from hashbench.data.cache.folder import cache_folder, storing
from hashbench.data.cache.index import (
    INDEX,
    DecodedImages,
    ImageFiles,
    read_index,
    write_index,
)
from hashbench.data.cache.pixel_file import PixelFile, PixelWriter, file_sha256
from hashbench.data.cache.stamps import Stamps, stamp_files
from hashbench.data.sources import local_name
from hashbench.errors import NO_LOCKS
from hashbench.progress import Progress, no_progress

LOCK = "lock"


def entry_folder(files: ImageFiles) -> Path:
    """Where the pixels of these images lie."""
    return cache_folder() / "images" / files.key


class BrokenFilesError(Exception):
    """Files are missing or cannot be decoded, and all of them are needed.

    Attributes:
        faults: what is wrong, by the file's position; only missing files if nothing was decoded.
    """

    def __init__(self, faults: dict[int, str]) -> None:
        super().__init__(f"{len(faults):,} files cannot be used")
        self.faults = faults


def decoded_images(
    files: ImageFiles, progress: Progress = no_progress, *, need_all: bool = False
) -> DecodedImages:
    """The decoded images; what the cache has of unchanged files is not decoded again.

    Files whose stamps differ are read again; those whose content differs are decoded again. A file
    that cannot be used is kept with its fault, so that one repaired image costs one decoding. Where
    the cache has only the crops and the squares are asked for too, all files are decoded once more,
    and the crops stay as they are.

    Args:
        files: the image files.
        progress: told (done, total), in files that are read.
        need_all: raise an error if any file is broken; for a missing one before decoding begins.

    Raises:
        OutsideFolderError: a link leads a file out of the folder.
        BrokenFilesError: `need_all` is set, and a file cannot be used.
        StoreError: the cache's folder cannot be written, or its disk is full.
    """
    stamps = _stamps(files)
    if need_all and stamps.faults:  # before hours of decoding
        raise BrokenFilesError(stamps.faults)
    wanted = _Wanted(entry_folder(files), files, stamps)
    found = wanted.stored()
    if found is None:
        with storing(wanted.folder, "decoded images"):
            found = _renewed(wanted, progress)
    if need_all and found.faults:
        raise BrokenFilesError(found.faults)
    return found if files.wide else replace(found, wide=None)


def _stamps(files: ImageFiles) -> Stamps:
    packed = files.packed
    paths = files.paths if packed is None else [packed.file_of(path) for path in files.paths]
    return stamp_files(files.root, paths, files.links)


@dataclass(frozen=True)
class _Wanted:
    """What an entry has to hold: these files in this state."""

    folder: Path
    files: ImageFiles
    stamps: Stamps

    def stored(self) -> DecodedImages | None:
        """The entry's images, if they are complete and up to date."""
        found = read_index(self.folder, self.files)
        if found is None or (found.wide is None and self.files.wide):
            return None
        return found if np.array_equal(found.stamps, self.stamps.values) else None


def _renewed(wanted: _Wanted, progress: Progress) -> DecodedImages:
    folder, files = wanted.folder, wanted.files
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder) as alone:
        if (stored := wanted.stored()) is not None:
            return stored  # another process has been at it
        found = read_index(folder, files)
        if found is not None and found.wide is not None:
            # Nobody's squares are left behind.
            wanted = replace(wanted, files=replace(files, wide=True))
        try:
            made = _update(wanted, found, progress)
        except _DamagedError:
            made = _update(wanted, None, progress)
        if alone:
            _sweep(folder, made)
        return made


def _update(wanted: _Wanted, found: DecodedImages | None, progress: Progress) -> DecodedImages:
    folder, files, stamps = wanted.folder, wanted.files, wanted.stamps
    count = len(files.paths)
    stale = np.ones(count, np.bool_)
    digests, faults = np.zeros((count, 32), np.uint8), dict[int, str]()
    pixels, wide = None, None
    known: dict[int, bytes] = {}
    if found is not None:
        stale = (found.stamps != stamps.values).any(axis=1)
        digests, faults = found.digests.copy(), dict(found.faults)
        pixels, wide = found.pixels, found.wide
        # Digests of the files whose pixels are there.
        known = {row: digests[row].tobytes() for row in range(count) if row not in faults}
    widen = files.wide and wide is None
    rows = np.flatnonzero(stale | (widen & ~np.isin(np.arange(count), list(faults))))
    crops = _NewPixels(folder, "pixels", count, files.transform.crop, pixels)
    squares = _NewPixels(folder, "wide", count, files.transform.resize, wide)
    try:
        there = stamps.values[:, 0] >= 0
        _need_room(
            folder,
            crops.size * int((there & stale).sum())
            + files.wide * squares.size * int(there[rows].sum()),
        )
        progress(0, len(rows))
        images = _read_all(wanted, rows, {} if widen else known)
        for done, (row, image) in enumerate(images, start=1):
            if image.fault:
                faults[row] = image.fault
            elif image.pixels is not None:
                faults.pop(row, None)
                if image.digest != known.get(row):
                    crops.write(row, image.pixels)
                if image.wide is not None:
                    squares.write(row, image.wide)
            digests[row] = np.frombuffer(image.digest, np.uint8)
            progress(done, len(rows))
        name = hashlib.sha256(digests.data).hexdigest()[:16]
        pixels, wide = crops.finish(name), squares.finish(name) if files.wide else None
    except BaseException:
        crops.abandon()
        squares.abandon()
        raise
    made = DecodedImages(pixels, wide, digests, faults, stamps.values, files.transform)
    write_index(folder, made, files)
    return made


def _need_room(folder: Path, needed: int) -> None:
    """Check for free space before decoding, which may take hours."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(0, f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")


class _DamagedError(Exception):
    """A pixel file that a new one would start from has other bytes than were written."""


class _NewPixels:
    """A new pixel file, begun at its first image: often only a file's time has changed."""

    def __init__(
        self, folder: Path, kind: str, count: int, side: int, before: PixelFile | None
    ) -> None:
        self.size = 3 * side * side
        self._folder, self._kind = folder, kind
        self._shape = (count, 3, side, side)
        self._before = before
        self._writer: PixelWriter | None = None

    def write(self, row: int, image: NDArray[np.uint8]) -> None:
        if self._writer is None:
            self._writer = self._begin()
        self._writer.write(row, image)

    def finish(self, name: str) -> PixelFile:
        """Name the file after its content; without a new image it stays the old file.

        If no image could be decoded, there is no file.
        """
        path = self._folder / f"{self._kind}-{name}.npy"
        if self._writer is None:
            return self._before or PixelFile(path, "")
        self._writer.finish(path)
        self._writer = None
        return PixelFile(path, file_sha256(path))

    def abandon(self) -> None:
        if self._writer is not None:
            self._writer.abandon()

    def _begin(self) -> PixelWriter:
        before = self._before
        if before is None or not before.sha256:
            return PixelWriter(self._folder, self._shape)
        # Otherwise damage would be copied and get a valid checksum.
        if file_sha256(before.path) != before.sha256:
            raise _DamagedError
        return PixelWriter(self._folder, self._shape, before.path)


def _read_all(
    wanted: _Wanted, rows: NDArray[np.int64], known: dict[int, bytes]
) -> Iterator[tuple[int, FileImage]]:
    """Read files in threads (decoders let go of the lock), give them back in order."""
    files, faults = wanted.files, wanted.stamps.faults
    workers = cores()

    def read(row: int) -> FileImage:
        if files.packed is not None:
            try:
                content = files.packed.read(files.paths[row])
            except BrokenImageError as error:
                return FileImage(bytes(32), fault=str(error))
            seen = known.get(row, b"")
            return image_of(content, files.transform, wide=files.wide, known=seen)
        path = files.root / local_name(files.paths[row])
        return read_image(path, files.transform, wide=files.wide, known=known.get(row, b""))

    pool = ThreadPoolExecutor(workers, thread_name_prefix="hashbench-decode")
    try:
        ahead = iter(rows.tolist())
        # A few at a time: decoded images wait in memory, and an interrupt waits for those begun.
        waiting: deque[tuple[int, Future[FileImage] | None]] = deque()

        def begin(count: int) -> None:
            for row in islice(ahead, count):
                waiting.append((row, None if row in faults else pool.submit(read, row)))

        begin(4 * workers)
        while waiting:
            row, future = waiting.popleft()
            yield (
                row,
                FileImage(bytes(32), fault=faults[row]) if future is None else future.result(),
            )
            begin(1)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def cores() -> int:
    """Cores that this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Wait until no other process fills this entry; yields false on a file system without locks.

    Without a lock two processes may decode the same files, each into files of its own: twice the
    work, but no harm.

    Raises:
        OSError: the entry is a link, so that what is swept could lie anywhere; or it cannot be
            written to.
    """
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "it is a link, expected a folder")
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire()
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _sweep(folder: Path, kept: DecodedImages) -> None:
    """Delete what interrupted processes left, and pixels that no index names any more."""
    files = [kept.pixels] if kept.wide is None else [kept.pixels, kept.wide]
    keep = {folder / INDEX, folder / LOCK, *(file.path for file in files)}
    for path in folder.iterdir():
        if path not in keep:
            with contextlib.suppress(OSError):
                path.unlink()
