"""State dicts: read from files as tensors alone, checked, and fitted to a module.

No pickled object is ever built.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hashbench.errors import UsageError
from hashbench.files import why_no_file

_WRAPPERS = ("module.", "model.")
_COUNTER = "num_batches_tracked"
_SHOWN = 3

_HOW_TO_SAVE = (
    "on a machine where you trust it, write its tensors alone with "
    "torch.save(model.state_dict(), 'weights.pth')"
)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict file, by their keys.

    A dict that holds the state dict under `state_dict`, and prefixes that all keys share
    (`module.` of DataParallel, `model.` of a wrapper), are unwrapped.

    Args:
        path: `.safetensors`, or anything that `torch.save` wrote of a state dict.

    Raises:
        UsageError: there is no such file, it is damaged, or it holds more than tensors.
    """
    if not path.is_file():
        raise UsageError(f"weights {path}: {why_no_file(path)}")
    found = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not found:
        raise UsageError(f"weights {path}: it holds {_named(found)}, expected a state dict")
    state: dict[str, Tensor] = {}
    for key, value in found.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise UsageError(
                f"weights {path}: '{key}' holds {_named(value)}, expected a tensor; {_HOW_TO_SAVE}"
            )
        state[key] = value
    return _unwrapped(state)


def fitted(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str
) -> dict[str, Tensor]:
    """A state dict that fits a module: all keys, shapes and kinds of number as wanted.

    Counters of batch norm that old files lack are 0. Floats of another precision are converted.

    Args:
        state: what a file holds.
        wanted: the module's own state dict.
        where: opens the error's sentence: which file it is.

    Raises:
        UsageError: keys are missing or not known, shapes differ, or values are not finite.
    """
    counters = {
        name: torch.zeros_like(value)
        for name, value in wanted.items()
        if name not in state and name.endswith(_COUNTER)
    }
    state = {**state, **counters}
    problems = [f"'{name}' is missing" for name in wanted if name not in state]
    problems += [f"'{name}' is not known" for name in state if name not in wanted]
    for name, value in wanted.items():
        if (found := state.get(name)) is None:
            continue
        if found.shape != value.shape:
            problems.append(
                f"'{name}' has shape {tuple(found.shape)}, expected {tuple(value.shape)}"
            )
        elif found.is_floating_point() != value.is_floating_point():
            problems.append(f"'{name}' is {found.dtype}, expected {value.dtype}")
        elif not is_finite(found):
            problems.append(f"'{name}' holds values that are not finite")
    refuse_problems(where, "does not fit the model", problems)
    return {name: state[name].to(value.dtype) for name, value in wanted.items()}


def is_finite(value: Tensor) -> bool:
    """Whether no float of a tensor is NaN or infinite."""
    return not value.is_floating_point() or bool(torch.isfinite(value).all())


def refuse_problems(where: str | Path, what: str, problems: Iterable[str]) -> None:
    """Raise one error that names the first problems, where there are any.

    Args:
        where: the file, or the words that open the sentence.
        what: what is wrong with it.
        problems: each a clause.

    Raises:
        UsageError: there is a problem.
    """
    found = list(problems)
    if found:
        subject = f"weights {where}" if isinstance(where, Path) else where
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise UsageError(f"{subject} {what}: {'; '.join(found[:_SHOWN])}{more}")


def _unwrapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _WRAPPERS:
        if all(key.startswith(prefix) for key in state):
            return _unwrapped({key.removeprefix(prefix): value for key, value in state.items()})
    return state


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UsageError(f"weights {path}: the file is damaged ({_first_line(error)})") from None


def _read_torch(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file may raise anything
        if type(error).__name__ == "UnpicklingError" and _is_torch_file(path):
            raise UsageError(
                f"weights {path}: it holds more than tensors (a whole pickled model?), and reading "
                f"that could run any code, so it is not read; {_HOW_TO_SAVE}"
            ) from None
        raise UsageError(
            f"weights {path}: it cannot be read as a state dict ({_first_line(error)})"
        ) from None


def _is_torch_file(path: Path) -> bool:
    """Whether it is an archive, or begins like a pickle."""
    with path.open("rb") as file:
        return zipfile.is_zipfile(path) or file.read(1) == b"\x80"


def _first_line(error: BaseException) -> str:
    line = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def _named(value: object) -> str:
    if isinstance(value, Mapping):
        return "a dict" if value else "an empty dict"
    return f"a value of type {type(value).__name__}"
