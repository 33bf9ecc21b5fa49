"""Where the cache of decoded data lies, and what is said when it cannot lie there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hashbench.errors import StoreError

VARIABLE: Final = "HASHBENCH_CACHE"
"""The environment variable that names the folder."""

_BASE: Final = "XDG_CACHE_HOME"


def cache_folder() -> Path:
    """Where decoded data lies: $HASHBENCH_CACHE, or hashbench in $XDG_CACHE_HOME or ~/.cache.

    An empty variable counts as none. A temporary folder is no substitute where there is no home:
    what lies in one can be put there by others.

    Raises:
        StoreError: there is no such folder, since this user has no home; says what to do.
    """
    if chosen := os.environ.get(VARIABLE):
        return _expanded(Path(chosen), VARIABLE)
    if base := os.environ.get(_BASE):
        return _expanded(Path(base), _BASE) / "hashbench"
    return _home() / ".cache" / "hashbench"


@contextlib.contextmanager
def storing(folder: Path, what: str) -> Iterator[None]:
    """Turn an error of writing the cache into one sentence."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{folder}: the {what} cannot be stored ({error.strerror or error}); name another "
            f"folder with the environment variable {VARIABLE}"
        ) from None


def _expanded(path: Path, variable: str) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # what pathlib says of `~` without a home, and of `~nobody`
        raise StoreError(
            f"{variable} is {path}, but that user has no home folder here; name a folder for "
            f"decoded images with the environment variable {VARIABLE}"
        ) from None


def _home() -> Path:
    """The home folder.

    An empty HOME, which Python takes for the root of the file system, is none.
    """
    with contextlib.suppress(RuntimeError):
        if os.environ.get("HOME") != "":
            return Path.home()
    raise StoreError(
        "no folder for decoded images is known, since HOME is not set and this user has no home "
        f"folder; name one with the environment variable {VARIABLE}"
    )
