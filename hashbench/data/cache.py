"""The cache of decoded images: each distinct image of a data set once, on the disk, memory-mapped.

A folder per data set, transform and place holds the pixels (`pixels-CONTENT.npy`) and `index.npz`,
which is written last and says what the pixels were made from. Writes in the cache's folder alone,
never among the data.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashbench.atomic import write_file
from hashbench.data.decode import FileImage, read_image
from hashbench.data.pixels import IndexedPixels, PixelWriter, open_pixels
from hashbench.data.stamps import Stamps
from hashbench.data.transform import Transform
from hashbench.errors import StoreError

FORMAT = 1
"""Raised when what is cached means something else; older entries are then made anew."""

VARIABLE = "HASHBENCH_CACHE"
INDEX, LOCK = "index.npz", "lock"
_Digests = NDArray[np.uint8]
Progress = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class ImageFiles:
    """What is decoded.

    Attributes:
        root: the data folder, resolved.
        paths: of the distinct images, relative to it.
        transform: how to make pixels of them.
        wide: keep the squares that random crops are cut from, too.
    """

    root: Path
    paths: tuple[str, ...]
    transform: Transform
    wide: bool = False

    @property
    def key(self) -> str:
        """Names the cache entry. Not made of times, nor of versions of a decoder."""
        paths = hashlib.sha256("\n".join(self.paths).encode()).hexdigest()
        made_of = [FORMAT, str(self.root), paths, str(self.transform), self.wide]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()


@dataclass(frozen=True)
class DecodedImages:
    """Decoded images of a folder.

    Attributes:
        pixels: the file of the cropped images, a row for each distinct one.
        wide: the file of the uncropped squares; None where not asked for.
        digests: uint8 (N, 32), the SHA-256 of each file's bytes; zeros for one that is missing.
        faults: why an image has no pixels, by its row.
        stamps: int64 (N, 3), of the files when they were read.
    """

    pixels: Path
    wide: Path | None
    digests: _Digests
    faults: dict[int, str]
    stamps: NDArray[np.int64]

    def images(self, rows: NDArray[np.int64]) -> IndexedPixels:
        """The images of these rows."""
        return IndexedPixels(self.pixels, rows)

    def wide_images(self, rows: NDArray[np.int64]) -> IndexedPixels | None:
        """Their squares before the crop."""
        return None if self.wide is None else IndexedPixels(self.wide, rows)

    def content(self, rows: NDArray[np.int64], transform: Transform) -> str:
        """SHA-256 of what these images are made from: files' bytes, their order, the transform."""
        digest = hashlib.sha256(f"hashbench images {FORMAT} {transform}".encode())
        digest.update(np.ascontiguousarray(self.digests[rows]).data)
        return digest.hexdigest()


def cache_folder() -> Path:
    """Where decoded data lies: $HASHBENCH_CACHE, or hashbench in $XDG_CACHE_HOME or ~/.cache."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hashbench"


def decoded_images(
    files: ImageFiles, stamps: Stamps, progress: Progress = no_progress
) -> DecodedImages:
    """The decoded images, from the cache as far as the files are the same as when it was filled.

    Files whose stamps differ are read again; those whose content differs are decoded again. A file
    that cannot be used is kept with its fault, so that one repaired image costs one decoding.

    Args:
        files: which.
        stamps: their state now.
        progress: told (done, total), in files that are read.

    Raises:
        StoreError: the cache's folder cannot be written, or its disk is full.
    """
    folder = cache_folder() / "images" / files.key
    found = _read_index(folder, files)
    if found is not None and np.array_equal(found.stamps, stamps.values):
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder) as alone:
            found = _read_index(folder, files)  # another process may have been at it
            if found is not None and np.array_equal(found.stamps, stamps.values):
                return found
            made = _update(folder, files, stamps, found, progress)
            if alone:
                _sweep(folder, made)
            return made
    except OSError as error:
        raise StoreError(
            f"{folder}: the decoded images cannot be stored ({error.strerror or error}); name "
            f"another folder with the environment variable {VARIABLE}"
        ) from None


def _update(
    folder: Path,
    files: ImageFiles,
    stamps: Stamps,
    found: DecodedImages | None,
    progress: Progress,
) -> DecodedImages:
    count = len(files.paths)
    if found is None:
        stale = np.arange(count)
        digests, faults = np.zeros((count, 32), np.uint8), {}
    else:
        stale = np.flatnonzero((found.stamps != stamps.values).any(axis=1))
        digests, faults = found.digests.copy(), dict(found.faults)
    sides = [files.transform.crop] + [files.transform.resize] * files.wide
    target = _Target(folder, count, sides, found)
    try:
        target.need_room(int((stamps.values[stale, 0] >= 0).sum()))
        progress(0, len(stale))
        for done, (row, image) in enumerate(_read_all(files, stale, stamps, found), start=1):
            if image.fault:
                faults[row] = image.fault
            elif image.pixels is not None:
                faults.pop(row, None)
                target.write(row, image.pixels, image.wide)
            digests[row] = np.frombuffer(image.digest, np.uint8)
            progress(done, len(stale))
        paths = target.finish(hashlib.sha256(digests.data).hexdigest()[:16])
    except BaseException:
        target.abandon()
        raise
    made = DecodedImages(paths[0], paths[1] if files.wide else None, digests, faults, stamps.values)
    write_file(folder / INDEX, _packed(made, files))
    return made


class _Target:
    """The pixel files to be: begun at the first image, since often nothing but a time changed."""

    def __init__(
        self, folder: Path, count: int, sides: Sequence[int], found: DecodedImages | None
    ) -> None:
        self._folder, self._count, self._sides = folder, count, sides
        before = [] if found is None else [found.pixels, found.wide]
        self._before = [path for path in before if path is not None and path.exists()]
        self._writers: list[PixelWriter] = []

    def need_room(self, images: int) -> None:
        """Refuse to begin what cannot be ended: decoding may take hours."""
        needed = images * sum(3 * side * side for side in self._sides)
        free = shutil.disk_usage(self._folder).free
        if needed > free:
            raise OSError(0, f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")

    def write(self, row: int, *images: NDArray[np.uint8] | None) -> None:
        if not self._writers:
            self._begin()
        for writer, image in zip(self._writers, images, strict=False):
            if image is not None:
                writer.write(row, image)

    def finish(self, name: str) -> list[Path]:
        """Give the files the name of their content; without a change they are those of before.

        Where not one image could be decoded there are no files, and nobody asks for them.
        """
        if not self._writers and self._before:
            return self._before
        ends = ("pixels", "wide")
        paths = [self._folder / f"{end}-{name}.npy" for end in ends[: len(self._sides)]]
        for writer, path in zip(self._writers, paths, strict=False):
            writer.finish(path)
        return paths

    def abandon(self) -> None:
        for writer in self._writers:
            writer.abandon()

    def _begin(self) -> None:
        for place, side in enumerate(self._sides):
            like = self._before[place] if self._before else None
            shape = (self._count, 3, side, side)
            self._writers.append(PixelWriter(self._folder, shape, like))


def _read_all(
    files: ImageFiles, rows: NDArray[np.int64], stamps: Stamps, found: DecodedImages | None
) -> Iterator[tuple[int, FileImage]]:
    """Read files in threads (decoders let go of the lock), give them back in order."""
    workers = cores()

    def read(row: int) -> FileImage:
        if row in stamps.faults:
            return FileImage(bytes(32), fault=stamps.faults[row])
        known = b"" if found is None or row in found.faults else found.digests[row].tobytes()
        path = files.root / files.paths[row]
        return read_image(path, files.transform, wide=files.wide, known=known)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="hashbench-decode")
    try:
        ahead = iter(rows.tolist())
        # A few at a time: decoded images wait in memory, and an interrupt waits for those begun.
        waiting: list[tuple[int, Future[FileImage]]] = []
        for row in islice(ahead, 4 * workers):
            waiting.append((row, pool.submit(read, row)))
        while waiting:
            row, future = waiting.pop(0)
            yield row, future.result()
            for following in islice(ahead, 1):
                waiting.append((following, pool.submit(read, following)))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def cores() -> int:
    """Cores that this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _packed(made: DecodedImages, files: ImageFiles) -> bytes:
    card = {
        "format": FORMAT,
        "root": str(files.root),
        "transform": str(files.transform),
        "pixels": made.pixels.name,
        "wide": None if made.wide is None else made.wide.name,
        "faults": {str(row): fault for row, fault in made.faults.items()},
    }
    content = io.BytesIO()
    np.savez(
        content,
        card=np.array(json.dumps(card)),
        paths=np.frombuffer("\n".join(files.paths).encode(), np.uint8),
        stamps=made.stamps,
        digests=made.digests,
    )
    return content.getvalue()


def _read_index(folder: Path, files: ImageFiles) -> DecodedImages | None:
    """What the cache holds; None where that is nothing, or is not whole."""
    try:
        with np.load(folder / INDEX, allow_pickle=False) as arrays:
            card = json.loads(str(arrays["card"]))
            stamps, digests = arrays["stamps"], arrays["digests"]
        count = len(files.paths)
        if card["format"] != FORMAT or stamps.shape != (count, 3) or digests.shape != (count, 32):
            return None
        faults = {int(row): str(fault) for row, fault in card["faults"].items()}
        sides = {"pixels": files.transform.crop}
        if files.wide:
            sides["wide"] = files.transform.resize
        paths = {name: folder / card[name] for name in sides}
        for name, side in sides.items():
            pixels = open_pixels(paths[name])
            whole = pixels is not None and pixels.shape == (count, 3, side, side)
            if not whole and len(faults) < count:
                return None
    except Exception:  # a damaged archive raises a dozen kinds, and then there is no index
        return None
    return DecodedImages(paths["pixels"], paths.get("wide"), digests, faults, stamps)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Wait until no other process fills this entry; false where the file system has no locks.

    Without one two processes decode the same, each under names of its own: twice the work, no harm.
    """
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            yield False
            return
        yield True
    finally:
        os.close(handle)


def _sweep(folder: Path, kept: DecodedImages) -> None:
    """Delete what interrupted processes left, and pixels that no index names any more."""
    keep = {folder / INDEX, folder / LOCK, kept.pixels, kept.wide}
    for path in folder.iterdir():
        if path not in keep:
            with contextlib.suppress(OSError):
                path.unlink()
