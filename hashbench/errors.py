"""The errors that hashbench raises on purpose. Everything else is a bug and keeps its traceback."""

from __future__ import annotations

import errno
from pathlib import Path

from typing_extensions import override


class HashbenchError(Exception):
    """Base of all errors whose message is written for the person who runs the benchmark."""


class UsageError(HashbenchError, ValueError):
    """Something that was asked for is wrong: a name, a parameter, a path, a file.

    The command line prints the message alone and exits with code 2.
    """


class MissingDataError(UsageError):
    """The files of a data set are not there, or nobody has said where."""


class DownloadError(HashbenchError):
    """A file could not be fetched, or is not the one that was meant; nothing of it is kept."""


class FileError(HashbenchError, ValueError):
    """A file cannot be taken for what it should be; the message does not name it, a caller does."""


class PickledObjectError(FileError):
    """A file holds a pickled object: reading that could run any code."""


class UntrustedPickleError(UsageError):
    """A file is refused for a pickled object alone; who trusts it may say so."""


class PluginError(HashbenchError):
    """A plugin broke a rule of its contract: its cell fails, the others go on."""


class TrainingError(HashbenchError):
    """Training did not end in a usable model: its cells fail, the others go on."""


class MemoryRanOutError(HashbenchError):
    """Memory ran out where less at a time would be another result: its cells fail."""


class ProcessesError(HashbenchError):
    """The processes that train one model have lost each other; what they had written is kept."""


class StepFailedError(HashbenchError):
    """A model could not be trained by several processes; says which one and why."""


class ModelError(HashbenchError):
    """A model is not what its card says: its cells fail, the others go on."""


class UncertifiableError(HashbenchError):
    """Nothing can be proven of a model; the message names why. Its row has no certificate."""


class StoreError(HashbenchError):
    """A stored artifact is missing, damaged, or written by a newer hashbench."""


class ResultsWarning(UserWarning):
    """A part of some results cannot be read; the rest is. The message names the file."""


def without_number(error: BaseException) -> str:
    """What an error says; what the system says as its file and its reason, without its number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


NO_ROOM = frozenset(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EROFS") if hasattr(errno, name)
)
"""Error numbers of a disk, or a share of it, on which nothing more can be written."""


NO_LOCKS = frozenset((errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP))
"""Error numbers of a file system without locks."""


class WriteError(HashbenchError, OSError):
    """A file cannot be written. The message names it, never a temporary that stands for it."""

    def __init__(self, path: Path, error: OSError) -> None:
        """Say so.

        Args:
            path: what was to be written.
            error: what the system said.
        """
        super().__init__(error.errno, error.strerror or str(error), str(path))

    @override
    def __str__(self) -> str:
        """One clause: the file, and why not."""
        return f"{self.filename}: cannot be written ({self.strerror})"

    @property
    def no_room(self) -> bool:
        """Whether nothing else can be written there either."""
        return self.errno in NO_ROOM


class NoRoomError(HashbenchError):
    """The run has ended: its results cannot be written for lack of space, so no more are made."""

    @classmethod
    def of(cls, error: WriteError) -> NoRoomError:
        """What a run says of the file that there was no room for."""
        return cls(
            f"{error}, so the run has ended; what is done is kept: make room, and the same "
            "command goes on from there"
        )
