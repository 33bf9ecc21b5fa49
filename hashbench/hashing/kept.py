"""What changes while something is trained: taken, written as bytes, and given back.

The written form is one safetensors file: tensors, and in its metadata a JSON text that holds the
rest and says where each tensor belongs. No pickled object is ever built.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from hashbench.errors import FileError, PluginError
from hashbench.files import parsed_json

FORMAT: Final = 1

Tree: TypeAlias = Any
"""Tensors, arrays, numbers, texts and None in lists, tuples and dicts with texts or whole numbers
as keys."""


@runtime_checkable
class Stateful(Protocol):
    """A network, an optimiser, or whatever else gives and takes its state as torch's do."""

    def state_dict(self) -> Mapping[str, Any]:
        """All that changes."""

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Take such a state."""


@runtime_checkable
class Keeping(Protocol):
    """Says itself what of it changes while it trains."""

    def keeps(self) -> Mapping[str, Kept] | None:
        """By names of its own choice; `None` where it does not say."""


Kept: TypeAlias = "Tensor | torch.Generator | np.random.Generator | Stateful | Keeping"
"""Something that changes while it trains. A tensor is filled in place when it is given back."""


class UnsaidError(Exception):
    """Something does not say what of it changes."""


class ProcessWide:
    """The generators that all of a process share, and that dropout and careless plugins draw from.

    They are seeded for every step and restored after it.
    """

    def __init__(self, device: torch.device) -> None:
        """Those that computing on `device` may draw from."""
        self._device = device

    def state_dict(self) -> Mapping[str, Any]:
        """Of torch, of the device, of numpy and of Python."""
        return {
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(self._device) if self._on_card else None,
            "numpy": np.random.get_state(legacy=False),  # noqa: NPY002 - plugins may use it
            "python": random.getstate(),
        }

    def load_state_dict(self, state_dict: Any, /) -> None:
        """Take such a state."""
        torch.set_rng_state(state_dict["torch"])
        if self._on_card:
            torch.cuda.set_rng_state(state_dict["cuda"], self._device)
        np.random.set_state(state_dict["numpy"])  # noqa: NPY002
        random.setstate(state_dict["python"])

    @property
    def _on_card(self) -> bool:
        return self._device.type == "cuda"


def taken(kept: Kept) -> Tree:
    """The state of something, as a tree; its tensors are on the CPU, and may be its own.

    Raises:
        UnsaidError: it, or something in it, does not say what changes.
    """
    if isinstance(kept, Tensor):
        return kept.detach().cpu()
    if isinstance(kept, torch.Generator):
        return kept.get_state()
    if isinstance(kept, np.random.Generator):
        return dict(kept.bit_generator.state)
    tree: dict[str, Tree] = {}
    if isinstance(kept, Keeping):
        named = kept.keeps()
        if named is None:
            raise UnsaidError(type(kept).__name__)
        tree["keeps"] = {name: taken(one) for name, one in named.items()}
    if isinstance(kept, Stateful):
        tree["state"] = _on_cpu(kept.state_dict())
    if not tree:
        raise PluginError(
            f"keeps() names a {type(kept).__name__}; expected a tensor, a generator, a network, "
            "an optimiser, or what has state_dict and load_state_dict, or keeps"
        )
    return tree


def given(kept: Kept, tree: Tree) -> None:
    """Give a state back.

    Raises:
        Exception: of any kind where the tree is not of such a thing; some of it may have been
            given back by then.
    """
    if isinstance(kept, Tensor):
        _same(kept.detach(), tree)
        with torch.no_grad():
            kept.copy_(tree)
        return
    if isinstance(kept, torch.Generator):
        kept.set_state(tree)
        return
    if isinstance(kept, np.random.Generator):
        kept.bit_generator.state = tree
        return
    if isinstance(kept, Keeping):
        named = kept.keeps() or {}
        _require(tree["keeps"].keys() == named.keys(), "other names than those that are kept")
        for name, one in named.items():
            given(one, tree["keeps"][name])
    if isinstance(kept, Stateful):
        state = tree["state"]
        if isinstance(kept, nn.Module):
            _same(_on_cpu(kept.state_dict()), state)
        kept.load_state_dict(state)


def size_of(tree: Tree) -> int:
    """Bytes of all tensors and arrays in a tree."""
    if isinstance(tree, Tensor):
        return tree.numel() * tree.element_size()
    if isinstance(tree, np.ndarray):
        return int(tree.nbytes)
    if isinstance(tree, Mapping):
        return sum(size_of(value) for value in tree.values())
    return sum(size_of(value) for value in tree) if isinstance(tree, list | tuple) else 0


def copied(tree: Tree) -> Tree:
    """A tree whose tensors belong to nobody else."""
    return _mapped(tree, lambda tensor: tensor.clone())


def packed(tree: Tree, made_by: str) -> bytes:
    """A tree as the bytes of a safetensors file.

    Args:
        tree: see `Tree`.
        made_by: what `unpacked` has to be asked for.

    Raises:
        PluginError: it holds something else.
    """
    tensors: dict[str, Tensor] = {}
    addresses: set[int] = set()
    plain = json.dumps(
        {"format": FORMAT, "made_by": made_by, "tree": _plain(tree, tensors, addresses)}
    )
    return save(tensors, {"state": plain, "sha256": _digest(plain, tensors)})


def unpacked(content: bytes, made_by: str) -> Tree:
    """The tree that `packed` wrote.

    Raises:
        FileError: the bytes are damaged, of a newer format, or were made by something else.
    """
    try:
        tensors = load(content)
        length = int.from_bytes(content[:8], "little")
        metadata = parsed_json(content[8 : 8 + length])["__metadata__"]
        state, digest = metadata["state"], metadata["sha256"]
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError):
        raise FileError("it is damaged") from None
    if not isinstance(state, str) or digest != _digest(state, tensors):
        raise FileError("it is damaged")
    record = parsed_json(state.encode())
    try:
        mark, tree = (record["format"], record["made_by"]), _tree(record["tree"], tensors)
    except (KeyError, TypeError, ValueError, RecursionError):
        raise FileError("it does not hold what it should") from None
    if mark != (FORMAT, made_by):
        raise FileError("it is of another training, machine or version")
    return tree


def _on_cpu(tree: Tree) -> Tree:
    return _mapped(tree, lambda tensor: tensor.detach().cpu())


def _mapped(tree: Tree, change: Callable[[Tensor], Tensor]) -> Tree:
    """The tree with other tensors, and nothing in it that belongs to somebody else."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, np.ndarray):
        return tree.copy()
    if isinstance(tree, Mapping):
        return {key: _mapped(value, change) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_mapped(value, change) for value in tree]
    if isinstance(tree, tuple):  # one with names becomes a plain one, as it is when it is stored
        return tuple(_mapped(value, change) for value in tree)
    return tree


def _same(own: Tree, found: Tree) -> None:
    """Refuse a tree of other keys, shapes or types."""
    if isinstance(own, Tensor):
        fits = isinstance(found, Tensor) and found.shape == own.shape and found.dtype == own.dtype
        _require(fits, "a tensor of another shape or type")
    elif isinstance(own, Mapping):
        _require(isinstance(found, Mapping) and found.keys() == own.keys(), "other names")
        for key, value in own.items():
            _same(value, found[key])


def _require(sound: bool, what: str) -> None:
    if not sound:
        raise FileError(f"it holds {what}")


def _plain(tree: Tree, tensors: dict[str, Tensor], addresses: set[int]) -> Any:
    """A tree as JSON data that names its tensors, which are put into `tensors`."""
    match tree:
        case Tensor() if tree.layout is torch.strided:
            value = tree.contiguous()
            if value.untyped_storage().data_ptr() in addresses:
                value = value.clone()  # the format takes no two tensors of one memory
            addresses.add(value.untyped_storage().data_ptr())
            name = str(len(tensors))
            tensors[name] = value
            return {"tensor": name}
        case np.ndarray():
            return {"array": _plain(torch.from_numpy(tree.copy()), tensors, addresses)["tensor"]}
        case Mapping():
            if not all(isinstance(key, str) or type(key) is int for key in tree):
                raise PluginError("a state's keys must be texts or whole numbers")
            items = [[key, _plain(value, tensors, addresses)] for key, value in tree.items()]
            return {"map": items}
        case list() | tuple():
            kind = "list" if isinstance(tree, list) else "tuple"
            return {kind: [_plain(value, tensors, addresses) for value in tree]}
        case None | bool() | int() | float() | str():
            return tree
    raise PluginError(
        f"a state holds a {type(tree).__name__}; expected tensors, arrays, numbers and texts in "
        "lists, tuples and dicts"
    )


def _tree(plain: Any, tensors: Mapping[str, Tensor]) -> Tree:
    if not isinstance(plain, dict):
        return plain
    ((kind, value),) = plain.items()
    match kind:
        case "tensor":
            return tensors[value]
        case "array":
            return tensors[value].numpy()
        case "map":
            return {key: _tree(one, tensors) for key, one in value}
        case "list":
            return [_tree(one, tensors) for one in value]
        case "tuple":
            return tuple(_tree(one, tensors) for one in value)
    raise KeyError(kind)


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
        flat = value.contiguous().reshape(-1)
        # Of every type, those that numpy has no name for included.
        digest.update(cast("Any", flat.view(torch.uint8).numpy().data if flat.numel() else b""))
    return digest.hexdigest()
