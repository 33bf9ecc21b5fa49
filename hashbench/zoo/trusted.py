"""Files that have to be unpickled: the one place that does it, and only where a user says so.

A pickle is a program, and reading it runs it, with all rights of who reads it. Everything else of
hashbench takes pickles apart without running them (`hashbench.hashing.weights.pickled`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from hashbench.characters import first_line
from hashbench.errors import HashbenchError, ModelError, UntrustedPickleError, UsageError
from hashbench.hashing.programs.sorts import program_kind
from hashbench.hashing.state_dict import read_state

OPTION: Final = "--trust-pickle"

UNPICKLED: Final = "unpickled"
"""Of a model's training: that its file was unpickled when it was imported."""

_MAX_DEPTH: Final = 20


@contextmanager
def naming_the_option() -> Iterator[None]:
    """Let the refusal of a pickled object name what reads it all the same."""
    try:
        yield
    except UntrustedPickleError as error:
        raise UsageError(
            f"{error}; or, if you trust whoever made it with all that you can do here, add {OPTION}"
        ) from None


def needs_unpickling(source: Path) -> bool:
    """Whether a file is refused for a pickled object, and for nothing else."""
    if program_kind(source) is not None:
        return False
    try:
        read_state(source)
    except UntrustedPickleError:
        return True
    except UsageError:  # refused for something else, which whoever reads it says
        return False
    return False


@contextmanager
def unpickled(source: Path, warned: Callable[[str], object]) -> Iterator[Path]:
    """A file of plain tensors with what a pickle holds, as long as the block runs.

    Args:
        source: the pickle; whatever code it holds or names is run.
        warned: told of that, before it is.

    Yields:
        The file. Errors that name it are raised with the name of the source.

    Raises:
        UsageError: the pickle cannot be read, or holds no tensors.
    """
    warned(
        f"{source} is unpickled, since {OPTION} says so: whatever code is in it runs now, with all "
        "your rights"
    )
    with tempfile.TemporaryDirectory() as folder:
        # Errors of an import are about a file of this name.
        plain = Path(folder) / "unpickled.pth"
        torch.save(_tensors(_loaded(source), 0), plain)
        try:
            yield plain
        except (UsageError, ModelError) as error:
            told = type(error)(str(error).replace(str(plain), str(source)))
            raise told from error


def _loaded(source: Path) -> Any:
    """What the pickle makes: any object."""
    try:
        return torch.load(source, map_location="cpu", weights_only=False)
    except HashbenchError:
        raise
    except (Exception, SystemExit) as error:  # a pickle may raise anything
        said = f"{type(error).__name__}: {first_line(error)}"
        todo = ""
        if isinstance(error, AttributeError | ImportError):
            todo = "; its classes have to be importable: name their folder in PYTHONPATH"
        raise UsageError(f"weights {source} cannot be unpickled ({said}){todo}") from error


def _tensors(found: Any, depth: int) -> Any:
    """What was unpickled with state dicts in the place of networks, and nothing but plain data.

    Raises:
        UsageError: it is nested too deep.
    """
    if depth > _MAX_DEPTH:
        raise UsageError(f"what was unpickled is nested more than {_MAX_DEPTH} deep")
    if isinstance(found, nn.Module):
        return _tensors(dict(found.state_dict()), depth + 1)
    if isinstance(found, Tensor):
        return found.detach()
    if isinstance(found, Mapping):
        pairs = ((key, _tensors(value, depth + 1)) for key, value in found.items())
        return {key: value for key, value in pairs if isinstance(key, str) and value is not None}
    if isinstance(found, list | tuple):
        kept = [_tensors(value, depth + 1) for value in found]
        return [value for value in kept if value is not None]
    return found if type(found) in (bool, int, float, str) else None
