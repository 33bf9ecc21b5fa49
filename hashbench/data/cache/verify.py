"""Whether cached pixels are the bytes that were written. Deletes a file that is not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hashbench.data.cache.entries import entry_folder, storing
from hashbench.data.cache.index import ImageFiles, read_index
from hashbench.data.cache.pixel_file import file_sha256
from hashbench.progress import Progress, no_progress


@dataclass(frozen=True)
class CacheCheck:
    """What was found of a cache entry.

    Attributes:
        sound: how many pixel files are as they were written; 0 where nothing is cached.
        damaged: those that were not; they are deleted, so that whoever needs them decodes anew.
        wide: the entry had squares.
    """

    sound: int
    damaged: tuple[Path, ...]
    wide: bool


def verify_cache(files: ImageFiles, progress: Progress = no_progress) -> CacheCheck:
    """Read every cached pixel of these images, whether the crops or the squares.

    Args:
        files: which.
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
