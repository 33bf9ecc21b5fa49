"""State dicts as scripts wrap them: the one dict of tensors inside, without a common prefix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from hashbench.characters import briefly, counted
from hashbench.errors import FileError
from hashbench.hashing.weights.arrays import PickledArray
from hashbench.hashing.weights.pickled_values import PickledTensor
from hashbench.hashing.weights.stored import HOW_TO_SAVE, OddTensor
from hashbench.hashing.weights.torch_file import named

ValueT = TypeVar("ValueT")

_SHOWN = 4
_DEEPEST = 8


Entry: TypeAlias = PickledTensor | OddTensor | PickledArray
"""What may be a weight."""

_ENTRIES: Final = (PickledTensor, OddTensor, PickledArray)


def state_dict_in(content: object) -> dict[str, Entry]:
    """The one dict of tensors in what a file holds, under whatever keys it lies.

    A state dict has texts for keys and tensors for values, one of them at least with a shape; it
    lies under texts alone. So an optimiser's state, which goes by numbers, is none, and neither are
    the best scores of a training.

    Raises:
        FileError: there is none, or more than one; the sentence names what was found.
    """
    found = dict(_state_dicts(content, (), set(), (PickledTensor, OddTensor)))
    if not found:  # arrays of numpy beside a state dict are none, but alone they may be one
        found = dict(_state_dicts(content, (), set(), _ENTRIES))
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        names = ", ".join(
            f"'{_shown('.'.join(path))}' ({len(state)} tensors)"
            for path, state in list(found.items())[:_SHOWN]
        )
        raise FileError(
            f"it holds {len(found)} state dicts, {names}: which one is meant cannot be told, so "
            "write that one alone with torch.save"
        )
    raise FileError(_why_none(content))


def _state_dicts(
    value: object, path: tuple[str, ...], seen: set[int], entry: tuple[type, ...]
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    if not isinstance(value, dict) or id(value) in seen or len(path) > _DEEPEST:
        return
    seen.add(id(value))
    items = [(key, inner) for key, inner in value.items() if isinstance(key, str)]
    tensors = [inner for _, inner in items if isinstance(inner, entry)]
    if len(tensors) == len(value) and any(_has_shape(tensor) for tensor in tensors):
        yield path, value
        return
    for key, inner in items:
        yield from _state_dicts(inner, (*path, key), seen, entry)


def _has_shape(tensor: object) -> bool:
    return not isinstance(tensor, PickledTensor | PickledArray) or bool(tensor.shape)


def _why_none(content: Any) -> str:
    """What stands in the place of a state dict."""
    for _ in range(_DEEPEST):  # a dict may lie in itself
        inner = next(iter(content.values()), None) if isinstance(content, dict) else None
        if not isinstance(inner, dict) or len(content) > 1:
            break
        content = inner
    if not isinstance(content, dict) or not content:
        return f"it holds {named(content)}, expected a state dict"
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, _ENTRIES):
            return f"'{_shown(key)}' holds {named(value)}, expected a tensor; {HOW_TO_SAVE}"
    return f"{keys_shown(content)}, but no tensor that has a shape"


def variants(state: Mapping[str, ValueT]) -> Iterator[dict[str, ValueT]]:
    """The state dict as it is, then without the first part of all keys as long as they share one.

    `module.` of DataParallel, `_orig_mod.` of torch.compile, and whatever else the attribute of a
    wrapper is called.
    """
    current = dict(state)
    yield current
    for _ in range(_DEEPEST):
        firsts = {key.partition(".")[0] for key in current}
        if len(firsts) != 1 or any(not key.partition(".")[2] for key in current):
            return
        current = {key.partition(".")[2]: value for key, value in current.items()}
        yield current


def unprefixed(
    state: Mapping[str, ValueT], known: Callable[[str], bool] | None = None
) -> dict[str, ValueT]:
    """The state dict without a prefix that all its keys share.

    Args:
        state: by the keys of a file.
        known: whether a key is one that is wanted: then so much is taken off that most are, and
            nothing where none ever is. By default all that is shared goes.
    """
    found = list(variants(state))
    if known is None:
        return found[-1]
    return max(found, key=lambda variant: sum(map(known, variant)))  # the first of the best


def keys_shown(keys: Mapping[str, object], *, start: str = "it has ") -> str:
    """How many keys there are, and the first of them, such as "it has 2 keys ('a', 'b')"."""
    first = ", ".join(f"'{_shown(key)}'" for key in list(keys)[:_SHOWN])
    more = ", ..." if len(keys) > _SHOWN else ""
    return f"{start}{counted(len(keys), 'key')} ({first}{more})"


def _shown(key: object) -> str:
    text = key if isinstance(key, str) else str(key) if type(key) is int else type(key).__name__
    return briefly(text)
