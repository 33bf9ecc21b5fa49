"""A device that is none: tensors that say `cuda` and mix with no others, on any machine.

The numbers lie on the CPU and are computed there. What is real is the rule: an operation whose
tensors are on two devices is an error, but for a single number from the CPU, as torch has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
import torch.__future__
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from hashbench.hashing import device_words
from hashbench.hashing.philox import words_by_numpy, words_in_tensors

CUDA = torch.device("cuda", 0)
_BELOW = torch.device("meta")
"""What torch's own machinery sees: for a GPU it would ask a driver."""

_MOVES = ("aten::_to_copy", "aten::copy_")
"""What may take tensors of two devices."""

_INDEXING = ("aten::index", "aten::index_put", "aten::index_put_")


class OnCUDA(Tensor):
    """A tensor that says it is on a GPU; `held` has its numbers."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnCUDA:
        made: OnCUDA = Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=_BELOW,
            requires_grad=held.requires_grad,
        )
        made.held = held
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return CUDA

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return _compute(func, args, dict(kwargs or {}))


class _Factories(TorchDispatchMode):
    """Catches also what is made on the device out of nothing."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return _compute(func, args, dict(kwargs or {}))


def _compute(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    name = func.name().split(".")[0]
    given = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
    there = [one for one in given if isinstance(one, OnCUDA)]
    # Rows of a tensor on a GPU may be chosen by positions on the CPU.
    indices = {id(one) for one in args[1]} if name in _INDEXING else set()
    strangers = [
        one
        for one in given
        if not isinstance(one, OnCUDA) and one.ndim > 0 and id(one) not in indices
    ]
    if there and strangers and name not in _MOVES:
        raise RuntimeError(
            f"Expected all tensors to be on the same device: {func} got cuda:0 and cpu"
        )
    asked = kwargs.get("device")
    target = bool(there) if asked is None else torch.device(asked).type != "cpu"
    if asked is not None:
        kwargs["device"] = torch.device("cpu")
    of = {id(one.held): one for one in there}
    found = func(*tree_map(_held, args), **tree_map(_held, kwargs))
    if name == "aten::copy_":
        return args[0]

    def back(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if id(value) in of:  # changed in place
            return of[id(value)]
        return OnCUDA(value) if target and not isinstance(value, OnCUDA) else value

    return tree_map(back, found)


def _held(value: Any) -> Any:
    return value.held if isinstance(value, OnCUDA) else value


def pretend_cuda(patch: pytest.MonkeyPatch) -> None:
    """Let torch say that there is a GPU, with 1 GiB free, for which no kernel can be compiled."""
    torch._C._ensureCUDADeviceGuardSet()  # one that asks no driver, where there is none
    patch.setattr(torch.cuda, "is_available", lambda: True)
    patch.setattr(torch.cuda, "_lazy_init", lambda: None)
    patch.setattr(torch.cuda, "mem_get_info", lambda _: (1 << 30, 1 << 30))
    patch.setattr(Tensor, "pin_memory", lambda self: self)  # the driver's, where there is one

    def way_of(device: torch.device) -> device_words.Way:
        return words_by_numpy if device.type == "cpu" else words_in_tensors

    patch.setattr(device_words, "way_of", way_of)


@contextmanager
def fake_cuda() -> Iterator[None]:
    """While it is open, tensors can be made on, and moved to, the pretended GPU."""
    # A module's parameters are replaced as it moves: these tensors are no storage to be swapped in.
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with _Factories():  # type: ignore[no-untyped-call]
            yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)


@pytest.fixture(params=["cpu", "cuda"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The CPU, and a device that says it is a GPU, to which copies are told from others."""
    on_card = request.param == "cuda"
    if on_card:
        pretend_cuda(monkeypatch)
    with fake_cuda() if on_card else nullcontext():
        yield request.param
