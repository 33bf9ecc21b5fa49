"""Counts what makes a program wait for its device, on any device, the CPU included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from typing_extensions import override

_READING: Final = frozenset(
    (
        "aten::_local_scalar_dense",  # item, bool, int, float, tolist of one number
        "aten::_linalg_check_errors",
        "aten::_unique2",
        "aten::bincount",
        "aten::equal",
        "aten::is_nonzero",
        "aten::masked_select",
        "aten::nonzero",
        "aten::repeat_interleave",
        "aten::unique_consecutive",
        "aten::unique_dim",
    )
)
"""Operators whose result, or its shape, the host has to see."""

_MASKED: Final = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")
_COPIES: Final = ("aten::_to_copy", "aten::copy_")
_METHODS: Final = ("cpu", "tolist", "cuda")
"""Methods that wait for a GPU, and of which the CPU's dispatcher hears nothing."""


class _Listener(TorchDispatchMode):
    def __init__(self, counts: Counter[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._counts = counts

    @override
    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        name = func.name().split(".")[0]
        if name in _READING or (name in _MASKED and _by_mask(name, args)):
            self._counts[name] += 1
        elif name in _COPIES and _crosses(name, args, given):
            self._counts[f"{name} between devices"] += 1
        return func(*args, **given)


def _by_mask(name: str, args: Sequence[Any]) -> bool:
    """Whether rows are chosen by a mask, whose true places must be counted to know the shape."""
    masks = [
        one for one in args[1] if isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8)
    ]
    # A single number is filled in at the places of a mask, however many they are.
    filled = name != "aten::index" and args[2].numel() == 1
    return bool(masks) and not filled


def _crosses(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a copy goes from one device to another and is waited for."""
    if name == "aten::copy_":
        waits = not (args[2] if len(args) > 2 else kwargs.get("non_blocking", False))
        return waits and _on_host(args[0].device) != _on_host(args[1].device)
    asked = kwargs.get("device")
    waits = not kwargs.get("non_blocking", False)
    return waits and asked is not None and _on_host(torch.device(asked)) != _on_host(args[0].device)


def _on_host(device: torch.device) -> bool:
    return device.type == "cpu"


def _counted(counts: Counter[str], name: str) -> Callable[..., Any]:
    method = getattr(Tensor, name)

    def called(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        counts[name] += 1
        return method(self, *args, **kwargs)

    return called


@contextmanager
def waits() -> Iterator[Counter[str]]:
    """Count, by name, what would wait for a GPU inside.

    Operators that the host has to see the result of, selections by a mask, blocking copies between
    devices, and `Tensor.cpu`, `.tolist` and `.cuda`, on the CPU too, where they cost
    nothing.
    """
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        for name in _METHODS:
            stack.enter_context(patch.object(Tensor, name, _counted(counts, name)))
        stack.enter_context(_Listener(counts))
        yield counts
