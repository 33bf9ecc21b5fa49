"""What an object in memory computes, as a SHA-256: its numbers, and the code of its classes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

_PLAIN: Final = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.Size)

_LIBRARY: Final = ("torch", "builtins", "abc", "typing", "typing_extensions", "collections")
"""Packages whose classes count by their names: their versions are recorded with every artifact."""

_OF_ANY_MODULE: Final = frozenset(vars(nn.Module())) | {"forward"}
"""Attributes of a bare module, `training` among them; its tensors are read by name."""

_DEEPEST: Final = 6
"""How deep attributes of attributes are followed."""


def module_content(module: nn.Module) -> str:
    """SHA-256 of all that can be seen to decide what a module computes in eval mode.

    These are its parameters and buffers by name, the classes of it and its parts with the code of
    their methods, and what hangs on it as attributes: numbers, texts, tensors, arrays, functions,
    and lists, tables and simple objects of these. What cannot be seen are globals that a method
    reads, files, and what is hidden in C. Code is compared as Python compiled it, so another
    version of Python gives another content.
    """
    return _Content().of(module)


def class_content(cls: type) -> bytes:
    """The code of a class and of those that it builds on, as bytes."""
    content = _Content()
    content.add_class(cls)
    return content.digest.digest()


class _Content:
    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self._modules: set[int] = set()
        self._around: set[int] = set()  # what holds the thing that is looked at
        self._classes: set[type] = set()

    def of(self, module: nn.Module) -> str:
        self._add_module(module, 0)
        return self.digest.hexdigest()

    def _say(self, *words: object) -> None:
        self.digest.update(("\0".join(map(str, words)) + "\n").encode(errors="backslashreplace"))

    def _add_module(self, module: nn.Module, depth: int) -> None:
        for name, part in module.named_modules():
            if id(part) in self._modules:
                continue
            self._modules.add(id(part))
            self._say("module", name)
            self.add_class(type(part))
            for own, tensor in _tensors(part):
                self._say("tensor", own)
                self._add_tensor(tensor)
            for own, value in sorted(vars(part).items()):
                if own == "forward" or own not in _OF_ANY_MODULE:
                    self._say("attribute", own)
                    self._add(value, depth + 1)
            for hooks in (part._forward_pre_hooks, part._forward_hooks):
                for hook in hooks.values():
                    self._say("hook")
                    self._add(hook, depth + 1)

    def _add_tensor(self, tensor: Tensor) -> None:
        self._say(tensor.dtype, tuple(tensor.shape))
        flat = tensor.detach().to("cpu").contiguous().flatten()
        self.digest.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")

    def _add(self, value: object, depth: int) -> None:
        if isinstance(value, _PLAIN):
            self._say(type(value).__name__, repr(value))
        elif depth > _DEEPEST or id(value) in self._around:
            self._say("again", type(value).__qualname__)
        elif isinstance(value, nn.Module):
            self._say("held", id(value) in self._modules)
            self._add_module(value, depth)
        elif isinstance(value, Tensor):
            self._add_tensor(value)
        elif isinstance(value, np.ndarray):
            self._say(value.dtype, value.shape)
            self.digest.update(np.ascontiguousarray(value).tobytes())
        else:
            self._around.add(id(value))
            self._add_other(value, depth)
            self._around.discard(id(value))

    def _add_other(self, value: object, depth: int) -> None:
        if isinstance(value, list | tuple):
            self._say(type(value).__name__, len(value))
            for one in value:
                self._add(one, depth + 1)
        elif isinstance(value, set | frozenset):
            self._say("set", *sorted(map(repr, value)))
        elif isinstance(value, Mapping):
            self._say("table", len(value))
            for key, one in value.items():
                self._add(key, depth + 1)
                self._add(one, depth + 1)
        elif isinstance(value, FunctionType | MethodType):
            self._add_function(getattr(value, "__func__", value), depth)
        elif isinstance(value, type):
            self.add_class(value)
        else:
            self.add_class(type(value))
            self._say(getattr(value, "__qualname__", ""))
            for name, one in sorted(getattr(value, "__dict__", {}).items()):
                self._say("attribute", name)
                self._add(one, depth + 1)

    def add_class(self, cls: type) -> None:
        """The code of a class and of those that it builds on."""
        self._say("class", cls.__module__, cls.__qualname__)
        if cls in self._classes:
            return
        self._classes.add(cls)
        for base in cls.__mro__:
            if base.__module__.partition(".")[0] in _LIBRARY:
                continue
            self._say("of", base.__qualname__)
            for name, member in sorted(vars(base).items()):
                if name in ("__module__", "__doc__", "__dict__", "__weakref__", "__annotations__"):
                    continue
                for function in _functions(member):
                    self._say("method", name)
                    self._add_function(function, 0)
                if isinstance(member, _PLAIN) and not name.startswith("__"):
                    self._say(name, repr(member))

    def _add_function(self, function: Any, depth: int) -> None:
        self._say("function", function.__qualname__)
        self._add_code(function.__code__)
        for cell in function.__closure__ or ():
            try:
                self._add(cell.cell_contents, depth + 1)
            except ValueError:  # a name that is not bound yet
                self._say("unbound")
        self._add(function.__defaults__, depth + 1)
        self._add(function.__kwdefaults__, depth + 1)

    def _add_code(self, code: CodeType) -> None:
        self.digest.update(code.co_code)
        self._say(code.co_names, code.co_varnames, code.co_freevars)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                self._add_code(constant)
            elif isinstance(constant, frozenset):  # whose order differs from process to process
                self._say("set", *sorted(map(repr, constant)))
            else:
                self._say(repr(constant))


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Its own parameters and buffers, those that no state dict holds as well."""
    yield from module.named_parameters(recurse=False, remove_duplicate=False)
    yield from module.named_buffers(recurse=False, remove_duplicate=False)


def _functions(member: object) -> Iterator[Callable[..., object]]:
    if isinstance(member, FunctionType):
        yield member
    elif isinstance(member, staticmethod | classmethod):
        if isinstance(member.__func__, FunctionType):
            yield member.__func__
    elif isinstance(member, property):
        for part in (member.fget, member.fset):
            if isinstance(part, FunctionType):
                yield part
