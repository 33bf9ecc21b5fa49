"""The errors that hashbench raises on purpose. Everything else is a bug and keeps its traceback."""

from __future__ import annotations


class HashbenchError(Exception):
    """Base of all errors whose message is written for the person who runs the benchmark."""


class UsageError(HashbenchError, ValueError):
    """Something that was asked for is wrong: a name, a parameter, a path, a file.

    The command line prints the message alone and exits with code 2.
    """


class FileError(HashbenchError, ValueError):
    """A file cannot be taken for what it should be; the message does not name it, a caller does."""


class PluginError(HashbenchError):
    """A plugin broke a rule of its contract: its cell fails, the others go on."""


class TrainingError(HashbenchError):
    """Training did not end in a usable model: its cells fail, the others go on."""


class ModelError(HashbenchError):
    """A model is not what its card says: its cells fail, the others go on."""


class StoreError(HashbenchError):
    """A stored artifact is missing, damaged, or written by a newer hashbench."""
