"""How the tensors of a network lie in memory, as far as saving and loading them is concerned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import torch
from torch import Tensor, nn

from hashbench.errors import UsageError
from hashbench.hashing.weights.safetensors_file import DTYPES

SAVED: Final = frozenset(DTYPES.values())
"""The types that a checkpoint can hold."""


def refuse_unsavable(network: nn.Module) -> None:
    """Refuse a network whose weights cannot be written down, before anything is spent on it.

    Raises:
        UsageError: its state dict holds what is no plain tensor; the sentence names the entry.
    """
    for name, value in network.state_dict().items():
        if fault := _unsavable(value):
            raise UsageError(f"the network's '{name}' cannot be saved: {fault}")


def _unsavable(value: object) -> str:
    if not isinstance(value, Tensor):
        return (
            f"it is a value of type {type(value).__name__}; a state dict may hold tensors alone, "
            "so get_extra_state must give one"
        )
    if nn.parameter.is_lazy(value):
        return (
            "it has no shape before the network was used; pass one batch of zeros through the "
            "network where it is built, or say its number of features"
        )
    if value.layout is not torch.strided or value.is_quantized or value.is_nested:
        return f"it is no plain tensor ({_kind(value)}); keep its values in one"
    if value.is_meta:
        return "it has no values (device meta)"
    if value.dtype not in SAVED:
        return f"it is of the type {str(value.dtype).removeprefix('torch.')}; convert it"
    return ""


def _kind(value: Tensor) -> str:
    if value.is_nested:
        return "nested"
    return "quantized" if value.is_quantized else str(value.layout).removeprefix("torch.")


def plain_copy(value: Tensor) -> Tensor:
    """The same values in memory of their own, in order, on the CPU."""
    plain = value.detach().as_subclass(Tensor).resolve_conj().resolve_neg().cpu()
    return plain.clone(memory_format=torch.contiguous_format)


def own_memory(network: nn.Module) -> None:
    """Give each element of an expanded parameter or buffer memory of its own, in place.

    Neither an optimiser nor a load can write to elements that are one in memory. What is tied, one
    tensor under several names, stays so.
    """
    for tensor in (*network.parameters(), *network.buffers()):
        if nn.parameter.is_lazy(tensor) or tensor.layout is not torch.strided:
            continue
        sides = zip(tensor.shape, tensor.stride(), strict=True)
        if any(side > 1 and not stride for side, stride in sides):
            tensor.data = tensor.detach().clone(memory_format=torch.contiguous_format)


def shared_names(state: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    """Pairs of names that stand for one tensor; the first name comes first in each."""
    first: dict[tuple[object, ...], str] = {}
    for name, value in state.items():
        if not isinstance(value, Tensor) or not value.numel():
            continue
        place = (value.data_ptr(), value.dtype, tuple(value.shape), value.stride())
        if (other := first.setdefault(place, name)) != name:
            yield other, name


def unset_buffers(network: nn.Module) -> dict[str, tuple[nn.Module, str]]:
    """Buffers that a network saves once they are given a value, and that have none yet.

    Returns:
        By their names in the state dict: the module, and the buffer's name in it.
    """
    return {
        f"{path}.{name}" if path else name: (module, name)
        for path, module in network.named_modules(remove_duplicate=False)
        for name, buffer in module._buffers.items()
        if buffer is None and name not in module._non_persistent_buffers_set
    }
