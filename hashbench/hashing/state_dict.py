"""State dicts: read from files as tensors alone, checked, and fitted to a module.

No pickled object is ever built.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from hashbench.characters import briefly
from hashbench.errors import FileError, PickledObjectError, UntrustedPickleError, UsageError
from hashbench.hashing.weights.archive import SIGNATURE
from hashbench.hashing.weights.arrays import PickledArray
from hashbench.hashing.weights.mapped import WeightFile
from hashbench.hashing.weights.pickled import more_than_tensors
from hashbench.hashing.weights.pickled_values import PickledTensor
from hashbench.hashing.weights.safetensors_file import read_table
from hashbench.hashing.weights.sorts import is_pickled, is_safetensors, sort_of
from hashbench.hashing.weights.stored import (
    COMPUTED,
    HeldTensor,
    OddTensor,
    StoredTensor,
    uncomputed,
)
from hashbench.hashing.weights.torch_file import read_archive, read_row
from hashbench.hashing.weights.unwrapped import (
    keys_shown,
    state_dict_in,
    unprefixed,
    variants,
)

_COUNTER = "num_batches_tracked"
_SHOWN = 3

_PLAINLY: Final = "; save plain tensors of floats or whole numbers"

_MOST_REPEATED: Final = 8
_ROOM: Final = 2**24
"""How many bytes a file's tensors may claim: so many times its own size, and so many more. Layers
that are registered twice or thrice share their values; a tensor that repeats one value without end
is no weight."""


def read_state(path: Path, known: Callable[[str], bool] | None = None) -> dict[str, Tensor]:
    """The tensors of a state dict file, by their keys.

    The file is told by its content and described before any of it is believed: sizes, types and
    places are checked, and values are read only where they are looked at. The one dict of tensors
    inside is found under whatever keys a script put it, and a prefix that all keys share is taken
    off.

    Args:
        path: `.safetensors`, or anything that `torch.save` wrote of a state dict.
        known: whether a key is wanted, with its prefix off: then no more is taken off than makes
            most keys known. By default all that is shared goes.

    Raises:
        UsageError: there is no such file, it is something else, damaged, or larger inside than it
            can be; it holds more than tensors, or several state dicts.
    """
    try:
        with WeightFile(path) as file:
            state = _plain(_described(path, file))
            stored = {key: one for key, one in state.items() if isinstance(one, StoredTensor)}
            claimed = sum(tensor.count * tensor.dtype.itemsize for tensor in stored.values())
            if claimed > _MOST_REPEATED * file.size + _ROOM:
                raise FileError(_claim(stored, claimed, file.size))
            return {
                key: one.tensor() if isinstance(one, HeldTensor) else file.tensor(one)
                for key, one in unprefixed(state, known).items()
            }
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"weights {path}: no such file") from None
    except PickledObjectError as error:
        raise UntrustedPickleError(f"weights {path} cannot be read: {error}") from None
    except FileError as error:
        raise UsageError(f"weights {path} cannot be read: {error}") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(f"weights {path} cannot be read: {reason}") from None


def _described(path: Path, file: WeightFile) -> dict[str, StoredTensor | OddTensor | HeldTensor]:
    """The tensors of a file by its own keys."""
    found: dict[str, StoredTensor | OddTensor | HeldTensor]
    if is_safetensors(file.head, file.size) and path.suffix == ".safetensors":
        found = dict(read_table(file.file, file.size))
        if not found:
            raise FileError("it holds no tensor")
        return found
    if file.head.startswith(SIGNATURE):
        read = read_archive(file.file, file.size)
    elif is_pickled(file.head):
        read = read_row(file.file, file.size)
    else:
        what = sort_of(file.head, file.size)
        raise FileError(f"it is {what or 'no file of weights of any kind that is known here'}")
    if path.suffix == ".safetensors":
        raise FileError("it is no safetensors file: torch.save wrote it, so call it .pth")
    found = {}
    try:
        state = state_dict_in(read.content)
    except FileError:
        if read.objects:  # a whole model, or a class that keeps its weights to itself
            raise PickledObjectError(more_than_tensors(read.objects)) from None
        raise
    for key, tensor in state.items():
        try:
            if isinstance(tensor, PickledArray):
                found[key] = tensor.held()
            else:
                found[key] = read.place(tensor) if isinstance(tensor, PickledTensor) else tensor
        except FileError as error:
            raise FileError(f"it is damaged: '{briefly(key)}': {error}") from None
    return found


def _plain(
    state: Mapping[str, StoredTensor | OddTensor | HeldTensor],
) -> dict[str, StoredTensor | HeldTensor]:
    """The same, where every tensor is one that networks compute with; else FileError."""
    plain: dict[str, StoredTensor | HeldTensor] = {}
    for key, tensor in state.items():
        if isinstance(tensor, OddTensor):
            raise FileError(f"'{briefly(key)}' is {tensor.kind}{_PLAINLY}")
        if isinstance(tensor, StoredTensor) and tensor.dtype not in COMPUTED:
            raise FileError(f"'{briefly(key)}' is {uncomputed(tensor.dtype)}{_PLAINLY}")
        plain[key] = tensor
    return plain


def _claim(state: Mapping[str, StoredTensor], claimed: int, size: int) -> str:
    key, tensor = max(state.items(), key=lambda item: item[1].count)
    return (
        f"its tensors claim {claimed:,} bytes, but the file has {size:,}; the largest is "
        f"'{briefly(key)}' of shape {tensor.shape}, for which {tensor.stored:,} values are stored"
    )


def fitted(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str
) -> dict[str, Tensor]:
    """A state dict that fits a module: all keys, shapes and kinds of number as wanted.

    Counters of batch norm that old files lack are 0. Floats of another precision are converted.
    Keys may lack a prefix that all wanted ones share, or have one more. No value is looked at
    before all keys, shapes and types fit.

    Args:
        state: what a file holds.
        wanted: the module's own state dict.
        where: opens the error's sentence: which file it is.

    Raises:
        UsageError: keys are missing or not known, shapes differ, or values are not finite where
            the module's own are.
    """
    state = with_wanted_keys(state, wanted, where)
    unsound = (
        f"'{name}' holds values that are not finite"
        for name, value in wanted.items()
        if not is_sound(state[name], value)
    )
    refuse_problems(where, "does not fit the model", unsound)
    return {name: state[name].to(value.dtype) for name, value in wanted.items()}


def with_wanted_keys(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str
) -> dict[str, Tensor]:
    """A state dict of the wanted keys, shapes and kinds of number; no value is looked at.

    Args:
        state: what a file holds.
        wanted: the module's own state dict; may lie on the device `meta`.
        where: opens the error's sentence: which file it is.

    Raises:
        UsageError: keys are missing or not known, or shapes or types differ.
    """
    state = _rooted(state, wanted)
    if state and not state.keys() & wanted.keys():
        raise UsageError(
            f"{where} does not fit the model: {keys_shown(state)}; "
            f"none of them is expected, but {keys_shown(wanted, start='')}"
        )
    counters = {
        name: torch.zeros_like(value)
        for name, value in wanted.items()
        if name not in state and name.endswith(_COUNTER)
    }
    state = {**state, **counters}
    refuse_problems(where, "does not fit the model", misfits(state, wanted))
    return state


def misfits(
    found: Mapping[str, Tensor | StoredTensor],
    wanted: Mapping[str, Tensor],
    *,
    exact: bool = False,
) -> list[str]:
    """What does not fit between two state dicts, by keys, shapes and types alone.

    Args:
        found: what a file holds.
        wanted: a module's own.
        exact: types must be equal; by default floats may differ in precision, integers in width.
    """
    problems = [f"'{name}' is missing" for name in wanted if name not in found]
    problems += [f"'{briefly(name)}' is not known" for name in found if name not in wanted]
    for name, value in wanted.items():
        if (one := found.get(name)) is None:
            continue
        if tuple(one.shape) != tuple(value.shape):
            problems.append(f"'{name}' has shape {tuple(one.shape)}, expected {tuple(value.shape)}")
        elif one.dtype != value.dtype if exact else _kind(one.dtype) != _kind(value.dtype):
            problems.append(f"'{name}' is {one.dtype}, expected {value.dtype}")
    return problems


def is_finite(value: Tensor) -> bool:
    """Whether no float of a tensor is NaN or infinite."""
    if not (value.is_floating_point() or value.is_complex()) or not value.numel():
        return True
    if value.dtype in COMPUTED:  # without a copy: the extremes are NaN where anything is
        return all(math.isfinite(float(extreme)) for extreme in value.aminmax())
    wide = torch.complex64 if value.is_complex() else torch.float32
    return bool(torch.isfinite(value.to(wide)).all())


def is_sound(value: Tensor, built: Tensor | None) -> bool:
    """Whether a tensor is finite wherever it was when its module was built, if it was there.

    A buffer may hold infinities on purpose, such as a mask of attention.
    """
    if is_finite(value):
        return True
    if built is None or is_finite(built):
        return False
    return not bool((~torch.isfinite(value.cpu()) & torch.isfinite(built.cpu())).any())


def _rooted(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict under the prefix, of those that all keys share, that makes most keys known."""
    if state.keys() <= wanted.keys():
        return dict(state)
    shortest = next(iter(list(variants(wanted))[-1]), "")
    prefix = next(iter(wanted), "").removesuffix(shortest)
    roots = [""] + [prefix[: at + 1] for at, letter in enumerate(prefix) if letter == "."]
    candidates = [
        {f"{root}{key}": value for key, value in variant.items()}
        for variant in variants(state)
        for root in roots
    ]
    return max(candidates, key=lambda candidate: len(candidate.keys() & wanted.keys()))


def _kind(dtype: torch.dtype) -> str:
    """Floats are one kind, integers another: within a kind values can be converted."""
    if dtype.is_floating_point:
        return "float"
    return str(dtype) if dtype.is_complex or dtype == torch.bool else "integer"


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
