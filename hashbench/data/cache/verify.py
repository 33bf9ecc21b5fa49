"""Compares cached pixel files with their checksums; deletes those that are damaged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hashbench.data.cache.entries import entry_folder
from hashbench.data.cache.folder import storing
from hashbench.data.cache.index import ImageFiles, read_index
from hashbench.data.cache.pixel_file import file_sha256
from hashbench.progress import Progress, no_progress


@dataclass(frozen=True)
class CacheCheck:
    """The result of verifying a cache entry.

    Attributes:
        sound: how many pixel files are unchanged; 0 where nothing is cached.
        damaged: the changed ones, which were deleted, so that they are made anew when needed.
        wide: whether the entry had squares.
    """

    sound: int
    damaged: tuple[Path, ...]
    wide: bool


def verify_cache(files: ImageFiles, progress: Progress = no_progress) -> CacheCheck:
    """Read every cached pixel of these images, crops and squares.

    Args:
        files: the image files.
        progress: told (done, total), in images, for each pixel file from the start.

    Raises:
        StoreError: a damaged file cannot be deleted.
    """
    folder = entry_folder(files)
    found = read_index(folder, files)
    if found is None:
        return CacheCheck(0, (), False)
    sound, damaged = 0, []
    for file in (found.pixels, found.wide):
        if file is None or not file.sha256:
            continue
        try:
            same = file_sha256(file.path, progress, len(files.paths)) == file.sha256
        except FileNotFoundError:  # another process has put a newer one in its place
            continue
        except OSError:  # such as a disk that no longer gives back what it was given
            same = False
        sound += same
        if not same:
            with storing(folder, "decoded images"):
                file.path.unlink(missing_ok=True)
            damaged.append(file.path)
    return CacheCheck(sound, tuple(damaged), found.wide is not None)
