"""Loads TorchScript and programs of torch.export."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import nn

from hashbench.characters import first_line
from hashbench.errors import FileError
from hashbench.hashing.programs.exported_checks import refuse_code
from hashbench.hashing.weights.archive import members

MAX_CODE: Final = 2**20
"""The most bytes of code, packed, of which a large network has some 100,000."""


def scripted(content: bytes, device: str) -> nn.Module:
    """The network of a TorchScript archive; its code is TorchScript, never Python.

    Args:
        content: the whole file.
        device: where it computes.

    Raises:
        FileError: it is damaged, or of a torch that this one cannot read.
    """
    found = members(io.BytesIO(content), len(content))
    packed = {name: member.size for name, member in found.items() if not member.plain}
    if any("/code/" not in name for name in packed) or sum(packed.values()) > MAX_CODE:
        raise FileError("its tensors are packed, or its code is too long: torch did not write it")
    with _quietly():
        try:
            net = torch.jit.load(io.BytesIO(content), map_location=device)
        except Exception as error:  # torch raises whatever it meets
            raise FileError(f"torch cannot read it: {first_line(error)}") from error
    if not isinstance(net, nn.Module):
        raise FileError("it holds no network")
    return net


def exported(content: bytes, device: str) -> nn.Module:
    """The network of a program of torch.export, after `refuse_code`.

    Args:
        content: the whole file.
        device: where it computes.

    Raises:
        FileError: it is damaged, holds what could run code, or is of a torch that this one cannot
            read.
    """
    refuse_code(content)
    with _quietly():
        try:
            program = torch.export.load(io.BytesIO(content))
            if device != "cpu":
                from torch.export.passes import move_to_device_pass

                program = move_to_device_pass(program, device)
            return program.module()
        except Exception as error:  # torch raises whatever it meets
            raise FileError(f"torch cannot read it: {first_line(error)}") from error


def batch_of(program: nn.Module) -> int:
    """How many images a program of torch.export takes at once; 0 where it takes any number.

    Args:
        program: of `exported`. Its inputs keep the shapes that it was exported for, with symbols
            for what may differ.
    """
    if not isinstance(program, torch.fx.GraphModule):
        return 0
    taken = next((node for node in program.graph.nodes if node.op == "placeholder"), None)
    example = None if taken is None else taken.meta.get("val")
    if not isinstance(example, torch.Tensor) or not example.ndim:
        return 0
    first: object = example.shape[0]
    return first if isinstance(first, int) else 0


@contextmanager
def _quietly() -> Iterator[None]:
    """Without torch's notes on its own formats."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
